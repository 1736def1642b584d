/*
 * Stored locations and label sets. For lib/store only; loading and deleting them are in lib/store/store.h.
 */
#ifndef TS_STORE_NAMES_H
#define TS_STORE_NAMES_H

#include "lib/store/connection.h"

/* Inserts the new names of a batch. In a transaction, with SQLite's codes. */
int ts_store_put_names(struct ts_store *store, const struct ts_store_batch *batch);

#endif
