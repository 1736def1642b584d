/*
 * Deletes single rows, and subtracts them from the rows of wider levels.
 */
#ifndef TS_STORE_SUBTRACT_H
#define TS_STORE_SUBTRACT_H

#include "lib/store/rows.h"

/*
 * Deletes a row of `level`, the finest level that has its bucket, and subtracts its values from every wider level that
 * it was added to. In a transaction. SQLite's codes.
 *
 * It deletes no row of a wider level: a row that comes to zero, or whose value is not known, is left to
 * lib/store/recheck.h.
 */
int ts_store_delete_row(struct ts_store *store, enum ts_table table, const struct ts_level *level,
                        const struct ts_row *row);

#endif
