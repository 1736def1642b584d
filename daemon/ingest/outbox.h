/*
 * Replies to the sender of a stream: collected during a read, then written together.
 *
 * The daemon never waits for a sender to read its replies. What the kernel does not accept at once is queued; when
 * replies and queue together reach OUTBOX_MAX bytes there is no room for more, and the caller drops and counts them.
 */
#ifndef TSD_INGEST_OUTBOX_H
#define TSD_INGEST_OUTBOX_H

#include "lib/base/buf.h"

#include <stdbool.h>
#include <uv.h>

enum { TSD_OUTBOX_MAX = 64 * 1024 };

struct tsd_outbox {
    uv_stream_t *stream;
    struct ts_buf replies; /* complete lines, not yet passed to the stream; the caller appends */
    bool lost;             /* replies were lost for lack of memory */
    bool torn;             /* ... after the beginning of them was sent: the stream cannot be continued */
};

void tsd_outbox_init(struct tsd_outbox *outbox, uv_stream_t *stream);
/* Frees the replies. What was passed to the stream is freed by its write callbacks. */
void tsd_outbox_deinit(struct tsd_outbox *outbox);

/* Passes the replies to the stream. Sets `lost` and `torn` if that fails for lack of memory. */
void tsd_outbox_send(struct tsd_outbox *outbox);
/* There is room for one more reply, perhaps after sending the collected ones. */
bool tsd_outbox_has_room(struct tsd_outbox *outbox);

#endif
