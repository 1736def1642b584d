/*
 * Growable bytes with a sticky failure: append as often as you like, ask once at the end.
 * After a failed allocation every append is a no-op and ts_buf_failed() stays true until deinit or reset.
 */
#ifndef TS_BASE_BUF_H
#define TS_BASE_BUF_H

#include "lib/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ts_buf {
    char *data; /* len bytes, not terminated; NULL while cap is 0 */
    size_t len;
    size_t cap;
    bool failed;
};

void ts_buf_init(struct ts_buf *buf);
void ts_buf_deinit(struct ts_buf *buf); /* twice is safe */
void ts_buf_reset(struct ts_buf *buf);  /* empties, keeps the memory */

/* Makes room for more bytes beyond len. TS_ENOMEM sets failed too. */
int ts_buf_reserve(struct ts_buf *buf, size_t more);
void ts_buf_append(struct ts_buf *buf, const void *bytes, size_t len);
void ts_buf_puts(struct ts_buf *buf, const char *text);
void ts_buf_putc(struct ts_buf *buf, char byte);
void ts_buf_printf(struct ts_buf *buf, const char *format, ...) TS_PRINTF(2, 3);

bool ts_buf_failed(const struct ts_buf *buf);
/* Terminates and gives up the bytes (free() them); NULL after a failure. The buffer is empty afterwards. */
char *ts_buf_steal(struct ts_buf *buf, size_t *ret_len);

#endif
