/*
 * A slot runs one query at a time on libuv's worker threads. It keeps its read-only connection for the next query.
 */
#ifndef TSD_CONTROL_SLOT_H
#define TSD_CONTROL_SLOT_H

#include "lib/query/query.h"

#include <uv.h>

struct tsd_slot {
    bool used;       /* the loop's */
    uv_mutex_t lock; /* over reader, which the loop interrupts while a worker opens or closes it */
    struct ts_reader *reader;
};

int tsd_slot_init(struct tsd_slot *slot) TS_MUST_USE; /* TS_ENOMEM */
void tsd_slot_deinit(struct tsd_slot *slot);          /* the reader is closed */

/* On a worker thread: gives the reader, opened if necessary. TS_ESTORE with ret_error. */
int tsd_slot_reader(struct tsd_slot *slot, const char *path, struct ts_reader **ret_reader,
                    struct ts_store_error *ret_error) TS_MUST_USE;
/* On a worker thread, or while the slot is not used. The next query opens a new connection. */
void tsd_slot_close_reader(struct tsd_slot *slot);
/* On the loop. Has no effect if the query has not begun to read: repeat it until the query ends. */
void tsd_slot_interrupt(struct tsd_slot *slot);

#endif
