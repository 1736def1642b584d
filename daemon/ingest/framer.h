/*
 * Lines out of a stream: bytes in; a line, need-more or a violation out. No I/O.
 *
 * Bytes are given in pieces as they are read. A line that lies whole in a piece is handed out where it lies; only a
 * line that crosses pieces is copied, once, and only while it is unfinished does it hold a buffer. No byte is searched
 * twice for a newline, and at most max_message bytes of a line are ever held.
 *
 *     feed, then next until MORE, then feed ...; at the end of the stream: end
 */
#ifndef TSD_INGEST_FRAMER_H
#define TSD_INGEST_FRAMER_H

#include "lib/base/buf.h"

#include <stdint.h>

enum tsd_frame {
    TSD_FRAME_LINE,      /* a line that is not blank */
    TSD_FRAME_MORE,      /* all that was fed is used up */
    TSD_FRAME_TOO_LARGE, /* the line passes max_message: nothing after it can be read */
    TSD_FRAME_NO_MEMORY
};

/* Buffers of the framers of one thread, between the lines that needed one: a warm thread allocates none. */
struct tsd_framer_pool {
    struct ts_buf spare[16];
    size_t n;
};

struct tsd_framer {
    struct tsd_framer_pool *pool;
    struct ts_buf partial; /* the beginning of a line whose end has not come */
    const char *piece;     /* what is left of the bytes fed */
    size_t left;
    uint64_t line; /* number of the line that was handed out last, from 1; blank ones count */
    bool done;     /* partial was handed out */
};

void tsd_framer_pool_deinit(struct tsd_framer_pool *pool); /* twice is safe; all zero is its beginning */

void tsd_framer_init(struct tsd_framer *framer, struct tsd_framer_pool *pool);
void tsd_framer_deinit(struct tsd_framer *framer); /* twice is safe */

/* The bytes stay the caller's and in place until next() has said MORE. */
void tsd_framer_feed(struct tsd_framer *framer, const char *bytes, size_t len);

/* The line, without its \n, is good until the next call. With TOO_LARGE it is the line's beginning. */
enum tsd_frame tsd_framer_next(struct tsd_framer *framer, size_t max_message, const char **ret_line, size_t *ret_len);
/* The last line, where the stream ended without a newline: LINE or MORE. */
enum tsd_frame tsd_framer_end(struct tsd_framer *framer, const char **ret_line, size_t *ret_len);

/* Bytes of an unfinished line that are held. */
size_t tsd_framer_held(const struct tsd_framer *framer);

#endif
