#include "lib/base/buf.h"

#include "lib/base/array.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ts_buf_init(struct ts_buf *buf)
{
    *buf = (struct ts_buf){0};
}

void ts_buf_deinit(struct ts_buf *buf)
{
    free(buf->data);
    ts_buf_init(buf);
}

void ts_buf_reset(struct ts_buf *buf)
{
    buf->len = 0;
    buf->failed = false;
}

int ts_buf_reserve(struct ts_buf *buf, size_t more)
{
    if (buf->failed)
        return TS_ENOMEM;
    if (more <= buf->cap - buf->len)
        return 0;
    buf->failed = more > SIZE_MAX - buf->len || TS_ARRAY_RESERVE(&buf->data, &buf->cap, buf->len + more);
    return buf->failed ? TS_ENOMEM : 0;
}

void ts_buf_append(struct ts_buf *buf, const void *bytes, size_t len)
{
    if (!len || ts_buf_reserve(buf, len))
        return;
    memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
}

void ts_buf_puts(struct ts_buf *buf, const char *text)
{
    ts_buf_append(buf, text, strlen(text));
}

void ts_buf_putc(struct ts_buf *buf, char byte)
{
    ts_buf_append(buf, &byte, 1);
}

void ts_buf_printf(struct ts_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0 || ts_buf_reserve(buf, (size_t)len + 1)) {
        buf->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf(buf->data + buf->len, (size_t)len + 1, format, args);
    va_end(args);
    buf->len += (size_t)len;
}

bool ts_buf_failed(const struct ts_buf *buf)
{
    return buf->failed;
}

char *ts_buf_steal(struct ts_buf *buf, size_t *ret_len)
{
    ts_buf_putc(buf, '\0');
    if (buf->failed) {
        ts_buf_deinit(buf);
        return NULL;
    }
    char *data = buf->data;
    *ret_len = buf->len - 1;
    ts_buf_init(buf);
    return data;
}
