/*
 * Nearly all bytes of a profile are in strings. One search finds the end of a string, an escape, a control character or
 * a byte beyond ASCII, whichever comes first (lib/base/json_scan.h).
 */
#include "lib/base/json.h"

#include "lib/base/ascii.h"
#include "lib/base/json_scan.h"

#include <string.h>

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

void ts_json_init(struct ts_json *json, const char *bytes, size_t len, int max_depth)
{
    *json = (struct ts_json){.begin = bytes, .at = bytes, .end = bytes + len, .max_depth = max_depth};
}

size_t ts_utf8_len(const char *text, const char *end)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t left = (size_t)(end - text);
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xC2 || p[0] > 0xF4 || left < 2)
        return 0;
    if (p[0] < 0xE0)
        return (p[1] & 0xC0) == 0x80 ? 2 : 0;
    size_t need = p[0] < 0xF0 ? 3 : 4;
    /* The range of the second byte excludes overlong forms, surrogates and code points above U+10FFFF. */
    unsigned char low = p[0] == 0xE0 ? 0xA0 : p[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xED ? 0x9F : p[0] == 0xF4 ? 0x8F : 0xBF;
    if (left < need || p[1] < low || p[1] > high || (p[2] & 0xC0) != 0x80 || (need == 4 && (p[3] & 0xC0) != 0x80))
        return 0;
    return need;
}

__attribute__((cold, noinline)) static bool fail(struct ts_json *json, int code, const char *at, const char *why)
{
    if (!json->error) {
        json->error = code;
        json->offset = (size_t)(at - json->begin);
        json->why = why;
    }
    json->at = json->end; /* every later call finds the end and keeps this error */
    return false;
}

/* The byte at `at`, or the end of the text, is not allowed here. */
__attribute__((cold, noinline)) static bool unexpected(struct ts_json *json, const char *at, const char *why)
{
    if (json->error)
        return false;
    if (at < json->end && !ts_utf8_len(at, json->end))
        return fail(json, TS_BAD_UTF8, at, "these bytes are not UTF-8");
    return fail(json, TS_BAD_JSON, at, at == json->end ? "the text ends too early" : why);
}

