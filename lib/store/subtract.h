/*
 * Deletes single rows, and subtracts them from the rows of wider levels.
 */
#ifndef TS_STORE_SUBTRACT_H
#define TS_STORE_SUBTRACT_H

#include "lib/store/connection.h"

enum { TS_N_SUMS = 4, TS_N_PROFILE_SUMS = 5 };

/*
 * Deletes a row of `level`, the finest level that has its bucket, and subtracts its values from every wider level that
 * it was added to. `values` has TS_N_SUMS values in the order of the table's columns; for a row of profiles (profiles
 * true) TS_N_PROFILE_SUMS. In a transaction. SQLite's codes.
 */
int ts_store_delete_row(struct ts_store *store, const struct ts_level *level, const struct ts_level_key *key,
                        bool profiles, const int64_t *values);

#endif
