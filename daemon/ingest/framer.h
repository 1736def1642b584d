/*
 * Cuts a stream into lines: bytes in; a line, need-more or a violation out. No I/O.
 *
 * Bytes are fed in pieces as they are read. A line that lies completely within a piece is returned in place. Only a
 * line that crosses pieces is copied, once, and holds a buffer until it is complete. No byte is searched twice for a
 * newline, and at most max_message bytes of a line are held.
 *
 *     feed, then next until MORE, then feed ...; at the end of the stream: end
 */
#ifndef TSD_INGEST_FRAMER_H
#define TSD_INGEST_FRAMER_H

#include "lib/base/buf.h"

#include <stdint.h>

enum tsd_frame {
    TSD_FRAME_LINE,      /* a line that is not blank */
    TSD_FRAME_MORE,      /* everything fed is used up */
    TSD_FRAME_TOO_LARGE, /* the line is longer than max_message: nothing after it can be read */
    TSD_FRAME_NO_MEMORY
};

/* Spare buffers of the framers of one thread, so that a warm thread does not allocate any. */
struct tsd_framer_pool {
    struct ts_buf spare[16];
    size_t n;
};

struct tsd_framer {
    struct tsd_framer_pool *pool;
    struct ts_buf partial; /* the beginning of an unfinished line */
    const char *piece;     /* the rest of the bytes fed */
    size_t left;
    uint64_t line; /* number of the last line returned, from 1; blank ones count */
    bool done;     /* partial has been returned as a line */
};

void tsd_framer_pool_deinit(struct tsd_framer_pool *pool); /* twice is safe; initialise with zeros */

void tsd_framer_init(struct tsd_framer *framer, struct tsd_framer_pool *pool);
void tsd_framer_deinit(struct tsd_framer *framer); /* twice is safe */

/* The caller keeps the bytes unchanged until next() returns MORE. */
void tsd_framer_feed(struct tsd_framer *framer, const char *bytes, size_t len);

/* The line, without its \n, is valid until the next call. With TOO_LARGE it is the line's beginning. */
enum tsd_frame tsd_framer_next(struct tsd_framer *framer, size_t max_message, const char **ret_line, size_t *ret_len);
/* The last line of a stream that ended without a newline: LINE or MORE. */
enum tsd_frame tsd_framer_end(struct tsd_framer *framer, const char **ret_line, size_t *ret_len);

/* Bytes held of an unfinished line. */
size_t tsd_framer_held(const struct tsd_framer *framer);

#endif