/* After an error at == end, so it needs no check of its own. */
static inline const char *skip_space(struct ts_json *json)
{
    const char *p = json->at;
    while (p < json->end && (unsigned char)*p <= ' ' && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    json->at = p;
    return p;
}

__attribute__((cold, noinline)) static enum ts_json_type no_value(struct ts_json *json, const char *p)
{
    const char *why = "a value is needed here";
    if (p < json->end) {
        if (*p == 'N' || *p == 'I')
            why = "NaN and Infinity are not JSON numbers";
        else if (*p == '\'')
            why = "strings need double quotes";
        else if (*p == '+' || *p == '.')
            why = "a number must begin with a digit or a minus sign";
        else if (p == json->begin && json->end - p >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0)
            why = "a byte order mark is not part of JSON";
    }
    if (json->begin == json->end)
        fail(json, TS_BAD_JSON, p, "the text is empty");
    else
        unexpected(json, p, why);
    return TS_JSON_NONE;
}

enum ts_json_type ts_json_next(struct ts_json *json)
{
    const char *p = skip_space(json);
    if (UNLIKELY(p == json->end))
        return no_value(json, p);
    switch (*p) {
    case '"':
        return TS_JSON_STRING;
    case '{':
        return TS_JSON_OBJECT;
    case '[':
        return TS_JSON_LIST;
    case 't':
        return TS_JSON_TRUE;
    case 'f':
        return TS_JSON_FALSE;
    case 'n':
        return TS_JSON_NULL;
    default:
        if (LIKELY(*p == '-' || ts_is_digit(*p)))
            return TS_JSON_NUMBER;
        return no_value(json, p);
    }
}

bool ts_json_begin(struct ts_json *json)
{
    if (UNLIKELY(json->error))
        return false;
    if (UNLIKELY(json->depth >= json->max_depth))
        return fail(json, TS_TOO_DEEP, json->at, "objects and lists are nested too deep");
    json->depth++;
    json->at++;
    json->first = true;
    return true;
}

static int hex_value(char c)
{
    if (ts_is_digit(c))
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Checks the escape at p. Returns the position after it; NULL after an error. */
static const char *check_escape(struct ts_json *json, const char *p)
{
    p++;
    if (p == json->end || !*p || !strchr("\"\\/bfnrtu", *p)) {
        unexpected(json, p, "a backslash needs one of \"\\/bfnrtu behind it");
        return NULL;
    }
    if (*p++ != 'u')
        return p;
    for (const char *stop = p + 4; p < stop; p++) {
        if (p == json->end || hex_value(*p) < 0) {
            unexpected(json, p, "\\u needs four hexadecimal digits");
            return NULL;
        }
    }
    return p;
}

/* The string whose opening quote is at json->at. */
static inline bool read_string(struct ts_json *json, struct ts_json_string *ret_string)
{
    const char *begin = json->at + 1;
    const char *end = json->end;
    const char *p = begin;
    bool escaped = false;
    for (;;) {
        p = ts_json_scan(p, end);
        if (UNLIKELY(p == end))
            return unexpected(json, p, "");
        if (LIKELY(*p == '"'))
            break;
        if (*p == '\\') {
            p = check_escape(json, p);
            if (!p)
                return false;
            escaped = true;
        } else if ((unsigned char)*p < ' ') {
            return fail(json, TS_BAD_JSON, p, "control characters in a string must be escaped");
        } else {
            do {
                size_t n = ts_utf8_len(p, end);
                if (UNLIKELY(!n))
                    return fail(json, TS_BAD_UTF8, p, "these bytes are not UTF-8");
                p += n;
            } while (p < end && (unsigned char)*p >= 0x80);
        }
    }
    *ret_string = (struct ts_json_string){begin, (size_t)(p - begin), escaped};
    json->at = p + 1;
    return true;
}

bool ts_json_string(struct ts_json *json, struct ts_json_string *ret_string)
{
    if (UNLIKELY(json->error))
        return false;
    return read_string(json, ret_string);
}

static inline const char *skip_digits(const char *p, const char *end)
{
    while (p < end && ts_is_digit(*p))
        p++;
    return p;
}

bool ts_json_number(struct ts_json *json, struct ts_json_number *ret_number)
{
    if (UNLIKELY(json->error))
        return false;
    const char *begin = json->at;
    const char *end = json->end;
    const char *p = begin + (*begin == '-');
    const char *digits = p;
    bool integer = true;
    p = skip_digits(p, end);
    if (UNLIKELY(p == digits))
        return unexpected(json, p, "a minus sign needs a digit behind it");
    if (UNLIKELY(*digits == '0' && p > digits + 1))
        return fail(json, TS_BAD_JSON, digits + 1, "a number must not begin with 0 before another digit");
    if (p < end && *p == '.') {
        integer = false;
        digits = p + 1;
        p = skip_digits(digits, end);
        if (UNLIKELY(p == digits))
            return unexpected(json, p, "a decimal point needs a digit behind it");
    }
    if (p < end && (*p | 0x20) == 'e') {
        integer = false;
        digits = p + 1;
        if (digits < end && (*digits == '+' || *digits == '-'))
            digits++;
        p = skip_digits(digits, end);
        if (UNLIKELY(p == digits))
            return unexpected(json, p, "an exponent needs a digit");
    }
    *ret_number = (struct ts_json_number){begin, (size_t)(p - begin), integer};
    json->at = p;
    return true;
}

static bool skip_literal(struct ts_json *json, const char *literal)
{
    const char *p = json->at;
    for (; *literal; literal++, p++) {
        if (p == json->end || *p != *literal)
            return unexpected(json, p, "only the words true, false and null are values");
    }
    json->at = p;
    return true;
}

/* Recurses at most max_depth deep. */
bool ts_json_skip(struct ts_json *json)
{
    struct ts_json_string string;
    struct ts_json_number number;
    switch (ts_json_next(json)) {
    case TS_JSON_OBJECT:
        ts_json_begin(json);
        while (ts_json_member(json, &string) && ts_json_skip(json))
            ;
        return !json->error;
    case TS_JSON_LIST:
        ts_json_begin(json);
        while (ts_json_element(json) && ts_json_skip(json))
            ;
        return !json->error;
    case TS_JSON_STRING:
        return ts_json_string(json, &string);
    case TS_JSON_NUMBER:
        return ts_json_number(json, &number);
    case TS_JSON_TRUE:
        return skip_literal(json, "true");
    case TS_JSON_FALSE:
        return skip_literal(json, "false");
    case TS_JSON_NULL:
        return skip_literal(json, "null");
    case TS_JSON_NONE:
        break;
    }
    return false;
}

bool ts_json_member(struct ts_json *json, struct ts_json_string *ret_name)
{
    const char *p = skip_space(json);
    bool first = json->first;
    json->first = false;
    if (UNLIKELY(p == json->end))
        return unexpected(json, p, "");
    if (*p == '}') {
        json->depth--;
        json->at = p + 1;
        return false;
    }
    if (!first) {
        if (UNLIKELY(*p != ','))
            return unexpected(json, p, "a comma or } is needed here");
        json->at = p + 1;
        p = skip_space(json);
    }
    if (UNLIKELY(p == json->end || *p != '"'))
        return unexpected(json, p, "a name in double quotes is needed here");
    if (UNLIKELY(!read_string(json, ret_name)))
        return false;
    p = skip_space(json);
    if (UNLIKELY(p == json->end || *p != ':'))
        return unexpected(json, p, "a colon is needed here");
    json->at = p + 1;
    return true;
}

bool ts_json_element(struct ts_json *json)
{
    const char *p = skip_space(json);
    bool first = json->first;
    json->first = false;
    if (UNLIKELY(p == json->end))
        return unexpected(json, p, "");
    if (*p == ']') {
        json->depth--;
        json->at = p + 1;
        return false;
    }
    if (first)
        return true;
    if (UNLIKELY(*p != ','))
        return unexpected(json, p, "a comma or ] is needed here");
    json->at = p + 1;
    return true;
}

bool ts_json_end(struct ts_json *json)
{
    const char *p = skip_space(json);
    if (UNLIKELY(p != json->end))
        return unexpected(json, p, "there is text after the end of the message");
    return !json->error;
}

static unsigned read_hex4(const char *p)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++)
        value = value << 4 | (unsigned)hex_value(p[i]);
    return value;
}

