/* The last rejected messages, for GET /v1/rejects. Thread-safe: rejections are rare enough for a lock. */
#ifndef TSD_INGEST_REJECTS_H
#define TSD_INGEST_REJECTS_H

#include "daemon/ingest/peer.h"
#include "lib/base/buf.h"

#include <uv.h>

enum { TSD_REJECTS_KEPT = 100, TSD_REJECT_TEXT = 256 };

struct tsd_reject {
    int64_t time; /* ns since the epoch */
    int code;     /* enum ts_reject */
    size_t text_len;
    char peer[TSD_PEER_MAX];
    char message[256];
    char text[TSD_REJECT_TEXT]; /* the first bytes of the message, as received */
};

struct tsd_rejects {
    uv_mutex_t lock;
    size_t next;
    size_t n;
    struct tsd_reject items[TSD_REJECTS_KEPT]; /* a ring */
};

int tsd_rejects_init(struct tsd_rejects *rejects) TS_MUST_USE;
void tsd_rejects_deinit(struct tsd_rejects *rejects);
void tsd_rejects_add(struct tsd_rejects *rejects, int code, const char *peer, const char *message, const char *text,
                     size_t len);
/* Appends {"rejects": [...]}, the latest first. */
void tsd_rejects_write(struct tsd_rejects *rejects, struct ts_buf *out);

#endif
