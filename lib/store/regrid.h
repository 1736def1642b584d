/*
 * Moves a database to a coarser grid. For lib/store/copy.c.
 */
#ifndef TS_STORE_REGRID_H
#define TS_STORE_REGRID_H

#include "lib/store/sql.h"

/*
 * The database must have no other user, and cannot be used after a failure. time_slice: ns. TS_EINVAL: it does not fit,
 * for the reason in ret_error; TS_ESTORE.
 */
int ts_store_regrid(sqlite3 *db, int64_t time_slice, struct ts_store_error *ret_error) TS_MUST_USE;

#endif
