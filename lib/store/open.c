/*
 * The store on SQLite, the writing half: the one connection of the process that writes and checkpoints.
 *
 * Opening, each step under the lock of the one before:
 *
 *     resolve name -> lock -> header and length (plain read) -> [create] -> connection -> version, schema, grid -> work
 *
 * Up to "work" nothing is written, so a refused file is byte for byte what it was. Reading a database with a hot log
 * builds an index of it in shared memory (-shm) and no more; checkpoint-on-close, which would write, stays off until
 * the file is known to be ours. Without a log, closing deletes the empty one that reading made.
 *
 * A commit: BEGIN IMMEDIATE; names; sums, ascending by primary key so that each page is visited once; COMMIT; now and
 * then a checkpoint. Any failure before COMMIT is done ends in ROLLBACK, and the same batch may come again, numbers
 * and all.
 *
 * Sync. The default autocheckpoint swallows errors, a failed fsync of the database included: its next attempt would
 * succeed on pages the kernel has dropped and then reset the log that still had them. So checkpoints are run here and
 * their errors seen. After a failed sync the store is dead: every commit says TS_ESYNC, closing does not checkpoint.
 * What a killed process left in the log may never have been synced; opening checkpoints it before anyone is told that
 * it is stored.
 *
 * Saturation. SQLite turns an integer overflow into a REAL, which a STRICT table refuses, failing the batch for ever;
 * the function ts_add() is registered for the upserts instead.
 *
 * Not here: threads (one at a time), time, retry.
 */
#include "lib/aggregate/plan.h"
#include "lib/base/text.h"
#include "lib/base/units.h"
#include "lib/store/file.h"
#include "lib/store/schema.h"
#include "lib/store/writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CHECKPOINT_PAGES = 1000 /* SQLite's own default */ };

/* Keys from a place in a level's order on. */
#define FROM_KEY3 " WHERE level = ?1 AND (bucket, labels, location) >= (?2, ?3, ?4)"
#define FROM_KEY2 " WHERE level = ?1 AND (bucket, labels) >= (?2, ?3)"

