/* GET /v1/status: struct tsd_state as JSON. */
#ifndef TSD_CONTROL_STATUS_H
#define TSD_CONTROL_STATUS_H

#include "daemon/base/state.h"
#include "lib/base/buf.h"

/* Numbers are exact: integers up to 2^64-1, seconds with up to nine decimals. */
void tsd_status_write(struct tsd_state *state, struct ts_buf *out);

/* Bytes of the write-ahead log, and of the database with it, from the file system; 0 if they are missing. */
uint64_t tsd_status_log_bytes(const struct tsd_state *state);
uint64_t tsd_status_store_bytes(const struct tsd_state *state);

#endif
