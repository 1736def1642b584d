/*
 * Keeps the write-ahead log of the database short while readers always overlap: above a size it closes the readers'
 * gate (daemon/base/gate.h) for a moment and empties the log. On the writer's thread.
 */
#ifndef TSD_WRITE_WAL_H
#define TSD_WRITE_WAL_H

#include "daemon/base/state.h"
#include "lib/store/store.h"

struct tsd_wal {
    struct ts_store *store;
    struct tsd_state *state;
    int64_t due;   /* of the next attempt, monotonic ns */
    int64_t wait;  /* ns, for readers; longer after failures */
    int64_t pause; /* ns, from an attempt to the next; likewise */
};

void tsd_wal_init(struct tsd_wal *wal, struct ts_store *store, struct tsd_state *state);
/* Between transactions. 0 or TS_ESYNC, which is logged. */
int tsd_wal_limit(struct tsd_wal *wal) TS_MUST_USE;

#endif
