/*
 * Levels in the file, and deltas into every level.
 *
 * A commit sorts the deltas once by the finest key. For each level they are then walked in that order: those that the
 * level takes, with its bucket; only where a batch spans several buckets of level 0 is that order another one, and is
 * sorted again. Deltas that meet in one row of a wider level are added up before they are written.
 *
 * A delta that is too old for a level, where rows of it have not been pruned yet: the level's `since` moves past it in
 * the same transaction, so that no level ever has a bucket that is neither whole nor gone.
 */
#include "lib/base/units.h"
#include "lib/store/schema.h"
#include "lib/store/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY (INT64_C(86400) * TS_NS_PER_S)

/* ---- In the file ---- */

static bool is_sound(const struct ts_levels *levels)
{
    const struct ts_level *finest = levels->n ? &levels->items[0] : NULL;
    if (!finest || finest->id != 0 || finest->kind != TS_LEVEL_CONFIGURED || finest->ratio != 1)
        return false;
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *level = &levels->items[i];
        if (level->width < levels->grid.time_slice || level->width % levels->grid.time_slice || level->keep < 0 ||
            level->kind < TS_LEVEL_CONFIGURED || level->kind > TS_LEVEL_DEAD)
            return false;
        bool found = level->source < 0;
        for (size_t j = 0; j < i && !found; j++)
            found = levels->items[j].id == level->source && level->width % levels->items[j].width == 0;
        if (!found && level->kind != TS_LEVEL_DEAD)
            return false;
    }
    return true;
}

int ts_store_read_levels(sqlite3 *db, const struct ts_grid *grid, struct ts_levels *ret_levels)
{
    struct ts_levels levels = {.grid = *grid};
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, TS_SQL_LEVELS, -1, &stmt, NULL);
    while (!rc && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        rc = SQLITE_OK;
        if (levels.n == TS_LEVELS_MAX) {
            rc = SQLITE_CORRUPT;
            break;
        }
        int64_t v[14];
        for (int i = 0; i < 14; i++)
            v[i] = sqlite3_column_int64(stmt, i);
        levels.items[levels.n++] = (struct ts_level){
            .id = v[0],
            .kind = (enum ts_level_kind)v[1],
            .width = v[2],
            .keep = v[3],
            .ratio = v[2] / grid->time_slice,
            .since = v[4],
            .live = v[5],
            .source = v[6],
            .built = {v[7], (uint32_t)v[8], (uint32_t)v[9]},
            .built_profiles = {v[10], (uint32_t)v[11], 0},
            .view_from = v[12],
            .view_to = v[13],
        };
    }
    sqlite3_finalize(stmt);
    if (rc != SQLITE_DONE)
        return rc;
    if (!is_sound(&levels))
        return SQLITE_CORRUPT;
    *ret_levels = levels;
    return SQLITE_OK;
}

int ts_store_write_levels(struct ts_store *store, const struct ts_levels *levels)
{
    sqlite3_stmt *stmt = store->stmts[TS_PUT_LEVEL];
    int rc = ts_store_run(store->stmts[TS_DROP_LEVELS]);
    for (size_t i = 0; !rc && i < levels->n; i++) {
        const struct ts_level *l = &levels->items[i];
        const int64_t values[] = {l->id,
                                  l->kind,
                                  l->width,
                                  l->keep,
                                  l->since,
                                  l->live,
                                  l->source,
                                  l->built.bucket,
                                  l->built.labels,
                                  l->built.location,
                                  l->built_profiles.bucket,
                                  l->built_profiles.labels,
                                  l->view_from,
                                  l->view_to};
        for (int j = 0; j < 14; j++)
            sqlite3_bind_int64(stmt, j + 1, values[j]);
        rc = ts_store_run(stmt);
    }
    return rc;
}

/* ---- Adapting to the configuration ---- */

struct adapting {
    struct ts_store *store;
    const struct ts_store_config *config;
    int rc;
};

/* INT64_MIN where there is none. */
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

static void tell(void *data, const char *words)
{
    struct adapting *adapting = data;
    if (adapting->config->on_log)
        adapting->config->on_log(adapting->config->data, words);
}