#define AT_KEY " WHERE level = ?1 AND bucket = ?2 AND labels = ?3"
static const char *const statements[TS_N_STATEMENTS] = {
    [TS_BEGIN] = "BEGIN IMMEDIATE",
    [TS_COMMIT] = "COMMIT",
    [TS_PUT_LOCATION] = "INSERT INTO locations(id, raw_name, file_name, line_number) VALUES(?1, ?2, ?3, ?4)",
    [TS_PUT_LABEL_SET] = "INSERT INTO label_sets(id, labels) VALUES(?1, ?2)",
    [TS_PUT_SUM] = "INSERT INTO sums(level, bucket, labels, location, cumtime, tottime, ncalls, pcalls)"
                   " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)" TS_SQL_ADD_SUMS,
    [TS_PUT_PROFILE] = "INSERT INTO profiles(level, bucket, labels, profiles, exact_profiles, total_tt, parts_expected,"
                       " parts_received) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)" TS_SQL_ADD_PROFILES,
    [TS_GET_LOCATIONS] = TS_SQL_LOCATIONS,
    [TS_GET_LABEL_SETS] = TS_SQL_LABEL_SETS,
    [TS_CHECK_VIEW] = "SELECT bucket, width, function, cumtime, tottime, ncalls, pcalls FROM bucket_totals",
    [TS_PUT_CLIENT] = ("INSERT INTO clients(client, last_seq, used) VALUES(?1, ?2, ?3) ON CONFLICT DO UPDATE SET"
                       " last_seq = excluded.last_seq, used = excluded.used"),
    [TS_DROP_CLIENT] = "DELETE FROM clients WHERE client = ?1",
    [TS_GET_CLIENTS] = TS_SQL_CLIENTS,
    [TS_PUT_UPTIME] = "UPDATE uptime SET uptime = max(uptime, ?1), horizon = max(horizon, ?2)",
    [TS_PUT_LEVEL] = ("INSERT INTO levels(level, kind, width, keep, since, live, source, built_bucket, built_labels,"
                      " built_location, built_profiles_bucket, built_profiles_labels, view_from, view_to)"
                      " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"),
    [TS_DROP_LEVELS] = "DELETE FROM levels",
    [TS_FIND_LOCATION] = ("SELECT id FROM locations WHERE raw_name = ?1 AND ifnull(file_name, x'') = ifnull(?2, x'')"
                          " AND ifnull(line_number, -1) = ifnull(?3, -1)"),
    [TS_SUMS_FROM] = ("SELECT bucket, labels, location, cumtime, tottime, ncalls, pcalls FROM sums" FROM_KEY3
                      " AND bucket < ?5 ORDER BY bucket, labels, location LIMIT ?6"),
    [TS_PROFILES_FROM] = ("SELECT bucket, labels, profiles, exact_profiles, total_tt, parts_expected, parts_received"
                          " FROM profiles" FROM_KEY2 " AND bucket < ?4 ORDER BY bucket, labels LIMIT ?5"),
    [TS_SUMS_OLDER] = "SELECT 1 FROM sums WHERE level = ?1 AND bucket < ?2 LIMIT 1",
    [TS_PROFILES_OLDER] = "SELECT 1 FROM profiles WHERE level = ?1 AND bucket < ?2 LIMIT 1",
    [TS_SUMS_CUT] = ("SELECT bucket, labels, location FROM sums WHERE level = ?1 AND bucket < ?2"
                     " ORDER BY bucket, labels, location LIMIT 1 OFFSET ?3"),
    [TS_PROFILES_CUT] = ("SELECT bucket, labels FROM profiles WHERE level = ?1 AND bucket < ?2"
                         " ORDER BY bucket, labels LIMIT 1 OFFSET ?3"),
    [TS_PRUNE_SUMS] = ("DELETE FROM sums WHERE level = ?1 AND bucket <= ?2"
                       " AND (bucket, labels, location) < (?2, ?3, ?4)"),
    [TS_PRUNE_PROFILES] = "DELETE FROM profiles WHERE level = ?1 AND bucket <= ?2 AND (bucket, labels) < (?2, ?3)",
    [TS_OLDEST] = "SELECT min(bucket) FROM profiles WHERE level = ?1 AND bucket >= ?2",
    [TS_NEXT_SUM] = "SELECT min(bucket) FROM sums WHERE level = ?1 AND bucket >= ?2",
    [TS_NEXT_PROFILE] = "SELECT min(bucket) FROM profiles WHERE level = ?1 AND bucket >= ?2",
    [TS_DROP_LOCATION] = "DELETE FROM locations WHERE id = ?1",
    [TS_DROP_LABEL_SET] = "DELETE FROM label_sets WHERE id = ?1",
    [TS_SUM_AT] = "SELECT cumtime, tottime, ncalls, pcalls FROM sums" AT_KEY " AND location = ?4",
    [TS_PROFILE_AT] =
        ("SELECT profiles, exact_profiles, total_tt, parts_expected, parts_received FROM profiles" AT_KEY),
    [TS_SET_SUM] = ("UPDATE sums SET cumtime = ?5, tottime = ?6, ncalls = ?7, pcalls = ?8" AT_KEY " AND location = ?4"),
    [TS_SET_PROFILE] = ("UPDATE profiles SET profiles = ?4, exact_profiles = ?5, total_tt = ?6, parts_expected = ?7,"
                        " parts_received = ?8" AT_KEY),
    [TS_DROP_SUM] = "DELETE FROM sums" AT_KEY " AND location = ?4",
    [TS_DROP_PROFILE] = "DELETE FROM profiles" AT_KEY,
};

const char *ts_sql_statement(int which)
{
    return statements[which];
}

/* ---- Opening ---- */

static void sql_add(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    (void)argc;
    struct ts_store *store = sqlite3_user_data(context);
    int64_t stored = sqlite3_value_int64(argv[0]);
    int64_t sum = ts_sat_add(stored, sqlite3_value_int64(argv[1]));
    if ((sum == INT64_MAX || sum == INT64_MIN) && stored != sum)
        store->saturated++;
    sqlite3_result_int64(context, sum);
}

