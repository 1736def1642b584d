#include "lib/aggregate/labels.h"

#include "lib/base/ascii.h"
#include "lib/base/text.h"

#include <string.h>

void ts_labels_write(const struct ts_label *labels, size_t n, struct ts_buf *out)
{
    ts_buf_putc(out, '{');
    for (size_t i = 0; i < n; i++) {
        if (i)
            ts_buf_puts(out, ", ");
        ts_put_json_string(out, labels[i].key.data, labels[i].key.len);
        ts_buf_puts(out, ": ");
        ts_put_json_string(out, labels[i].value.data, labels[i].value.len);
    }
    ts_buf_putc(out, '}');
}

void ts_labels_reader_init(struct ts_labels_reader *reader, const char *json, size_t len)
{
    *reader = (struct ts_labels_reader){.at = json, .end = json + len};
}

static bool skip(struct ts_labels_reader *reader, const char *text)
{
    size_t len = strlen(text);
    if ((size_t)(reader->end - reader->at) < len || memcmp(reader->at, text, len) != 0)
        return false;
    reader->at += len;
    return true;
}

static bool is_key_byte(char c)
{
    return ts_is_letter(c) || ts_is_digit(c) || c == '_';
}

/* An escape: \" \\ \n, or \u00xx of a control character. `at` is after the backslash. */
static bool read_escape(struct ts_labels_reader *reader, struct ts_buf *value)
{
    static const char hex[] = "0123456789abcdef";
    char c = *reader->at++;
    if (c == '"' || c == '\\') {
        ts_buf_putc(value, c);
        return true;
    }
    if (c == 'n') {
        ts_buf_putc(value, '\n');
        return true;
    }
    if (c != 'u' || !skip(reader, "00") || reader->end - reader->at < 2)
        return false;
    const char *high = memchr(hex, reader->at[0], 8);
    const char *low = memchr(hex, reader->at[1], 16);
    if (!high || !low)
        return false;
    ts_buf_putc(value, (char)((high - hex) * 16 + (low - hex)));
    reader->at += 2;
    return true;
}

/* A string. `at` is after its opening quote. */
static bool read_value(struct ts_labels_reader *reader, struct ts_buf *value)
{
    while (reader->at < reader->end) {
        const char *begin = reader->at;
        while (reader->at < reader->end && *reader->at != '"' && *reader->at != '\\')
            reader->at++;
        ts_buf_append(value, begin, (size_t)(reader->at - begin));
        if (reader->at == reader->end)
            return false;
        if (*reader->at++ == '"')
            return true;
        if (reader->at == reader->end || !read_escape(reader, value))
            return false;
    }
    return false;
}

int ts_labels_next(struct ts_labels_reader *reader, struct ts_str *ret_key, struct ts_buf *value)
{
    if (!reader->started && !skip(reader, "{"))
        return TS_EINVAL;
    if (skip(reader, "}"))
        return reader->at == reader->end ? 0 : TS_EINVAL;
    if ((reader->started && !skip(reader, ", ")) || !skip(reader, "\""))
        return TS_EINVAL;
    reader->started = true;
    struct ts_str key = {.data = reader->at};
    while (reader->at < reader->end && is_key_byte(*reader->at))
        reader->at++;
    key.len = (size_t)(reader->at - key.data);
    ts_buf_reset(value);
    if (!skip(reader, "\": \"") || !read_value(reader, value))
        return TS_EINVAL;
    if (ts_buf_failed(value))
        return TS_ENOMEM;
    *ret_key = key;
    return 1;
}
