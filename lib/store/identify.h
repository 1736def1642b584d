/*
 * Checks that an opened file is a database of this program, undamaged, with the configured grid. For
 * lib/store/open.c.
 */
#ifndef TS_STORE_IDENTIFY_H
#define TS_STORE_IDENTIFY_H

#include "lib/store/connection.h"

/*
 * Reads schema version, grid and levels into the store, and prepares the statements; writes nothing. ret_upgrade is the
 * SQL that upgrades an earlier version, NULL for the current one. TS_EREFUSED, TS_ESTORE.
 */
int ts_store_identify(struct ts_store *store, const struct ts_store_config *config, const char *path,
                      const char **ret_upgrade, struct ts_store_error *ret_error) TS_MUST_USE;
/* Explains a failure of SQLite before the file is identified: TS_EREFUSED if the file is damaged. */
int ts_store_identify_fail(struct ts_store *store, int rc, const char *path,
                           struct ts_store_error *ret_error) TS_MUST_USE;

#endif