static int on_wal(void *data, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    struct ts_store *store = data;
    store->wal_pages = pages;
    return SQLITE_OK;
}

/* The origin as the configuration takes it, and as people read it. */
static void describe_time(int64_t ns, char *text, size_t size)
{
    struct ts_buf buf;
    struct tm tm;
    char date[32] = "";
    time_t seconds = (time_t)ts_floor_div(ns, TS_NS_PER_S);
    if (gmtime_r(&seconds, &tm) && strftime(date, sizeof(date), " (%Y-%m-%dT%H:%M:%SZ)", &tm) == 0)
        date[0] = '\0';
    ts_buf_init(&buf);
    ts_put_seconds(&buf, ns);
    snprintf(text, size, "%.*s%s", (int)buf.len, buf.data ? buf.data : "", date);
    ts_buf_deinit(&buf);
}

static int compare_grid(const struct ts_store_config *config, const char *path, const struct ts_grid *stored,
                        struct ts_store_error *ret_error)
{
    char have[64];
    char want[64];
    const char *key = NULL;
    if (stored->time_slice != config->grid.time_slice) {
        key = "time_slice";
        ts_format_duration(stored->time_slice, have);
        ts_format_duration(config->grid.time_slice, want);
    } else if (!config->start_time_is_now && stored->start_time != config->grid.start_time) {
        key = "start_time";
        describe_time(stored->start_time, have, sizeof(have));
        describe_time(config->grid.start_time, want, sizeof(want));
    }
    if (!key)
        return 0;
    ts_sql_say(ret_error,
               "the database %.200s has %s %s, the configuration says %s; set aggregation.%s back to the"
               " stored value, or choose another store.path",
               path, key, have, want, key);
    return TS_EREFUSED;
}

/* A code met while the file is judged. */
static int judge(struct ts_store *store, int rc, const char *path, struct ts_store_error *ret_error)
{
    struct ts_store_error why;
    ts_sql_message(&why, store->db, rc, "cannot open the database");
    /* SQLITE_ERROR: the statement does not fit the tables. */
    if (!ts_sql_damaged(rc) && rc != SQLITE_ERROR) {
        *ret_error = why;
        return ts_sql_code(rc);
    }
    ts_sql_say(ret_error,
               "the database %.160s is damaged (%.160s); restore it from a backup, or choose another"
               " store.path",
               path, sqlite3_errmsg(store->db));
    return TS_EREFUSED;
}

/* Runs a query of one row of integers. SQLITE_CORRUPT where the row is not there. */
static int get_integers(sqlite3 *db, const char *sql, int64_t *ret, int n)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (!rc) {
        rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW) {
            for (int i = 0; i < n; i++)
                ret[i] = sqlite3_column_int64(stmt, i);
            rc = SQLITE_OK;
        } else if (rc == SQLITE_DONE) {
            rc = SQLITE_CORRUPT;
        }
    }
    sqlite3_finalize(stmt);
    return rc;
}

#define FROM_2 "DROP VIEW bucket_totals; DROP TABLE levels;" TS_SCHEMA_LEVELS TS_SCHEMA_VIEW "PRAGMA user_version=3;"

/* From earlier versions, once everything else about the file is known to be right. */
static const char *const upgrades[TS_SCHEMA_VERSION] = {
    [1] = TS_SCHEMA_CLIENTS TS_SCHEMA_UPTIME FROM_2,
    [2] = TS_SCHEMA_HORIZON FROM_2,
};

