/* Texts of faults, for senders and operators. They are bounded, and never cut inside a UTF-8 character. */
#include "lib/profile/decoder.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The length without a character that is incomplete because the text was cut at len. */
static size_t complete_characters(const char *text, size_t len)
{
    size_t start = len;
    while (start > 0 && len - start < 3 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
        start--;
    if (start > 0 && (unsigned char)text[start - 1] >= 0xC0 && !ts_utf8_len(text + start - 1, text + len))
        return start - 1;
    return len;
}

void ts_note(struct ts_decoder *decoder, int code, size_t offset, const char *format, ...)
{
    struct ts_noted *noted = code == TS_OUT_OF_RANGE ? &decoder->range : &decoder->shape;
    if (noted->code && noted->offset <= offset)
        return;
    noted->code = code;
    noted->offset = offset;
    noted->entry = decoder->entry;
    noted->function = decoder->function;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(noted->text, sizeof(noted->text), format, args);
    va_end(args);
    if (len < 0)
        noted->text[0] = '\0';
    else if ((size_t)len >= sizeof(noted->text))
        noted->text[complete_characters(noted->text, sizeof(noted->text) - 1)] = '\0';
}

void ts_note_type(struct ts_decoder *decoder, int code, enum ts_json_type type, const char *member, const char *needed)
{
    static const char *const names[] = {
        [TS_JSON_NONE] = "nothing",    [TS_JSON_OBJECT] = "an object", [TS_JSON_LIST] = "a list",
        [TS_JSON_STRING] = "a string", [TS_JSON_NUMBER] = "a number",  [TS_JSON_TRUE] = "true",
        [TS_JSON_FALSE] = "false",     [TS_JSON_NULL] = "null",
    };
    ts_note(decoder, code, ts_json_offset(&decoder->json), "%s is %s, %s is needed", member, names[type], needed);
}

void ts_note_function(struct ts_decoder *decoder, struct ts_str name)
{
    decoder->function = name;
    if (decoder->shape.entry == decoder->entry)
        decoder->shape.function = name;
    if (decoder->range.entry == decoder->entry)
        decoder->range.function = name;
}

const char *ts_shown(struct ts_str string, char out[TS_SHOWN])
{
    static const char cut[] = "...\"";
    size_t room = TS_SHOWN - sizeof(cut);
    size_t len = 0;
    const char *p = string.data;
    const char *end = p + string.len;
    out[len++] = '"';
    while (p < end) {
        unsigned char c = (unsigned char)*p;
        size_t n = c < 0x20 || c == 0x7F ? 4 : ts_utf8_len(p, end);
        if (len + n > room) {
            memcpy(out + len, cut, sizeof(cut));
            return out;
        }
        if (c < 0x20 || c == 0x7F) {
            snprintf(out + len, 5, "\\x%02x", c);
            p++;
        } else {
            memcpy(out + len, p, n);
            p += n;
        }
        len += n;
    }
    out[len++] = '"';
    out[len] = '\0';
    return out;
}

void ts_fault_write(struct ts_fault *fault, size_t offset, struct ts_str function, const char *text)
{
    char name[TS_SHOWN];
    fault->offset = offset;
    /* At most 9 + 63 + 2 + 143 + 27 bytes: it always fits. */
    if (function.data)
        snprintf(fault->message, sizeof(fault->message), "function %s: %s (byte %zu)", ts_shown(function, name), text,
                 offset);
    else
        snprintf(fault->message, sizeof(fault->message), "%s (byte %zu)", text, offset);
}
