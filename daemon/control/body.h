/*
 * A response body that is produced piece by piece while it is sent, as fast as its reader accepts it, so that neither a
 * long result nor a copy of the database is in memory at once. Used on the loop only.
 */
#ifndef TSD_CONTROL_BODY_H
#define TSD_CONTROL_BODY_H

#include "lib/base/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum { TSD_PIECE = 64 * 1024 /* bytes; pieces are about this long */ };

enum tsd_body_status { TSD_BODY_END, TSD_BODY_MORE };

struct tsd_body {
    /* TSD_BODY_MORE: appended at least one byte. TSD_BODY_END: appended nothing, the body is complete. A negative error
     * closes the connection, which tells the client that the body is incomplete. NULL: no body. */
    int (*next)(void *data, struct ts_buf *out);
    void (*free)(void *data); /* exactly once, whether or not the body was read to its end */
    void *data;
    int64_t len; /* in bytes; -1: unknown, sent in chunks */
};

static inline bool tsd_body_exists(const struct tsd_body *body)
{
    return body->next;
}

/* The next len bytes of a file. Owns fd on success. TS_ENOMEM. */
int tsd_body_from_file(int fd, int64_t len, struct tsd_body *ret_body) TS_MUST_USE;
/* Twice is safe. */
void tsd_body_deinit(struct tsd_body *body);

#endif
