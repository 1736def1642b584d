/*
 * The table of levels. For lib/store only. SQLite's codes.
 */
#ifndef TS_STORE_LEVELS_H
#define TS_STORE_LEVELS_H

#include "lib/store/sql.h"

/* SQLITE_CORRUPT: what is stored is inconsistent. */
int ts_store_read_levels(sqlite3 *db, const struct ts_grid *grid, struct ts_levels *ret_levels);
/* The grid too. */
int ts_store_read_grid(sqlite3 *db, struct ts_levels *ret_levels);
/* Replaces the stored levels. In a transaction. */
int ts_store_write_levels(sqlite3 *db, const struct ts_levels *levels);

#endif