static void purge(void *data, const struct ts_level *level)
{
    struct adapting *adapting = data;
    char sql[200];
    snprintf(sql, sizeof(sql),
             "DELETE FROM sums WHERE level = %lld AND bucket < %lld;"
             " DELETE FROM profiles WHERE level = %lld AND bucket < %lld",
             (long long)level->id, (long long)level->since, (long long)level->id, (long long)level->since);
    if (!adapting->rc)
        adapting->rc = ts_sql_exec(adapting->store->db, sql);
}

static void begin(void *data, const struct ts_level *level, const struct ts_level *source)
{
    struct adapting *adapting = data;
    long long bucket = ts_floor_div((ts_i128)source->since * source->ratio, level->ratio);
    long long from = source->since;
    long long to = level->built.bucket;
    if (adapting->rc)
        return;
    char *sql = sqlite3_mprintf(
        "INSERT INTO sums SELECT %lld, %lld, labels, location, cumtime, tottime, ncalls, pcalls FROM sums"
        " WHERE level = %lld AND bucket >= %lld AND bucket < %lld ORDER BY bucket" TS_SQL_ADD_SUMS ";"
        "INSERT INTO profiles SELECT %lld, %lld, labels, profiles, exact_profiles, total_tt, parts_expected,"
        " parts_received FROM profiles WHERE level = %lld AND bucket >= %lld AND bucket < %lld ORDER BY bucket" TS_SQL_ADD_PROFILES,
        level->id, bucket, source->id, from, to, level->id, bucket, source->id, from, to);
    adapting->rc = sql ? ts_sql_exec(adapting->store->db, sql) : SQLITE_NOMEM;
    sqlite3_free(sql);
}

/* The retention of a configuration that has none: level 0, for ever. */
static size_t retention_of(const struct ts_store_config *config, const struct ts_retention **ret,
                           struct ts_retention *single)
{
    *single = (struct ts_retention){.width = config->grid.time_slice, .keep = INT64_MAX / 2};
    *ret = config->n_retention ? config->retention : single;
    return config->n_retention ? config->n_retention : 1;
}

/* What age is measured by, from this start on: a clock that has jumped ahead takes it a day further at most. */
static int64_t next_horizon(int64_t stored, int64_t now)
{
    if (!stored)
        return now;
    return now <= stored ? stored : now - stored > DAY ? stored + DAY : now;
}

static int adapt_levels(struct adapting *adapting, struct ts_levels *levels, bool *ret_changed)
{
    const struct ts_levels_callbacks changes = {last_bucket, tell, purge, begin, adapting};
    const struct ts_retention *retention;
    struct ts_retention single;
    size_t n = retention_of(adapting->config, &retention, &single);
    /* After many changes in a row, before the rows of the levels before have gone: now, then. */
    for (size_t i = levels->n; !adapting->rc && levels->n > TS_LEVELS_MAX / 2 && i-- > 0;) {
        if (levels->items[i].kind != TS_LEVEL_DEAD)
            break; /* they are at the end */
        levels->items[i].since = INT64_MAX;
        purge(adapting, &levels->items[i]);
        levels->n--;
    }
    return ts_levels_adapt(levels, retention, n, adapting->store->horizon, &changes, ret_changed);
}

/* Are these the configuration's levels already? On a copy, without a word and without a write. */
static bool is_adapted(const struct adapting *adapting, const struct ts_levels *levels)
{
    const struct ts_retention *retention;
    struct ts_retention single;
    size_t n = retention_of(adapting->config, &retention, &single);
    size_t kept = 0;
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *level = &levels->items[i];
        bool wanted = false;
        for (size_t j = 0; j < n; j++)
            wanted = wanted || (retention[j].width == level->width && retention[j].keep == level->keep);
        if (level->kind == TS_LEVEL_CONFIGURED && !wanted)
            return false;
        kept += level->kind == TS_LEVEL_CONFIGURED;
    }
    return kept == n;
}