static int identify(struct ts_store *store, const struct ts_store_config *config, const char *path,
                    const char **ret_upgrade, struct ts_store_error *ret_error)
{
    static const int known[TS_SCHEMA_VERSION + 1] = {0, TS_N_STATEMENTS_1, TS_N_STATEMENTS_2, TS_N_STATEMENTS};
    int64_t version = 0;
    int64_t values[3] = {0};
    int rc = get_integers(store->db, "PRAGMA user_version", &version, 1);
    if (!rc && (version < 1 || version > TS_SCHEMA_VERSION)) {
        /* Before anything else: of a newer file nothing else is known. */
        ts_sql_say(ret_error,
                   "the database %.200s has schema version %lld%s, this program knows version %d; %s, or"
                   " choose another store.path",
                   path, (long long)version,
                   version > TS_SCHEMA_VERSION ? ", made by a newer timesliced" : ", which never existed",
                   TS_SCHEMA_VERSION,
                   version > TS_SCHEMA_VERSION ? "install the newer one" : "restore it from a backup");
        return TS_EREFUSED;
    }
    if (!rc)
        rc = get_integers(store->db, "SELECT start_time, time_slice, width FROM grid, levels WHERE level = 0", values,
                          3);
    for (int i = 0; !rc && i < known[version]; i++)
        rc = ts_sql_prepare(store->db, statements[i], &store->stmts[i]);
    if (rc)
        return judge(store, rc, path, ret_error);
    struct ts_grid grid = {.start_time = values[0], .time_slice = values[1]};
    bool sound = grid.time_slice > 0 && grid.time_slice == values[2];
    store->levels.grid = grid;
    if (sound && version == TS_SCHEMA_VERSION) {
        rc = ts_store_read_levels(store->db, &grid, &store->levels);
        sound = rc != SQLITE_CORRUPT || sqlite3_errcode(store->db) == SQLITE_CORRUPT;
        if (rc && sound)
            return judge(store, rc, path, ret_error);
    }
    if (!sound) {
        ts_sql_say(ret_error,
                   "the database %.200s is damaged: its levels do not fit its grid; restore it from a"
                   " backup, or choose another store.path",
                   path);
        return TS_EREFUSED;
    }
    *ret_upgrade = version == TS_SCHEMA_VERSION ? NULL : upgrades[version];
    return compare_grid(config, path, &grid, ret_error);
}

static int checkpoint(struct ts_store *store, int mode)
{
    int rc = sqlite3_wal_checkpoint_v2(store->db, "main", mode, NULL, NULL);
    if (ts_sql_code(rc) == TS_ESYNC)
        store->dead = true;
    return rc;
}

/* The file is ours: from here on it may be written. */
static int start_work(struct ts_store *store, bool sync_each_commit, struct ts_store_error *ret_error)
{
    store->sync_each = sync_each_commit;
    /* Zeroing what is pruned would write every page that retention empties. */
    int rc = ts_sql_exec(store->db, "PRAGMA journal_mode=WAL; PRAGMA journal_size_limit=67108864;"
                                    " PRAGMA cache_size=-4096; PRAGMA secure_delete=OFF");
    if (!rc)
        rc = ts_sql_exec(store->db, sync_each_commit ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    if (!rc)
        rc = sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    sqlite3_wal_hook(store->db, on_wal, store);
    if (!rc) {
        rc = checkpoint(store, SQLITE_CHECKPOINT_TRUNCATE);
        /* The log is synced before its pages are moved; that a reader or a full disk stops the moving is no harm. */
        if (rc && !store->dead && !ts_sql_damaged(rc))
            rc = SQLITE_OK;
    }
    if (rc)
        ts_sql_message(ret_error, store->db, rc, "cannot open the database");
    return ts_sql_code(rc);
}

static int connect(struct ts_store *store, const char *path, bool hot, int busy_ms, struct ts_store_error *ret_error)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int rc = sqlite3_open_v2(path, &store->db, flags, NULL);
    if (!rc && sqlite3_db_readonly(store->db, "main") == 1) {
        ts_sql_say(ret_error, "the database %.256s may not be written: check owner and mode", path);
        return TS_ESTORE;
    }
    if (!rc)
        rc = sqlite3_busy_timeout(store->db, busy_ms);
    if (!rc && hot)
        rc = sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (!rc)
        rc = sqlite3_create_function_v2(store->db, "ts_add", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY,
                                        store, sql_add, NULL, NULL, NULL);
    if (!rc) /* none of these writes */
        rc = ts_sql_exec(store->db, "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0");
    return rc ? judge(store, rc, path, ret_error) : 0;
}

