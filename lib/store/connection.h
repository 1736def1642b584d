/*
 * The writing connection: struct ts_store, its transactions and checkpoints. For lib/store only; callers of the store
 * use lib/store/store.h.
 */
#ifndef TS_STORE_CONNECTION_H
#define TS_STORE_CONNECTION_H

#include "lib/store/guard.h"
#include "lib/store/statements.h"

/* A row's place in the order of the primary key. */
struct ts_sort_key {
    int64_t bucket;
    uint64_t rest; /* labels, location */
    uint32_t row;  /* index in the counters */
};

/* What commits have added within these positions since the watch was set (recheck.h). Both flags are set, too, when a
   commit advances the `since` of a level. */
struct ts_store_watch {
    int64_t from; /* half-open; empty: nothing is watched */
    int64_t to;
    bool rows;  /* any delta */
    bool zeros; /* one without calls or profiles, which may leave a row of zeros as it is */
};

struct ts_store {
    sqlite3 *db;
    int lock;               /* descriptor of the lock file; -1: none */
    int wal_pages;          /* in the log after the last commit */
    int busy_ms;            /* for which a lock is waited for */
    bool dead;              /* a sync has failed, or the files have moved: the process must end */
    bool unclean;           /* there was a log at opening */
    bool copying;           /* copy.c: one copy at a time */
    bool sync_each;         /* durability=power */
    uint64_t saturated;     /* stored sums that reached their bound in the current commit */
    int64_t horizon;        /* at opening, ns since the epoch */
    uint32_t last_location; /* the largest number stored so far; 0: not known */
    uint32_t last_label_set;
    struct ts_guard guard;
    struct ts_levels levels;
    struct ts_sort_key *keys; /* cap_keys, and as many again for a wider level (deltas.c) */
    size_t cap_keys;
    struct ts_sum_row *rows; /* read by a step of building (build.c) */
    size_t cap_rows;
    struct ts_store_watch watch;
    sqlite3_stmt *stmts[TS_N_STATEMENTS];
};

/* Are the files still those under their names? TS_ESYNC: they are not, and the store is dead from now on. */
int ts_store_check_files(struct ts_store *store, struct ts_store_error *ret_error) TS_MUST_USE;

/*
 * To be called before a transaction: TS_ESYNC if the store is dead, or its files have moved. Ends a transaction that an
 * earlier failure has left open (TS_ESTORE if that fails), and clears errno for ts_sql_set_error().
 */
int ts_store_ready(struct ts_store *store, struct ts_store_error *ret_error) TS_MUST_USE;
/* BEGIN IMMEDIATE and COMMIT, with SQLite's codes. A failed COMMIT may leave the transaction open. */
int ts_store_begin(struct ts_store *store) TS_MUST_USE;
int ts_store_end(struct ts_store *store) TS_MUST_USE;
/* Ends the transaction, if one is open. */
void ts_store_roll_back(struct ts_store *store);
/* After SQLite's code rc: explains it in ret_error ("what: ..."), rolls back, returns TS_ESTORE or TS_ESYNC. */
int ts_store_fail(struct ts_store *store, int rc, const char *what, struct ts_store_error *ret_error) TS_MUST_USE;

/* Moves the log's pages into the file and empties the log. SQLite's codes; a failed sync makes the store dead. */
int ts_store_empty_log(struct ts_store *store) TS_MUST_USE;
/* Moves the log's pages into the file if the log has at least so many. 0, or TS_ESYNC with ret_error. */
int ts_store_checkpoint(struct ts_store *store, int pages, struct ts_store_error *ret_error) TS_MUST_USE;

#endif
