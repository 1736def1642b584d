#include "lib/base/text.h"

#include "lib/base/json.h"

void ts_put_json_string(struct ts_buf *buf, const char *text, size_t len)
{
    ts_buf_putc(buf, '"');
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') {
            ts_buf_putc(buf, '\\');
            ts_buf_putc(buf, (char)c);
            i++;
        } else if (c == '\n') {
            ts_buf_puts(buf, "\\n");
            i++;
        } else if (c < 0x20 || c == 0x7F) {
            ts_buf_printf(buf, "\\u%04x", c);
            i++;
        } else {
            size_t n = ts_utf8_len(text + i, text + len);
            if (n)
                ts_buf_append(buf, text + i, n);
            else
                ts_buf_puts(buf, "\xEF\xBF\xBD");
            i += n ? n : 1;
        }
    }
    ts_buf_putc(buf, '"');
}

void ts_put_csv_field(struct ts_buf *buf, const char *text, size_t len)
{
    bool quote = false;
    for (size_t i = 0; i < len && !quote; i++)
        quote = text[i] == '"' || text[i] == ',' || text[i] == '\n' || text[i] == '\r';
    if (!quote) {
        ts_buf_append(buf, text, len);
        return;
    }
    ts_buf_putc(buf, '"');
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"')
            ts_buf_putc(buf, '"');
        ts_buf_putc(buf, text[i]);
    }
    ts_buf_putc(buf, '"');
}

void ts_put_seconds(struct ts_buf *buf, ts_i128 nanoseconds)
{
    char text[64];
    char *end = text + sizeof(text);
    char *p = end;
    bool negative = nanoseconds < 0;
    __extension__ unsigned __int128 rest = negative ? -(unsigned __int128)nanoseconds : (unsigned __int128)nanoseconds;
    unsigned fraction = (unsigned)(rest % 1000000000U);
    rest /= 1000000000U;
    if (fraction) {
        int digits = 9;
        for (; fraction % 10 == 0; digits--)
            fraction /= 10;
        for (; digits > 0; digits--) {
            *--p = (char)('0' + fraction % 10);
            fraction /= 10;
        }
        *--p = '.';
    }
    do {
        *--p = (char)('0' + (unsigned)(rest % 10));
        rest /= 10;
    } while (rest);
    if (negative)
        *--p = '-';
    ts_buf_append(buf, p, (size_t)(end - p));
}