static int create(const struct ts_store_config *config, const char *path, struct ts_store_error *ret_error)
{
    const struct ts_retention single = {.width = config->grid.time_slice, .keep = INT64_MAX / 2};
    struct ts_levels levels;
    const struct ts_retention *retention = config->n_retention ? config->retention : &single;
    int r =
        ts_levels_make(&levels, &config->grid, retention, config->n_retention ? config->n_retention : 1, config->now);
    if (r) {
        ts_sql_say(ret_error, "aggregation.retention has too many levels");
        return TS_EREFUSED;
    }
    return ts_file_create(path, &levels, config->now, ret_error);
}

int ts_store_open(const struct ts_store_config *config, struct ts_store **ret_store, struct ts_grid *ret_grid,
                  struct ts_store_error *ret_error)
{
    const char *upgrade = NULL;
    bool missing = false;
    bool hot = false;
    char *path = NULL;
    int r = TS_ENOMEM;
    struct ts_store *store = calloc(1, sizeof(*store));
    if (!store) {
        ts_sql_say(ret_error, "out of memory");
        return r;
    }
    store->lock = -1;
    r = ts_file_resolve(config->path, &path, ret_error);
    if (!r)
        r = ts_file_lock(path, &store->lock, ret_error);
    if (!r)
        r = ts_file_inspect(path, &missing, &hot, ret_error);
    store->unclean = hot;
    if (!r && missing)
        r = create(config, path, ret_error);
    if (!r)
        r = connect(store, path, hot, config->busy_ms, ret_error);
    if (!r)
        r = identify(store, config, path, &upgrade, ret_error);
    if (!r)
        r = start_work(store, config->sync_each_commit, ret_error);
    if (!r)
        r = ts_store_adapt(store, config, upgrade, ret_error);
    if (!r)
        ts_file_remove_copy(path);
    free(path);
    if (r) {
        ts_store_close(store);
        return r;
    }
    *ret_store = store;
    *ret_grid = store->levels.grid;
    return 0;
}

struct ts_store *ts_store_close(struct ts_store *store)
{
    if (!store)
        return NULL;
    for (int i = 0; i < TS_N_STATEMENTS; i++)
        sqlite3_finalize(store->stmts[i]);
    if (store->dead)
        sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(store->db);
    /* Last: whoever gets the lock finds no connection of this process. */
    if (store->lock >= 0)
        close(store->lock);
    free(store->keys);
    free(store->rows);
    free(store);
    return NULL;
}

/* What is damaged will not be whole at the next try. */
static int loaded(struct ts_store *store, int r)
{
    return r == TS_ESTORE && ts_sql_damaged(sqlite3_extended_errcode(store->db)) ? TS_EREFUSED : r;
}

bool ts_store_was_unclean(const struct ts_store *store)
{
    return store->unclean;
}

const struct ts_levels *ts_store_levels(const struct ts_store *store)
{
    return &store->levels;
}

int ts_store_oldest(struct ts_store *store, const struct ts_level *level, int64_t *ret_begin)
{
    sqlite3_stmt *stmt = store->stmts[TS_OLDEST];
    struct ts_grid grid = {.start_time = store->levels.grid.start_time, .time_slice = level->width};
    sqlite3_bind_int64(stmt, 1, level->id);
    sqlite3_bind_int64(stmt, 2, level->since);
    int rc = sqlite3_step(stmt);
    bool found = rc == SQLITE_ROW && sqlite3_column_type(stmt, 0) != SQLITE_NULL;
    ts_i128 begin = found ? ts_grid_begin(&grid, sqlite3_column_int64(stmt, 0)) : INT64_MIN;
    sqlite3_reset(stmt);
    if (rc == SQLITE_ROW)
        *ret_begin = begin < INT64_MIN ? INT64_MIN : begin > INT64_MAX ? INT64_MAX : (int64_t)begin;
    return ts_sql_code(rc);
}

int64_t ts_store_horizon(const struct ts_store *store)
{
    return store->horizon;
}

/* ---- Names ---- */

