/*
 * The maintenance "build": builds wider levels from narrower ones. For lib/store/maintain.c.
 */
#ifndef TS_STORE_BUILD_H
#define TS_STORE_BUILD_H

#include "lib/store/step.h"

/* True: there was something to do. In a transaction, unless step->probe. SQLite's code in ret_rc, which is SQLITE_OK
   before. */
bool ts_store_build(struct ts_step *step, int *ret_rc);

#endif
