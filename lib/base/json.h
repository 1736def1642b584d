/*
 * A strict pull parser over bytes in memory: RFC 8259, UTF-8, a bound on nesting. No I/O, no allocation, no copy.
 *
 * The caller walks the text by asking: ts_json_next() says which kind of value comes, one of begin, string, number or
 * skip takes it; inside, member() or element() steps until it gives false, which is the end or an error. The first
 * error sticks: every later call gives false or TS_JSON_NONE and moves nothing, so asking once at the end is enough.
 *
 * The offset of an error is that of the first byte at which no JSON text can go on (the length, where the text ends
 * too early), of the first byte of a sequence that is not UTF-8, or of the bracket that is one too deep.
 */
#ifndef TS_BASE_JSON_H
#define TS_BASE_JSON_H

#include "lib/base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum ts_json_type {
    TS_JSON_NONE, /* an error, see ts_json.error */
    TS_JSON_OBJECT,
    TS_JSON_LIST,
    TS_JSON_STRING,
    TS_JSON_NUMBER,
    TS_JSON_TRUE,
    TS_JSON_FALSE,
    TS_JSON_NULL
};

struct ts_json {
    const char *begin;
    const char *at; /* the next byte */
    const char *end;
    int depth;
    int max_depth;
    bool first;      /* right behind an opening bracket */
    int error;       /* 0, TS_BAD_JSON, TS_BAD_UTF8 or TS_TOO_DEEP */
    size_t offset;   /* of the error */
    const char *why; /* the error in words, a literal */
};

/* What lies between the quotes, well-formed UTF-8; with escapes it is to be read by ts_json_unescape(). */
struct ts_json_string {
    const char *bytes;
    size_t len;
    bool escaped;
};

struct ts_json_number {
    const char *text;
    size_t len;
    bool integer; /* neither fraction nor exponent */
};

/* bytes is not NULL. */
void ts_json_init(struct ts_json *json, const char *bytes, size_t len, int max_depth);

/* Skips white space; the kind of the value that begins at json->at, judged by its first byte. */
enum ts_json_type ts_json_next(struct ts_json *json);

/* Each takes the value that ts_json_next() announced. */
bool ts_json_begin(struct ts_json *json); /* an object or a list: enters it */
bool ts_json_string(struct ts_json *json, struct ts_json_string *ret_string);
bool ts_json_number(struct ts_json *json, struct ts_json_number *ret_number);
bool ts_json_skip(struct ts_json *json); /* any value, checked to its end */

/* The next member's name, up to and with its colon; false after the last, the object is left then. */
bool ts_json_member(struct ts_json *json, struct ts_json_string *ret_name);
/* Stands before the next element; false after the last, the list is left then. */
bool ts_json_element(struct ts_json *json);
/* True where nothing but white space follows. */
bool ts_json_end(struct ts_json *json);

/*
 * Reads the escapes. out has room for string->len bytes; gives the length, never more than that. A pair of surrogates
 * becomes its character, half of one U+FFFD.
 */
size_t ts_json_unescape(const struct ts_json_string *string, char *out);

/* Length of the well-formed UTF-8 sequence at text, 0 where there is none (RFC 3629). text < end. */
size_t ts_utf8_len(const char *text, const char *end);

static inline size_t ts_json_offset(const struct ts_json *json)
{
    return (size_t)(json->at - json->begin);
}

#endif