static int bind_text(sqlite3_stmt *stmt, int i, const struct ts_str *text)
{
    if (!text->data)
        return sqlite3_bind_null(stmt, i);
    return sqlite3_bind_text64(stmt, i, text->data, text->len, SQLITE_STATIC, SQLITE_UTF8);
}

struct held {
    struct ts_counters last; /* by location: the last position it was seen at, as cumtime */
    ts_recent_location_cb cb;
    void *data;
    uint32_t largest;
    uint64_t n;
    bool all; /* sums could not be read: whoever asks for them will hear of it, names have to be known */
};

static int note_last(struct held *held, sqlite3_stmt *stmt, const struct ts_level *level)
{
    int64_t last = ts_level_position(level, sqlite3_column_int64(stmt, 0) + 1) - 1;
    if (ts_counters_reserve(&held->last, 1))
        return TS_ENOMEM;
    struct ts_sums sums = {0};
    uint32_t location = (uint32_t)sqlite3_column_int64(stmt, 1);
    ts_counters_add(&held->last, 0, 0, location, &sums);
    struct ts_sums *there = ts_counters_find(&held->last, 0, 0, location);
    if (there->ncalls == 0 || last > there->cumtime) /* ncalls: that it has been set */
        there->cumtime = last;
    there->ncalls = 1;
    return 0;
}

/* Which locations level 0 may still have, by the fewest rows: whole buckets of wider levels will do at the begin. */
static int read_held(struct ts_store *store, struct held *held)
{
    const struct ts_levels *levels = &store->levels;
    int64_t begin;
    int64_t end;
    int64_t widest = 1;
    int64_t from = ts_level_first_kept(levels, &levels->items[0], store->horizon);
    ts_plan_axis(levels, &begin, &end);
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *level = &levels->items[i];
        widest = level->kind != TS_LEVEL_DEAD && level->ratio > widest ? level->ratio : widest;
    }
    if (from <= begin || levels->items[0].since == INT64_MIN)
        from = begin;
    else
        from = ts_floor_div(from < end ? from : end, widest) * widest;
    struct ts_plan plan;
    int64_t gap;
    ts_plan_init(&plan);
    int r = ts_plan_make(levels, from > begin ? from : begin, end, (struct ts_plan_rule){0}, &plan, &gap);
    sqlite3_stmt *stmt = NULL;
    int rc = r < 0 ? SQLITE_OK
                   : sqlite3_prepare_v2(store->db,
                                        "SELECT bucket, location FROM sums WHERE level = ?1 AND bucket >= ?2"
                                        " AND bucket < ?3",
                                        -1, &stmt, NULL);
    for (size_t i = 0; !rc && r >= 0 && i < plan.n; i++) {
        sqlite3_bind_int64(stmt, 1, plan.items[i].level->id);
        sqlite3_bind_int64(stmt, 2, plan.items[i].from);
        sqlite3_bind_int64(stmt, 3, plan.items[i].to);
        while (r >= 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
            r = note_last(held, stmt, plan.items[i].level);
        rc = rc == SQLITE_DONE || r < 0 ? SQLITE_OK : rc;
        sqlite3_reset(stmt);
    }
    sqlite3_finalize(stmt);
    ts_plan_deinit(&plan);
    return r < 0 ? r : ts_sql_code(rc);
}

static int on_location(void *data, uint32_t id, const struct ts_location *location)
{
    struct held *held = data;
    const struct ts_sums *last = ts_counters_find(&held->last, 0, 0, id);
    held->largest = id;
    if (held->all)
        return held->cb(held->data, id, location, INT64_MAX);
    return last ? held->cb(held->data, id, location, last->cumtime) : (held->n++, 0);
}

int ts_store_load_names(struct ts_store *store, ts_recent_location_cb on_held, ts_labels_cb on_labels, void *data,
                        struct ts_store_names *ret_names)
{
    struct held held = {.cb = on_held, .data = data};
    ts_counters_init(&held.last);
    int r = read_held(store, &held);
    held.all = r && r != TS_ENOMEM;
    if (r != TS_ENOMEM)
        r = ts_sql_walk_locations(store->stmts[TS_GET_LOCATIONS], NULL, on_location, &held);
    if (!r)
        r = ts_sql_walk_label_sets(store->stmts[TS_GET_LABEL_SETS], NULL, on_labels, data);
    ts_counters_deinit(&held.last);
    if (!r)
        *ret_names = (struct ts_store_names){.largest_location = held.largest, .not_loaded = held.n};
    return loaded(store, r);
}

