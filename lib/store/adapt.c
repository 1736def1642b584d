/*
 * Adapting an opened database to this program's schema and to the configured retention.
 *
 * Which levels to keep, build or retire is decided by lib/aggregate/retention.h; here are the rows and the transaction.
 * A start with an unchanged configuration writes nothing, so that a file that is refused later stays as it was.
 */
#include "lib/store/adapt.h"

#include "lib/store/clients.h"
#include "lib/store/levels.h"
#include "lib/store/schema.h"

#include <assert.h>

#define DAY (INT64_C(86400) * TS_NS_PER_S)

struct adapting {
    struct ts_store *store;
    const struct ts_store_config *config;
    int rc; /* SQLite's code of the first failure in a callback */
};

/* ---- Callbacks of ts_levels_adapt() ---- */

/* The integer that the SQL finds for the level; INT64_MIN: none. */
static int64_t get_integer(struct adapting *adapting, const char *sql, int64_t level)
{
    int64_t value = INT64_MIN;
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(adapting->store->db, sql, -1, &stmt, NULL);
    if (!rc) {
        sqlite3_bind_int64(stmt, 1, level);
        rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW && sqlite3_column_type(stmt, 0) != SQLITE_NULL)
            value = sqlite3_column_int64(stmt, 0);
        rc = rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
    }
    sqlite3_finalize(stmt);
    if (!adapting->rc)
        adapting->rc = rc;
    return value;
}

static int64_t last_bucket(void *data, const struct ts_level *level)
{
    int64_t sums = get_integer(data, "SELECT max(bucket) FROM sums WHERE level = ?1", level->id);
    int64_t profiles = get_integer(data, "SELECT max(bucket) FROM profiles WHERE level = ?1", level->id);
    return sums > profiles ? sums : profiles;
}

static void on_log(void *data, const char *message)
{
    struct adapting *adapting = data;
    if (adapting->config->on_log)
        adapting->config->on_log(adapting->config->data, message);
}

/* Takes the SQL, made by sqlite3_mprintf(). */
static void execute(struct adapting *adapting, char *sql)
{
    if (!adapting->rc)
        adapting->rc = sql ? ts_sql_exec(adapting->store->db, sql) : SQLITE_NOMEM;
    sqlite3_free(sql);
}

static void purge(void *data, const struct ts_level *level)
{
    execute(data, sqlite3_mprintf("DELETE FROM sums WHERE level = %lld AND bucket < %lld;"
                                  " DELETE FROM profiles WHERE level = %lld AND bucket < %lld",
                                  level->id, level->since, level->id, level->since));
}

/* The level's bucket that contains one of the source's; n of these are one of the level. Rounds down, also below 0. */
#define WIDER_BUCKET "(bucket - (bucket %% %lld + %lld) %% %lld) / %lld"
#define ROWS_FROM_TO "WHERE level = %lld AND bucket >= %lld AND bucket < %lld ORDER BY bucket"

static void copy(void *data, const struct ts_level *level, const struct ts_level *source, int64_t from, int64_t to)
{
    long long id = level->id;
    long long n = level->ratio / source->ratio;
    long long rows[] = {source->id, from, to};
    execute(data, sqlite3_mprintf("INSERT INTO sums SELECT %lld, " WIDER_BUCKET ", labels, location, cumtime, tottime,"
                                  " ncalls, pcalls FROM sums " ROWS_FROM_TO TS_SQL_ADD_SUMS,
                                  id, n, n, n, n, rows[0], rows[1], rows[2]));
    execute(
        data,
        sqlite3_mprintf(
            "INSERT INTO profiles SELECT %lld, " WIDER_BUCKET ", labels, profiles,"
            " exact_profiles, total_tt, parts_expected, parts_received FROM profiles " ROWS_FROM_TO TS_SQL_ADD_PROFILES,
            id, n, n, n, n, rows[0], rows[1], rows[2]));
}

/* ---- Adapting ---- */

