/*
 * Stored clients of acknowledged streams, and the times stored with each transaction. For lib/store only; loading them
 * is in lib/store/store.h.
 */
#ifndef TS_STORE_CLIENTS_H
#define TS_STORE_CLIENTS_H

#include "lib/store/connection.h"

/* In a transaction, with SQLite's codes: */

int ts_store_put_clients(struct ts_store *store, const struct ts_store_batch *batch);
/* Uptime and horizon, ns; neither ever decreases in the file. */
int ts_store_put_times(struct ts_store *store, int64_t uptime, int64_t horizon);

#endif
