/*
 * Adapting an opened database to this program's schema and to the configured retention. For lib/store/open.c.
 */
#ifndef TS_STORE_ADAPT_H
#define TS_STORE_ADAPT_H

#include "lib/store/connection.h"

/*
 * Runs in a transaction of its own: the SQL that upgrades an earlier schema version (NULL: none), the levels, the
 * horizon. Writes nothing if nothing changes. The configuration has at least one level. TS_EREFUSED, TS_ESTORE,
 * TS_ESYNC.
 */
int ts_store_adapt(struct ts_store *store, const struct ts_store_config *config, const char *upgrade,
                   struct ts_store_error *ret_error) TS_MUST_USE;

#endif