/* The number of the row that the bound statement finds; 0: none. */
static int find_id(sqlite3_stmt *stmt, uint32_t *ret_id)
{
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *ret_id = (uint32_t)sqlite3_column_int64(stmt, 0);
    else
        *ret_id = 0;
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt); /* the bytes are the caller's */
    return ts_sql_code(rc);
}

int ts_store_find_location(struct ts_store *store, const struct ts_location *key, uint32_t *ret_id)
{
    sqlite3_stmt *stmt = store->stmts[TS_FIND_LOCATION];
    int rc = bind_text(stmt, 1, &key->raw_name);
    if (!rc)
        rc = bind_text(stmt, 2, &key->file_name);
    if (!rc)
        rc = key->line_number < 0 ? sqlite3_bind_null(stmt, 3) : sqlite3_bind_int(stmt, 3, key->line_number);
    return rc ? ts_sql_code(rc) : find_id(stmt, ret_id);
}

int ts_store_load_clients(struct ts_store *store, ts_client_cb on_client, void *data)
{
    sqlite3_stmt *stmt = store->stmts[TS_GET_CLIENTS];
    int rc;
    int r = 0;
    while (!r && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(stmt, 0);
        if (!text)
            r = TS_ENOMEM;
        else
            r = on_client(data, (struct ts_str){text, (size_t)sqlite3_column_bytes(stmt, 0)},
                          (uint64_t)sqlite3_column_int64(stmt, 1), sqlite3_column_int64(stmt, 2));
    }
    sqlite3_reset(stmt);
    return r ? r : rc == SQLITE_DONE ? 0 : loaded(store, ts_sql_code(rc));
}

int ts_store_load_uptime(struct ts_store *store, int64_t *ret_uptime)
{
    return loaded(store, ts_sql_code(get_integers(store->db, "SELECT uptime FROM uptime", ret_uptime, 1)));
}

/* ---- Committing ---- */

int ts_store_run(sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int put_names(struct ts_store *store, const struct ts_store_batch *batch)
{
    int rc = SQLITE_OK;
    sqlite3_stmt *stmt = store->stmts[TS_PUT_LABEL_SET];
    for (uint32_t i = 0; !rc && i < batch->n_label_sets; i++) {
        rc = sqlite3_bind_int64(stmt, 1, (int64_t)batch->first_label_set + i);
        if (!rc)
            rc = bind_text(stmt, 2, &batch->label_sets[i].raw_name);
        if (!rc)
            rc = ts_store_run(stmt);
    }
    sqlite3_clear_bindings(stmt);
    stmt = store->stmts[TS_PUT_LOCATION];
    for (uint32_t i = 0; !rc && i < batch->n_locations; i++) {
        const struct ts_location *location = &batch->locations[i];
        rc = sqlite3_bind_int64(stmt, 1, (int64_t)batch->first_location + i);
        if (!rc)
            rc = bind_text(stmt, 2, &location->raw_name);
        if (!rc)
            rc = bind_text(stmt, 3, &location->file_name);
        if (!rc)
            rc = location->line_number < 0 ? sqlite3_bind_null(stmt, 4)
                                           : sqlite3_bind_int(stmt, 4, location->line_number);
        if (!rc)
            rc = ts_store_run(stmt);
    }
    /* The bytes are the caller's and go when the commit returns. */
    sqlite3_clear_bindings(stmt);
    return rc;
}

/* Room to sort the larger of the two kinds of rows. */
static int reserve_keys(struct ts_store *store, const struct ts_counters *counters)
{
    size_t n = counters->n_rows > counters->n_profiles ? counters->n_rows : counters->n_profiles;
    if (n <= store->cap_keys && store->keys)
        return 0;
    struct ts_sort_key *keys = realloc(store->keys, 2 * (n + 64) * sizeof(*keys));
    if (!keys)
        return TS_ENOMEM;
    store->keys = keys;
    store->cap_keys = n + 64;
    return 0;
}

/* Many failures have ended it already; a failed COMMIT may not have. */
void ts_store_roll_back(struct ts_store *store)
{
    if (!sqlite3_get_autocommit(store->db))
        ts_sql_exec(store->db, "ROLLBACK");
}

static int put_clients(struct ts_store *store, const struct ts_store_batch *batch)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; !rc && i < batch->n_clients; i++) {
        const struct ts_client_row *row = &batch->clients[i];
        sqlite3_stmt *stmt = store->stmts[row->remove ? TS_DROP_CLIENT : TS_PUT_CLIENT];
        rc = sqlite3_bind_text(stmt, 1, row->client, -1, SQLITE_STATIC);
        if (!rc && !row->remove) {
            sqlite3_bind_int64(stmt, 2, (int64_t)row->last_seq);
            sqlite3_bind_int64(stmt, 3, batch->uptime);
        }
        if (!rc)
            rc = ts_store_run(stmt);
        sqlite3_clear_bindings(stmt);
    }
    if (!rc) {
        sqlite3_bind_int64(store->stmts[TS_PUT_UPTIME], 1, batch->uptime);
        sqlite3_bind_int64(store->stmts[TS_PUT_UPTIME], 2, batch->horizon);
        rc = ts_store_run(store->stmts[TS_PUT_UPTIME]);
    }
    return rc;
}

