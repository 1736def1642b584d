/*
 * Transactions and checkpoints of the writing connection.
 *
 * Checkpoints are run here because SQLite's automatic ones ignore errors, including a failed fsync() of the database.
 * The next attempt would succeed although the kernel has dropped the pages, and would then reset the log that still
 * had them. After a failed sync the store is dead: every commit returns TS_ESYNC, and closing does not checkpoint.
 *
 * It is dead too once its files are no longer those under their names (guard.h). The log is then moved into the
 * database, wherever that is now, so that no commit is lost and no filled log is left beside another file.
 */
#include "lib/store/connection.h"

#include <assert.h>
#include <errno.h>

int ts_store_check_files(struct ts_store *store, struct ts_store_error *ret_error)
{
    if (ts_guard_check(&store->guard, ret_error))
        return 0;
    ts_store_roll_back(store);
    if (sqlite3_get_autocommit(store->db) && ts_store_empty_log(store)) {
        /* A reader or a full disk is in the way: what is only in the log stays there. */
    }
    store->dead = true;
    return TS_ESYNC;
}

int ts_store_ready(struct ts_store *store, struct ts_store_error *ret_error)
{
    if (store->dead) {
        ts_sql_format_error(ret_error, "an earlier sync failed, or the database was moved; the process must end");
        return TS_ESYNC;
    }
    int r = ts_store_check_files(store, ret_error);
    if (r)
        return r;
    ts_store_roll_back(store);
    if (!sqlite3_get_autocommit(store->db)) { /* no memory to roll back; not reached by tests */
        ts_sql_format_error(ret_error, "cannot roll back an earlier transaction");
        return TS_ESTORE;
    }
    errno = 0;
    return 0;
}

int ts_store_begin(struct ts_store *store)
{
    assert(!store->dead && sqlite3_get_autocommit(store->db));
    return ts_sql_run(store->stmts[TS_BEGIN]);
}

int ts_store_end(struct ts_store *store)
{
    assert(!sqlite3_get_autocommit(store->db));
    return ts_sql_run(store->stmts[TS_COMMIT]);
}

void ts_store_roll_back(struct ts_store *store)
{
    /* SQLite ends a transaction itself after some failures, but not after every failed COMMIT. */
    if (!sqlite3_get_autocommit(store->db))
        ts_sql_exec(store->db, "ROLLBACK");
}

int ts_store_fail(struct ts_store *store, int rc, const char *what, struct ts_store_error *ret_error)
{
    int r = ts_sql_code(rc);
    assert(r);
    ts_sql_set_error(ret_error, store->db, rc, what); /* before the rollback overwrites SQLite's message */
    ts_store_roll_back(store);
    store->dead = store->dead || r == TS_ESYNC;
    return r == TS_ECANCELED ? TS_ESTORE : r;
}

static int checkpoint(struct ts_store *store, int mode)
{
    assert(sqlite3_get_autocommit(store->db));
    int rc = sqlite3_wal_checkpoint_v2(store->db, "main", mode, NULL, NULL);
    if (ts_sql_code(rc) == TS_ESYNC)
        store->dead = true;
    return rc;
}

int ts_store_log_pages(const struct ts_store *store)
{
    return store->wal_pages;
}

int ts_store_truncate_log(struct ts_store *store, bool *ret_emptied, struct ts_store_error *ret_error)
{
    assert(!store->dead);
    sqlite3_busy_timeout(store->db, 0);
    int rc = checkpoint(store, SQLITE_CHECKPOINT_TRUNCATE);
    sqlite3_busy_timeout(store->db, store->busy_ms);
    *ret_emptied = !rc;
    if (!rc)
        store->wal_pages = 0;
    if (!store->dead)
        return 0;
    ts_sql_set_error(ret_error, store->db, rc, "cannot checkpoint");
    return TS_ESYNC;
}

int ts_store_empty_log(struct ts_store *store)
{
    return checkpoint(store, SQLITE_CHECKPOINT_TRUNCATE);
}

int ts_store_checkpoint(struct ts_store *store, int pages, struct ts_store_error *ret_error)
{
    if (store->wal_pages < pages)
        return 0;
    int rc = checkpoint(store, SQLITE_CHECKPOINT_PASSIVE);
    /* Commits are safe in the log. After another failure than a sync a later checkpoint tries again. */
    if (!store->dead)
        return 0;
    ts_sql_set_error(ret_error, store->db, rc, "cannot checkpoint");
    return TS_ESYNC;
}
