/*
 * A growable buffer that remembers a failure, so that it is enough to check once after many appends. After a failed
 * allocation appending does nothing, and ts_buf_failed() is true until deinit or reset.
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

/* Makes room for `more` bytes after len. TS_ENOMEM also sets failed. */
int ts_buf_reserve(struct ts_buf *buf, size_t more);
void ts_buf_append(struct ts_buf *buf, const void *bytes, size_t len);
void ts_buf_puts(struct ts_buf *buf, const char *text);
void ts_buf_putc(struct ts_buf *buf, char byte);
void ts_buf_printf(struct ts_buf *buf, const char *format, ...) TS_PRINTF(2, 3);

bool ts_buf_failed(const struct ts_buf *buf);
/* Returns the bytes, terminated, for the caller to free(); NULL after a failure. The buffer is empty afterwards. */
char *ts_buf_steal(struct ts_buf *buf, size_t *ret_len);

#endif
