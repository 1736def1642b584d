/*
 * A strict pull parser for JSON in memory: RFC 8259, UTF-8, limited nesting. No I/O, no allocation, no copy.
 *
 * ts_json_next() returns the type of the next value; begin, string, number or skip reads it. In an object or a list,
 * member() or element() steps to the next one until it returns false, at the end or after an error. The first error is
 * kept: every later call returns false or TS_JSON_NONE and does nothing, so it is enough to check for it once.
 *
 * The offset of an error is that of the first byte that cannot follow in a JSON text (the length, if the text ends too
 * early), of the first byte of a sequence that is not UTF-8, or of the bracket that is nested too deeply.
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
    bool first;      /* after an opening bracket: no comma is needed */
    int error;       /* 0, TS_BAD_JSON, TS_BAD_UTF8 or TS_TOO_DEEP */
    size_t offset;   /* of the error */
    const char *why; /* text of the error, a literal */
};

/* The bytes between the quotes, valid UTF-8. If there are escapes, ts_json_unescape() decodes them. */
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

/* Skips white space and returns the type of the value at json->at, by its first byte. */
enum ts_json_type ts_json_next(struct ts_json *json);

/* Each reads the value whose type ts_json_next() has returned. */
bool ts_json_begin(struct ts_json *json); /* an object or a list: enters it */
bool ts_json_string(struct ts_json *json, struct ts_json_string *ret_string);
bool ts_json_number(struct ts_json *json, struct ts_json_number *ret_number);
bool ts_json_skip(struct ts_json *json); /* any value, checked to its end */

/* Reads the next member's name and the colon. False after the last one: the object has been left. */
bool ts_json_member(struct ts_json *json, struct ts_json_string *ret_name);
/* Steps to the next element. False after the last one: the list has been left. */
bool ts_json_element(struct ts_json *json);
/* Does nothing but white space follow? */
bool ts_json_end(struct ts_json *json);

/*
 * Decodes the escapes. out has room for string->len bytes, which is always enough; returns the length. A surrogate pair
 * becomes its character, a single surrogate U+FFFD.
 */
size_t ts_json_unescape(const struct ts_json_string *string, char *out);

/* The length of the valid UTF-8 sequence at text (RFC 3629); 0: there is none. text < end. */
size_t ts_utf8_len(const char *text, const char *end);

static inline size_t ts_json_offset(const struct ts_json *json)
{
    return (size_t)(json->at - json->begin);
}

#endif
