/*
 * The maintenance "prune": deletes rows that are too old, and those of dead levels. For lib/store/maintain.c.
 */
#ifndef TS_STORE_PRUNE_H
#define TS_STORE_PRUNE_H

#include "lib/store/step.h"

/* True: there was something to do. In a transaction, unless step->probe. SQLite's code in ret_rc, which is SQLITE_OK
   before. */
bool ts_store_prune(struct ts_step *step, int *ret_rc);

#endif
