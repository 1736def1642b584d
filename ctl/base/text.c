/* See text.h. Capacity doubles. An append that fails adds nothing. */
#include "ctl/base/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ctl_text_deinit(struct ctl_text *text)
{
    free(text->data);
    *text = (struct ctl_text){0};
}

void ctl_text_clear(struct ctl_text *text)
{
    text->len = 0;
    if (text->data)
        text->data[0] = '\0';
}

void ctl_text_reset(struct ctl_text *text)
{
    ctl_text_clear(text);
    text->failed = false;
}

static bool reserve(struct ctl_text *text, size_t more)
{
    if (text->failed)
        return false;
    assert(text->data ? text->len < text->cap : !text->len && !text->cap);
    if (more >= SIZE_MAX / 4 - text->len) {
        text->failed = true;
        return false;
    }
    size_t need = text->len + more + 1;
    if (need <= text->cap)
        return true;
    size_t cap = text->cap ? text->cap : 64;
    while (cap < need)
        cap *= 2;
    char *data = realloc(text->data, cap);
    if (!data) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->cap = cap;
    return true;
}

void ctl_text_append(struct ctl_text *text, const char *bytes, size_t len)
{
    if (!reserve(text, len))
        return;
    if (len)
        memcpy(text->data + text->len, bytes, len);
    text->len += len;
    text->data[text->len] = '\0';
}

void ctl_text_puts(struct ctl_text *text, const char *string)
{
    ctl_text_append(text, string, strlen(string));
}

void ctl_text_putc(struct ctl_text *text, char byte)
{
    ctl_text_append(text, &byte, 1);
}

void ctl_text_spaces(struct ctl_text *text, int n)
{
    for (; n > 0; n--)
        ctl_text_putc(text, ' ');
}

void ctl_text_vprintf(struct ctl_text *text, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    if (len < 0)
        text->failed = true;
    else if (reserve(text, (size_t)len)) {
        vsnprintf(text->data + text->len, (size_t)len + 1, format, again);
        text->len += (size_t)len;
    }
    va_end(again);
}

void ctl_text_printf(struct ctl_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    ctl_text_vprintf(text, format, args);
    va_end(args);
}

const char *ctl_text_str(const struct ctl_text *text)
{
    return text->data ? text->data : "";
}