static int bring_up_to_date(struct adapting *adapting, const char *upgrade, struct ts_levels *levels)
{
    struct ts_store *store = adapting->store;
    const struct ts_retention *retention;
    struct ts_retention single;
    (void)retention_of(adapting->config, &retention, &single);
    int rc = ts_sql_exec(store->db, upgrade);
    for (int i = 0; !rc && i < TS_N_STATEMENTS; i++) {
        if (!store->stmts[i])
            rc = ts_sql_prepare(store->db, ts_sql_statement(i), &store->stmts[i]);
    }
    *levels = (struct ts_levels){.grid = store->levels.grid, .n = 1};
    levels->items[0] = (struct ts_level){.width = levels->grid.time_slice,
                                         .keep = retention[0].keep,
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
    bool changed = false;
    int64_t stored = upgrade ? INT64_MIN : get_integer(&adapting, "SELECT horizon FROM uptime WHERE one = ?1", 1);
    int rc = adapting.rc;
    store->horizon = next_horizon(stored == INT64_MIN ? 0 : stored, config->now);
    /* Without a change nothing is written: what is refused later on has to be as it was. */
    if (!rc && !upgrade && is_adapted(&adapting, &levels))
        return 0;
    if (!rc)
        rc = ts_sql_exec(store->db, "BEGIN IMMEDIATE");
    if (!rc && upgrade)
        rc = bring_up_to_date(&adapting, upgrade, &levels);
    int r = rc ? 0 : adapt_levels(&adapting, &levels, &changed);
    if (!rc)
        rc = adapting.rc;
    if (r && !rc) {
        ts_store_roll_back(store);
        ts_sql_say(ret_error, "the database still has too many levels of earlier configurations; start it with the"
                              " retention it had, and let it tidy up");
        return TS_EREFUSED;
    }
    if (!rc)
        rc = ts_store_write_levels(store, &levels);
    if (!rc) {
        sqlite3_bind_int64(store->stmts[TS_PUT_UPTIME], 1, 0);
        sqlite3_bind_int64(store->stmts[TS_PUT_UPTIME], 2, store->horizon);
        rc = ts_store_run(store->stmts[TS_PUT_UPTIME]);
    }
    if (!rc)
        rc = ts_sql_exec(store->db, "COMMIT");
    if (rc) {
        ts_sql_message(ret_error, store->db, rc,
                       upgrade ? "cannot bring the database to this version's schema"
                               : "cannot adapt the database to aggregation.retention");
        ts_store_roll_back(store);
        return ts_sql_code(rc);
    }
    store->levels = levels;
    return 0;
}

/* ---- Deltas into every level ---- */

static int compare_keys(const void *a, const void *b)
{
    const struct ts_sort_key *x = a;
    const struct ts_sort_key *y = b;
    if (x->bucket != y->bucket)
        return x->bucket < y->bucket ? -1 : 1;
    return x->rest < y->rest ? -1 : x->rest > y->rest;
}

/* Integers cannot fail to bind; the step would show a misuse. */
static int put_row(sqlite3_stmt *stmt, const int64_t *values, int n)
{
    for (int i = 0; i < n; i++)
        sqlite3_bind_int64(stmt, 1 + i, values[i]);
    return ts_store_run(stmt);
}

int ts_store_put_sum(struct ts_store *store, int64_t level, int64_t bucket, uint32_t labels, uint32_t location,
                     const struct ts_sums *sums)
{
    const int64_t values[] = {level,         bucket,        labels,       location,
                              sums->cumtime, sums->tottime, sums->ncalls, sums->pcalls};
    return put_row(store->stmts[TS_PUT_SUM], values, 8);
}

int ts_store_put_profile(struct ts_store *store, int64_t level, int64_t bucket, uint32_t labels,
                         const struct ts_profile_sums *sums)
{
    const int64_t values[] = {level,
                              bucket,
                              labels,
                              sums->profiles,
                              sums->exact_profiles,
                              sums->total_tt,
                              sums->parts_expected,
                              sums->parts_received};
    return put_row(store->stmts[TS_PUT_PROFILE], values, 8);
}

/* The keys of one level, ascending, from those of level 0 in their order. Gives how many it takes. */
static size_t level_keys(const struct ts_levels *levels, const struct ts_level *level, const struct ts_sort_key *all,
                         size_t n_all, bool profiles, struct ts_sort_key *keys)
{
    size_t n = 0;
    bool ascending = true;
    for (size_t i = 0; i < n_all; i++) {
        struct ts_level_key key = {all[i].bucket, (uint32_t)(all[i].rest >> 32), (uint32_t)all[i].rest};
        if (!ts_level_takes(levels, level, &key, profiles))
            continue;
        keys[n] = all[i];
        keys[n].bucket = ts_level_bucket(level, all[i].bucket);
        ascending = ascending && (!n || compare_keys(&keys[n - 1], &keys[n]) <= 0);
        n++;
    }
    if (!ascending)
        qsort(keys, n, sizeof(*keys), compare_keys);
    return n;
}

static int put_level_sums(struct ts_store *store, const struct ts_levels *levels, const struct ts_level *level,
                          const struct ts_counters *counters)
{
    struct ts_sort_key *keys = store->keys + store->cap_keys;
    size_t n = level_keys(levels, level, store->keys, counters->n_rows, false, keys);
    int rc = SQLITE_OK;
    for (size_t i = 0; !rc && i < n;) {
        const struct ts_sort_key *key = &keys[i];
        struct ts_sums sums = counters->rows[key->row].sums;
        for (i++; i < n && compare_keys(key, &keys[i]) == 0; i++)
            store->saturated += ts_sums_add(&sums, &counters->rows[keys[i].row].sums);
        rc = ts_store_put_sum(store, level->id, key->bucket, (uint32_t)(key->rest >> 32), (uint32_t)key->rest, &sums);
    }
    return rc;
}

static int put_level_profiles(struct ts_store *store, const struct ts_levels *levels, const struct ts_level *level,
                              const struct ts_counters *counters)
{
    struct ts_sort_key *keys = store->keys + store->cap_keys;
    size_t n = level_keys(levels, level, store->keys, counters->n_profiles, true, keys);
    int rc = SQLITE_OK;
    for (size_t i = 0; !rc && i < n;) {
        const struct ts_sort_key *key = &keys[i];
        struct ts_profile_sums sums = counters->profiles[key->row].sums;
        for (i++; i < n && compare_keys(key, &keys[i]) == 0; i++)
            store->saturated += ts_profile_sums_add(&sums, &counters->profiles[keys[i].row].sums);
        rc = ts_store_put_profile(store, level->id, key->bucket, (uint32_t)(key->rest >> 32), &sums);
    }
    return rc;
}

/* Moves `since` of levels that are too fine for something in the batch. True where one has moved. */
static bool pass_by(struct ts_levels *levels, const struct ts_counters *counters, int64_t horizon)
{
    int64_t oldest = INT64_MAX;
    bool moved = false;
    for (uint32_t i = 0; i < counters->n_profiles; i++)
        oldest = counters->profiles[i].bucket < oldest ? counters->profiles[i].bucket : oldest;
    for (uint32_t i = 0; i < counters->n_rows; i++)
        oldest = counters->rows[i].bucket < oldest ? counters->rows[i].bucket : oldest;
    for (size_t i = 0; i < levels->n && oldest < INT64_MAX; i++) {
        struct ts_level *level = &levels->items[i];
        if (level->kind != TS_LEVEL_CONFIGURED || ts_level_is_longest(levels, level))
            continue;
        int64_t bound = ts_level_bound(levels, level, horizon);
        int64_t bucket = ts_level_bucket(level, oldest);
        if (bucket >= level->since && bucket < bound) {
            ts_level_advance(levels, level, bound);
            moved = true;
        }
    }
    if (moved)
        ts_levels_set_view(levels);
    return moved;
}

int ts_store_put_counters(struct ts_store *store, const struct ts_counters *counters, int64_t horizon,
                          struct ts_levels *ret_levels)
{
    int rc = SQLITE_OK;
    *ret_levels = store->levels;
    if (pass_by(ret_levels, counters, horizon))
        rc = ts_store_write_levels(store, ret_levels);
    for (uint32_t i = 0; i < counters->n_rows; i++) {
        const struct ts_sum_row *row = &counters->rows[i];
        store->keys[i] = (struct ts_sort_key){row->bucket, (uint64_t)row->labels << 32 | row->location, i};
    }
    qsort(store->keys, counters->n_rows, sizeof(*store->keys), compare_keys);
    for (size_t i = 0; !rc && i < ret_levels->n; i++) {
        if (ret_levels->items[i].kind != TS_LEVEL_DEAD)
            rc = put_level_sums(store, ret_levels, &ret_levels->items[i], counters);
    }
    for (uint32_t i = 0; i < counters->n_profiles; i++) {
        const struct ts_profile_row *row = &counters->profiles[i];
        store->keys[i] = (struct ts_sort_key){row->bucket, (uint64_t)row->labels << 32, i};
    }
    qsort(store->keys, counters->n_profiles, sizeof(*store->keys), compare_keys);
    for (size_t i = 0; !rc && i < ret_levels->n; i++) {
        if (ret_levels->items[i].kind != TS_LEVEL_DEAD)
            rc = put_level_profiles(store, ret_levels, &ret_levels->items[i], counters);
    }
    return rc;
}
