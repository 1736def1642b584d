/*
 * Single rows of sums and profiles, by key and in key order. For lib/store only. SQLite's codes.
 */
#ifndef TS_STORE_ROWS_H
#define TS_STORE_ROWS_H

#include "lib/store/connection.h"

enum { TS_N_SUMS = 4, TS_N_PROFILE_SUMS = 5, TS_N_VALUES_MAX = 5 };

enum ts_table { TS_TABLE_SUMS, TS_TABLE_PROFILES };

/* A row of one level. */
struct ts_row {
    int64_t bucket;
    uint32_t labels;
    uint32_t location;               /* 0 in profiles */
    int64_t values[TS_N_VALUES_MAX]; /* ts_table_width() of them, in the order of the table's columns */
};

int ts_table_width(enum ts_table table);

/* Reads the values of the row with this key. Looks it up by the entire key: a bucket has many rows. */
int ts_row_read(struct ts_store *store, enum ts_table table, int64_t level, struct ts_row *row, bool *ret_found);
/* Both do nothing if there is no such row. */
int ts_row_update(struct ts_store *store, enum ts_table table, int64_t level, const struct ts_row *row);
int ts_row_delete(struct ts_store *store, enum ts_table table, int64_t level, const struct ts_row *row);

/*
 * Walks rows of one bucket from the key (labels, location) on, at most `limit`: begin, then next until it gives false,
 * which resets the statement and sets *ret_rc. One walk of a table at a time; end ends it early.
 */
sqlite3_stmt *ts_rows_begin(struct ts_store *store, enum ts_table table, int64_t level, const struct ts_row *from,
                            int64_t limit);
bool ts_rows_next(sqlite3_stmt *stmt, enum ts_table table, struct ts_row *ret_row, int *ret_rc);
void ts_rows_end(sqlite3_stmt *stmt);

/* Moves the key to the next possible one of its bucket. False: it was the last. */
bool ts_row_after(enum ts_table table, struct ts_row *key);

/* The first bucket at or after this one that has a row, and that the level has not pruned. INT64_MAX: none. */
int ts_rows_bucket(struct ts_store *store, enum ts_table table, const struct ts_level *level, int64_t from,
                   int64_t *ret_bucket);

#endif
