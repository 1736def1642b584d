#include "daemon/ingest/framer.h"

#include <assert.h>
#include <string.h>

enum { SPARE_MAX = 1024 * 1024 }; /* a larger buffer is freed after its line */

void tsd_framer_pool_deinit(struct tsd_framer_pool *pool)
{
    while (pool->n)
        ts_buf_deinit(&pool->spare[--pool->n]);
}

void tsd_framer_init(struct tsd_framer *framer, struct tsd_framer_pool *pool)
{
    *framer = (struct tsd_framer){.pool = pool};
    ts_buf_init(&framer->partial);
}

void tsd_framer_deinit(struct tsd_framer *framer)
{
    ts_buf_deinit(&framer->partial);
    framer->left = 0;
}

void tsd_framer_feed(struct tsd_framer *framer, const char *bytes, size_t len)
{
    assert(!framer->left); /* the previous piece is used up */
    framer->piece = bytes;
    framer->left = len;
}

/* The line returned from `partial` is no longer needed: its buffer becomes a spare, or is freed. */
static void release_partial(struct tsd_framer *framer)
{
    if (!framer->done)
        return;
    framer->done = false;
    struct tsd_framer_pool *pool = framer->pool;
    if (framer->partial.cap > SPARE_MAX || pool->n == sizeof(pool->spare) / sizeof(*pool->spare)) {
        ts_buf_deinit(&framer->partial);
        return;
    }
    ts_buf_reset(&framer->partial);
    pool->spare[pool->n++] = framer->partial;
    ts_buf_init(&framer->partial);
}

static void append_partial(struct tsd_framer *framer, const char *bytes, size_t len)
{
    struct tsd_framer_pool *pool = framer->pool;
    if (!framer->partial.cap && pool->n)
        framer->partial = pool->spare[--pool->n];
    ts_buf_append(&framer->partial, bytes, len);
}

static bool is_blank(const char *line, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
            return false;
    }
    return true;
}

enum tsd_frame tsd_framer_next(struct tsd_framer *framer, size_t max_message, const char **ret_line, size_t *ret_len)
{
    release_partial(framer);
    while (framer->left) {
        struct ts_buf *partial = &framer->partial;
        const char *start = framer->piece;
        const char *newline = memchr(start, '\n', framer->left);
        size_t len = newline ? (size_t)(newline - start) : framer->left;
        if (len + partial->len > max_message) {
            framer->line++;
            *ret_line = partial->len ? partial->data : start;
            *ret_len = partial->len ? partial->len : len;
            framer->left = 0;
            framer->done = true;
            return TSD_FRAME_TOO_LARGE;
        }
        if (!newline || partial->len)
            append_partial(framer, start, len);
        if (ts_buf_failed(partial))
            return TSD_FRAME_NO_MEMORY;
        if (!newline) {
            framer->left = 0;
            break;
        }
        framer->piece = newline + 1;
        framer->left -= len + 1;
        framer->line++;
        const char *line = partial->len ? partial->data : start;
        len = partial->len ? partial->len : len;
        framer->done = partial->len > 0;
        if (!is_blank(line, len)) {
            *ret_line = line;
            *ret_len = len;
            return TSD_FRAME_LINE;
        }
        release_partial(framer);
    }
    return TSD_FRAME_MORE;
}

enum tsd_frame tsd_framer_end(struct tsd_framer *framer, const char **ret_line, size_t *ret_len)
{
    release_partial(framer);
    if (is_blank(framer->partial.data, framer->partial.len))
        return TSD_FRAME_MORE;
    framer->line++;
    framer->done = true;
    *ret_line = framer->partial.data;
    *ret_len = framer->partial.len;
    return TSD_FRAME_LINE;
}

size_t tsd_framer_held(const struct tsd_framer *framer)
{
    return framer->done ? 0 : framer->partial.len;
}
