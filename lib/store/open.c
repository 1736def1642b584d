/*
 * Opening and closing the writing connection.
 *
 * Opening, each step but the first inspection protected by the lock:
 *
 *     resolve name -> [inspect if there is no lock file] -> lock -> header and length (plain read) -> [create] ->
 * connect -> identify -> start work -> adapt
 *
 * Up to "identify" nothing is written, so a refused file is byte for byte what it was. Reading a database with a hot
 * log only builds the log's index in shared memory (-shm). A checkpoint at closing would write, so it stays disabled
 * until the file is identified. Without a log, closing deletes the empty log that reading has created.
 *
 * The last process may have been killed before it synced its log. Opening checkpoints that log, with a sync, before
 * anything in it is reported as stored.
 */
#include "lib/aggregate/retention.h"
#include "lib/store/adapt.h"
#include "lib/store/file.h"
#include "lib/store/identify.h"
#include "lib/store/temporary.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

/* The SQL function ts_add(stored, delta): saturates, and counts sums that reach a bound. */
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

/* From here on the file is written. */
static int start_work(struct ts_store *store, bool sync_each_commit, struct ts_store_error *ret_error)
{
    store->sync_each = sync_each_commit;
    /* secure_delete would write every page that pruning empties. */
    int rc = ts_sql_exec(store->db, "PRAGMA journal_mode=WAL; PRAGMA journal_size_limit=67108864;"
                                    " PRAGMA cache_size=-4096; PRAGMA secure_delete=OFF");
    if (!rc)
        rc = ts_sql_exec(store->db, sync_each_commit ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    if (!rc)
        rc = sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    sqlite3_wal_hook(store->db, on_wal, store);
    if (!rc) {
        rc = ts_store_empty_log(store);
        /* The log is synced before its pages are moved. If a reader or a full disk prevents the moving, that is no
         * harm. */
        if (rc && !store->dead && !ts_sql_damaged(rc))
            rc = SQLITE_OK;
    }
    if (rc)
        ts_sql_set_error(ret_error, store->db, rc, "cannot open the database");
    return ts_sql_code(rc);
}

static int connect(struct ts_store *store, const char *path, bool hot, int busy_ms, struct ts_store_error *ret_error)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int rc = sqlite3_open_v2(path, &store->db, flags, NULL);
    if (!rc && sqlite3_db_readonly(store->db, "main") == 1) {
        ts_sql_format_error(ret_error, "the database %.256s is not writable; check its owner and mode", path);
        return TS_EREFUSED;
    }
    if (!rc)
        rc = sqlite3_busy_timeout(store->db, busy_ms);
    store->busy_ms = busy_ms;
    if (!rc && hot)
        rc = sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (!rc)
        rc = sqlite3_create_function_v2(store->db, "ts_add", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY,
                                        store, sql_add, NULL, NULL, NULL);
    if (!rc) /* none of these pragmas writes */
        rc = ts_sql_exec(store->db, "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0");
    return rc ? ts_store_identify_fail(store, rc, path, ret_error) : 0;
}

static int create(const struct ts_store_config *config, const char *path, struct ts_store_error *ret_error)
{
    struct ts_levels levels;
    if (ts_levels_make(&levels, &config->grid, config->retention, config->n_retention, config->now)) {
        ts_sql_format_error(ret_error, "aggregation.retention has too many levels");
        return TS_EREFUSED;
    }
    return ts_file_create(path, &levels, config->now, ret_error);
}

static int open_file(struct ts_store *store, const struct ts_store_config *config, const char *path,
                     struct ts_store_error *ret_error)
{
    const char *upgrade = NULL;
    bool missing = false;
    bool hot = false;
    /* A file that is refused gets no lock file beside it. If there is one, its owner may be writing the header now. */
    int r = ts_file_has_lock(path) ? 0 : ts_file_inspect(path, &missing, &hot, ret_error);
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
        r = ts_store_identify(store, config, path, &upgrade, ret_error);
    if (!r)
        r = start_work(store, config->sync_each_commit, ret_error);
    if (!r)
        r = ts_store_adapt(store, config, upgrade, ret_error);
    if (!r)
        r = ts_guard_init(&store->guard, path, ret_error);
    if (!r)
        ts_temporary_remove_all(path);
    return r;
}

int ts_store_open(const struct ts_store_config *config, struct ts_store **ret_store, struct ts_grid *ret_grid,
                  struct ts_store_error *ret_error)
{
    const struct ts_retention single = {.width = config->grid.time_slice, .keep = INT64_MAX / 2};
    struct ts_store_config complete = *config;
    if (!complete.n_retention) {
        complete.retention = &single;
        complete.n_retention = 1;
    }
    char *path = NULL;
    struct ts_store *store = calloc(1, sizeof(*store));
    if (!store) {
        ts_sql_format_error(ret_error, "out of memory");
        return TS_ENOMEM;
    }
    store->lock = -1;
    int r = ts_file_resolve(config->path, &path, ret_error);
    if (!r)
        r = open_file(store, &complete, path, ret_error);
    free(path);
    if (r) {
        ts_store_close(store);
        return r;
    }
    *ret_store = store;
    *ret_grid = store->levels.grid;
    return 0;
}

int ts_store_inspect(const char *path, struct ts_store_error *ret_error)
{
    char *resolved = NULL;
    bool missing;
    bool hot;
    int r = ts_file_resolve(path, &resolved, ret_error);
    if (!r)
        r = ts_file_inspect(resolved, &missing, &hot, ret_error);
    free(resolved);
    return r;
}

struct ts_store *ts_store_close(struct ts_store *store)
{
    if (!store)
        return NULL;
    for (int i = 0; i < TS_N_STATEMENTS; i++)
        sqlite3_finalize(store->stmts[i]);
    if (store->dead)
        sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    int rc = sqlite3_close(store->db);
    assert(rc == SQLITE_OK); /* no statement and no copy is left */
    (void)rc;
    /* Last: when another process gets the lock, this one has no connection to the file. */
    if (store->lock >= 0)
        close(store->lock);
    ts_guard_deinit(&store->guard);
    free(store->keys);
    free(store->rows);
    free(store);
    return NULL;
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