static char *put_utf8(char *out, unsigned c)
{
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    if (c < 0x800) {
        *out++ = (char)(0xC0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *out++ = (char)(0xE0 | c >> 12);
        } else {
            *out++ = (char)(0xF0 | c >> 18);
            *out++ = (char)(0x80 | (c >> 12 & 0x3F));
        }
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
    }
    *out++ = (char)(0x80 | (c & 0x3F));
    return out;
}

/* The character whose four digits are at *p. Moves *p past it, and past the second half of a surrogate pair. */
static unsigned read_unicode(const char **p, const char *end)
{
    unsigned c = read_hex4(*p);
    *p += 4;
    if (c < 0xD800 || c > 0xDFFF)
        return c;
    if (c < 0xDC00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
        unsigned low = read_hex4(*p + 2);
        if (low >= 0xDC00 && low <= 0xDFFF) {
            *p += 6;
            return 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        }
    }
    return 0xFFFD;
}

size_t ts_json_unescape(const struct ts_json_string *string, char *out)
{
    const char *p = string->bytes;
    const char *end = p + string->len;
    char *to = out;
    while (p < end) {
        const char *stop = memchr(p, '\\', (size_t)(end - p));
        if (!stop)
            stop = end;
        memcpy(to, p, (size_t)(stop - p));
        to += stop - p;
        p = stop;
        if (p == end)
            break;
        char c = p[1];
        p += 2;
        switch (c) {
        case 'b':
            *to++ = '\b';
            break;
        case 'f':
            *to++ = '\f';
            break;
        case 'n':
            *to++ = '\n';
            break;
        case 'r':
            *to++ = '\r';
            break;
        case 't':
            *to++ = '\t';
            break;
        case 'u':
            to = put_utf8(to, read_unicode(&p, end));
            break;
        default: /* a quote, a backslash or a slash */
            *to++ = c;
            break;
        }
    }
    return (size_t)(to - out);
}