/* The horizon from this start on: the clock, but at most a day ahead of the stored horizon, and never back. */
static int64_t next_horizon(int64_t stored, int64_t now)
{
    if (!stored)
        return now;
    return now <= stored ? stored : now - stored > DAY ? stored + DAY : now;
}

static int adapt_levels(struct adapting *adapting, struct ts_levels *levels)
{
    const struct ts_levels_callbacks callbacks = {last_bucket, on_log, purge, copy, adapting};
    bool changed;
    /* After many changes of the configuration in a short time there are many dead levels, which are at the end: delete
       their rows now. */
    for (size_t i = levels->n; !adapting->rc && levels->n > TS_LEVELS_MAX / 2 && i-- > 0;) {
        if (levels->items[i].kind != TS_LEVEL_DEAD)
            break;
        levels->items[i].since = INT64_MAX;
        purge(adapting, &levels->items[i]);
        levels->n--;
    }
    return ts_levels_adapt(levels, adapting->config->retention, adapting->config->n_retention, adapting->store->horizon,
                           &callbacks, &changed);
}

/* Are the configured levels those of the configuration already? */
static bool is_adapted(const struct ts_store_config *config, const struct ts_levels *levels)
{
    size_t configured = 0;
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *level = &levels->items[i];
        bool wanted = false;
        for (size_t j = 0; j < config->n_retention; j++)
            wanted = wanted || (config->retention[j].width == level->width && config->retention[j].keep == level->keep);
        if (level->kind == TS_LEVEL_CONFIGURED && !wanted)
            return false;
        configured += level->kind == TS_LEVEL_CONFIGURED;
    }
    return configured == config->n_retention;
}

/* Earlier versions had one level, and stored its width only. */
static int upgrade_schema(struct adapting *adapting, const char *upgrade, struct ts_levels *levels)
{
    struct ts_store *store = adapting->store;
    int rc = ts_sql_exec(store->db, upgrade);
    if (!rc)
        rc = ts_statements_prepare(store->db, store->stmts, TS_N_STATEMENTS);
    *levels = (struct ts_levels){.grid = store->levels.grid, .n = 1};
    levels->items[0] = (struct ts_level){.width = levels->grid.time_slice,
                                         .keep = adapting->config->retention[0].keep,
                                         .ratio = 1,
                                         .since = INT64_MIN,
                                         .live = INT64_MIN,
                                         .source = -1};
    return rc;
}

int ts_store_adapt(struct ts_store *store, const struct ts_store_config *config, const char *upgrade,
                   struct ts_store_error *ret_error)
{
    struct adapting adapting = {.store = store, .config = config};
    struct ts_levels levels = store->levels;
    assert(config->n_retention > 0);
    int64_t stored = upgrade ? INT64_MIN : get_integer(&adapting, "SELECT horizon FROM uptime WHERE one = ?1", 1);
    int rc = adapting.rc;
    store->horizon = next_horizon(stored == INT64_MIN ? 0 : stored, config->now);
    if (!rc && !upgrade && is_adapted(config, &levels))
        return 0;
    if (!rc)
        rc = ts_store_begin(store);
    if (!rc && upgrade)
        rc = upgrade_schema(&adapting, upgrade, &levels);
    int r = rc ? 0 : adapt_levels(&adapting, &levels);
    if (!rc)
        rc = adapting.rc;
    if (r && !rc) {
        ts_store_roll_back(store);
        ts_sql_format_error(ret_error, "the database still has too many levels of earlier configurations; start the"
                                       " daemon with the previous aggregation.retention until they are deleted");
        return TS_EREFUSED;
    }
    if (!rc)
        rc = ts_store_write_levels(store->db, &levels);
    if (!rc)
        rc = ts_store_put_times(store, 0, store->horizon);
    if (!rc)
        rc = ts_store_end(store);
    if (rc)
        return ts_store_fail(store, rc,
                             upgrade ? "cannot upgrade the database to this version's schema"
                                     : "cannot adapt the database to aggregation.retention",
                             ret_error);
    store->levels = levels;
    return 0;
}