static int put_batch(struct ts_store *store, const struct ts_store_batch *batch, struct ts_levels *ret_levels)
{
    int rc = put_names(store, batch);
    if (!rc && batch->counters)
        rc = ts_store_put_counters(store, batch->counters, batch->horizon, ret_levels);
    if (!rc)
        rc = put_clients(store, batch);
    return rc ? rc : ts_store_run(store->stmts[TS_COMMIT]);
}

int ts_store_commit(struct ts_store *store, const struct ts_store_batch *batch, uint64_t *ret_saturated,
                    struct ts_store_error *ret_error)
{
    static const struct ts_counters none;
    const struct ts_counters *counters = batch->counters ? batch->counters : &none;
    if (store->dead) {
        ts_sql_say(ret_error, "the store could not sync earlier; the process must end");
        return TS_ESYNC;
    }
    if (!counters->n_rows && !counters->n_profiles && !batch->n_locations && !batch->n_label_sets &&
        !batch->n_clients) {
        *ret_saturated = 0;
        return 0;
    }
    if (reserve_keys(store, counters)) {
        ts_sql_say(ret_error, "cannot commit: out of memory");
        return TS_ESTORE;
    }
    store->saturated = 0;
    ts_store_roll_back(store); /* one whose ROLLBACK failed, too */
    errno = 0;                 /* for ts_sql_message() */
    struct ts_levels levels = store->levels;
    int rc = ts_store_run(store->stmts[TS_BEGIN]);
    if (!rc)
        rc = put_batch(store, batch, &levels);
    if (rc) {
        ts_sql_message(ret_error, store->db, rc, "cannot commit"); /* before the rollback overwrites the words */
        ts_store_roll_back(store);
        int r = ts_sql_code(rc);
        store->dead = r == TS_ESYNC;
        return r == TS_ECANCELED ? TS_ESTORE : r;
    }
    store->levels = levels;
    *ret_saturated = store->saturated;
    return ts_store_checkpoint(store, CHECKPOINT_PAGES, ret_error);
}

int ts_store_checkpoint(struct ts_store *store, int pages, struct ts_store_error *ret_error)
{
    if (store->wal_pages < pages)
        return 0;
    int rc = checkpoint(store, SQLITE_CHECKPOINT_PASSIVE);
    /* What was committed is stored in the log; whatever else keeps its pages from moving on, a later one tries again.
     */
    if (!store->dead)
        return 0;
    ts_sql_message(ret_error, store->db, rc, "cannot checkpoint");
    return TS_ESYNC;
}
