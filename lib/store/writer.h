/*
 * The writing half of the SQLite driver, as its files share it. For lib/store_*.c only.
 *
 *     store_sqlite.c   opening, identity, names, clients, the commit as a whole
 *     store_levels.c   levels in the file: read, written, adapted to the configuration; deltas into every level
 *     store_tend.c     what is done beside commits, a bounded step at a time: building levels, pruning, names that go
 *     store_copy.c     backups, copies on a coarser grid
 *     store_delete.c   deleting what a broken sender sent
 */
#ifndef TS_STORE_WRITER_H
#define TS_STORE_WRITER_H

#include "lib/store/sql.h"

enum ts_statement {
    TS_BEGIN,
    TS_COMMIT,
    TS_PUT_LOCATION,
    TS_PUT_LABEL_SET,
    TS_PUT_SUM,
    TS_PUT_PROFILE,
    TS_GET_LOCATIONS,
    TS_GET_LABEL_SETS,
    TS_CHECK_VIEW,     /* only prepared: that the view can be read is part of "the schema is whole" */
    TS_N_STATEMENTS_1, /* version 1 has no more */
    TS_PUT_CLIENT = TS_N_STATEMENTS_1,
    TS_DROP_CLIENT,
    TS_GET_CLIENTS,
    TS_N_STATEMENTS_2, /* version 2 */
    TS_PUT_UPTIME = TS_N_STATEMENTS_2,
    TS_PUT_LEVEL,
    TS_DROP_LEVELS,
    TS_FIND_LOCATION,
    TS_SUMS_FROM,
    TS_PROFILES_FROM,
    TS_SUMS_OLDER,
    TS_PROFILES_OLDER,
    TS_SUMS_CUT,
    TS_PROFILES_CUT,
    TS_PRUNE_SUMS,
    TS_PRUNE_PROFILES,
    TS_OLDEST,
    TS_NEXT_SUM,
    TS_NEXT_PROFILE,
    TS_DROP_LOCATION,
    TS_DROP_LABEL_SET,
    TS_SUM_AT,
    TS_PROFILE_AT,
    TS_SET_SUM,
    TS_SET_PROFILE,
    TS_DROP_SUM,
    TS_DROP_PROFILE,
    TS_N_STATEMENTS
};

/* A row's place in the order of the primary key. */
struct ts_sort_key {
    int64_t bucket;
    uint64_t rest; /* labels, location */
    uint32_t row;
};

struct ts_store {
    sqlite3 *db;
    int lock;
    int wal_pages;      /* in the log after the last commit */
    bool dead;          /* a sync failed */
    bool unclean;       /* there was a log when it was opened */
    bool sync_each;     /* durability=power */
    uint64_t saturated; /* by the commit under way */
    int64_t horizon;    /* at the opening, ns since the epoch */
    struct ts_levels levels;
    struct ts_sort_key *keys; /* cap_keys of them, and as many again for a wider level */
    size_t cap_keys;
    struct ts_sum_row *rows; /* what a step of building has read */
    size_t cap_rows;
    sqlite3_stmt *stmts[TS_N_STATEMENTS];
};

/* Runs a statement that gives no row, its values bound. The code of the step is the one to report. */
int ts_store_run(sqlite3_stmt *stmt);
/* Ends a transaction that is still open. */
void ts_store_roll_back(struct ts_store *store);
/* Moves pages from the log into the file once it has grown to so many of them; TS_ESYNC in ret_error, or 0. */
int ts_store_checkpoint(struct ts_store *store, int pages, struct ts_store_error *ret_error) TS_MUST_USE;

/* ---- store_levels.c: SQLite's codes ---- */

/* SQLITE_CORRUPT where what is stored makes no sense. */
int ts_store_read_levels(sqlite3 *db, const struct ts_grid *grid, struct ts_levels *ret_levels);
/* In a transaction. */
int ts_store_write_levels(struct ts_store *store, const struct ts_levels *levels);
/* Within a transaction of its own: the schema of a file of an earlier version, the levels, the horizon. */
int ts_store_adapt(struct ts_store *store, const struct ts_store_config *config, const char *upgrade,
                   struct ts_store_error *ret_error) TS_MUST_USE;
/* The deltas, each into every level that takes it. In a transaction; ret_levels is what holds once it is committed. */
int ts_store_put_counters(struct ts_store *store, const struct ts_counters *counters, int64_t horizon,
                          struct ts_levels *ret_levels);
/* One row added to what is stored. */
int ts_store_put_sum(struct ts_store *store, int64_t level, int64_t bucket, uint32_t labels, uint32_t location,
                     const struct ts_sums *sums);
int ts_store_put_profile(struct ts_store *store, int64_t level, int64_t bucket, uint32_t labels,
                         const struct ts_profile_sums *sums);

#endif
