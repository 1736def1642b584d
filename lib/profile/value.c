/* Single values of a message: strings, names, times, counts. Faults are noted as lib/profile/decoder.h describes. */
#include "lib/base/ascii.h"
#include "lib/base/int.h"
#include "lib/base/number.h"
#include "lib/profile/decoder.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_SHOWN = 24 }; /* bytes of a number in a message */

/*
 * Unescaping never makes a string longer. So the length of the rest of the message, from its first string with escapes
 * on, is enough for that string and all later ones.
 */
static bool arena_reserve(struct ts_decoder *decoder, size_t need)
{
    if (need <= decoder->arena_cap - decoder->arena_len)
        return true;
    assert(decoder->arena_len == 0); /* only the first one of a message can need more */
    size_t cap = need > decoder->arena_cap * 2 ? need : decoder->arena_cap * 2;
    char *arena = malloc(cap);
    if (!arena) {
        decoder->no_memory = true;
        return false;
    }
    free(decoder->arena);
    decoder->arena = arena;
    decoder->arena_cap = cap;
    return true;
}

bool ts_parse_text(struct ts_decoder *decoder, const struct ts_json_string *string, struct ts_str *ret_text)
{
    if (!string->escaped) {
        *ret_text = (struct ts_str){string->bytes, string->len};
        return true;
    }
    if (!arena_reserve(decoder, (size_t)(decoder->json.end - string->bytes)))
        return false;
    char *out = decoder->arena + decoder->arena_len;
    size_t len = ts_json_unescape(string, out);
    decoder->arena_len += len;
    *ret_text = (struct ts_str){out, len};
    return true;
}

bool ts_parse_string(struct ts_decoder *decoder, struct ts_str *ret_text)
{
    struct ts_json_string string;
    return ts_json_string(&decoder->json, &string) && ts_parse_text(decoder, &string, ret_text);
}

void ts_check_name(struct ts_decoder *decoder, size_t offset, struct ts_str name)
{
    if (name.len > TS_NAME_MAX)
        ts_note(decoder, TS_BAD_NAME, offset, "the name is %zu bytes long, at most %d are allowed", name.len,
                TS_NAME_MAX);
    else if (memchr(name.data, '\0', name.len))
        ts_note(decoder, TS_BAD_NAME, offset, "the name contains a NUL");
}

static int shown_len(const struct ts_json_number *number)
{
    return number->len <= NUMBER_SHOWN ? (int)number->len : NUMBER_SHOWN;
}

static const char *shown_more(const struct ts_json_number *number)
{
    return number->len <= NUMBER_SHOWN ? "" : "...";
}

bool ts_parse_seconds(struct ts_decoder *decoder, const char *member, int64_t *ret_ns)
{
    enum ts_json_type type = ts_json_next(&decoder->json);
    if (type != TS_JSON_NUMBER) {
        if (type)
            ts_note_type(decoder, TS_BAD_SHAPE, type, member, "a number of seconds");
        return ts_json_skip(&decoder->json);
    }
    size_t offset = ts_json_offset(&decoder->json);
    struct ts_json_number number;
    if (!ts_json_number(&decoder->json, &number))
        return false;
    if (ts_number_ns(number.text, number.len, TS_HALF_EVEN, TS_TIME_MAX_NS, ret_ns))
        ts_note(decoder, TS_OUT_OF_RANGE, offset, "%s is %.*s%s seconds, beyond the limit of 10000000 (10^7)", member,
                shown_len(&number), number.text, shown_more(&number));
    return true;
}

/* The unit that a number too large for seconds probably has: today's date in other units. */
static const char *timestamp_hint(const struct ts_json_number *number)
{
    switch (ts_number_magnitude(number->text, number->len)) {
    case 12:
    case 13:
        return "; it looks like milliseconds, divide by 1000";
    case 15:
    case 16:
        return "; it looks like microseconds, divide by 1000000";
    case 18:
    case 19:
        return "; it looks like nanoseconds, divide by 10^9";
    default:
        return "";
    }
}

bool ts_parse_timestamp(struct ts_decoder *decoder, int64_t *ret_ns)
{
    enum ts_json_type type = ts_json_next(&decoder->json);
    if (type != TS_JSON_NUMBER) {
        if (type)
            ts_note_type(decoder, TS_BAD_SHAPE, type, "timestamp", "a number of seconds since the epoch");
        return ts_json_skip(&decoder->json);
    }
    size_t offset = ts_json_offset(&decoder->json);
    struct ts_json_number number;
    if (!ts_json_number(&decoder->json, &number))
        return false;
    if (ts_number_ns(number.text, number.len, TS_FLOOR, TS_TIMESTAMP_MAX_NS, ret_ns))
        ts_note(decoder, TS_OUT_OF_RANGE, offset, "timestamp is %.*s%s, beyond 9.2e9 seconds from the epoch%s",
                shown_len(&number), number.text, shown_more(&number), timestamp_hint(&number));
    return true;
}

bool ts_parse_integer(struct ts_decoder *decoder, const char *member, int64_t max, int64_t *ret_value, bool *ret_valid)
{
    enum ts_json_type type = ts_json_next(&decoder->json);
    if (type != TS_JSON_NUMBER) {
        if (type)
            ts_note_type(decoder, TS_BAD_SHAPE, type, member, "an integer");
        return ts_json_skip(&decoder->json);
    }
    size_t offset = ts_json_offset(&decoder->json);
    struct ts_json_number number;
    if (!ts_json_number(&decoder->json, &number))
        return false;
    if (!number.integer)
        ts_note(decoder, TS_BAD_SHAPE, offset, "%s is %.*s%s, an integer without fraction or exponent is needed",
                member, shown_len(&number), number.text, shown_more(&number));
    else if (ts_number_integer(number.text, number.len, 0, max, ret_value))
        ts_note(decoder, TS_OUT_OF_RANGE, offset, "%s is %.*s%s, beyond its limits of 0 and %lld", member,
                shown_len(&number), number.text, shown_more(&number), (long long)max);
    else
        *ret_valid = true;
    return true;
}

/* Reads and removes the digits at the beginning of *text. 0, TS_BAD_SHAPE (there are none) or TS_OUT_OF_RANGE. */
static int read_calls(struct ts_str *text, int64_t *ret_value)
{
    size_t n = 0;
    while (n < text->len && ts_is_digit(text->data[n]))
        n++;
    if (n == 0)
        return TS_BAD_SHAPE;
    int rc = ts_number_integer(text->data, n, 0, TS_CALLS_MAX, ret_value);
    *text = (struct ts_str){text->data + n, text->len - n};
    return rc;
}

/* "n" or "n/p". A wrong form is reported rather than the size of the numbers. */
static void read_calls_text(struct ts_decoder *decoder, size_t offset, struct ts_str text, int64_t *ret_ncalls,
                            int64_t *ret_pcalls)
{
    char shown[TS_SHOWN];
    struct ts_str rest = text;
    int64_t ncalls = 0;
    int64_t pcalls = 0;
    int n_rc = read_calls(&rest, &ncalls);
    int p_rc = 0;
    if (n_rc != TS_BAD_SHAPE && rest.len && rest.data[0] == '/') {
        rest = (struct ts_str){rest.data + 1, rest.len - 1};
        p_rc = read_calls(&rest, &pcalls);
    } else {
        pcalls = ncalls;
    }
    if (n_rc == TS_BAD_SHAPE || p_rc == TS_BAD_SHAPE || rest.len)
        ts_note(decoder, TS_BAD_SHAPE, offset, "ncalls is %s, decimal digits are needed, as in \"7\" or \"7/3\"",
                ts_shown(text, shown));
    else if (n_rc || p_rc)
        ts_note(decoder, TS_OUT_OF_RANGE, offset, "ncalls is %s, beyond the limit of 2^53", ts_shown(text, shown));
    else if (pcalls > ncalls)
        ts_note(decoder, TS_OUT_OF_RANGE, offset, "ncalls is %s, more primitive calls than calls",
                ts_shown(text, shown));
    *ret_ncalls = ncalls;
    *ret_pcalls = pcalls;
}

bool ts_parse_calls(struct ts_decoder *decoder, int64_t *ret_ncalls, int64_t *ret_pcalls)
{
    enum ts_json_type type = ts_json_next(&decoder->json);
    size_t offset = ts_json_offset(&decoder->json);
    if (type == TS_JSON_STRING) {
        struct ts_str text;
        if (!ts_parse_string(decoder, &text))
            return false;
        read_calls_text(decoder, offset, text, ret_ncalls, ret_pcalls);
        return true;
    }
    if (type != TS_JSON_NUMBER) {
        if (type)
            ts_note_type(decoder, TS_BAD_SHAPE, type, "ncalls", "a string like \"7\" or \"7/3\"");
        return ts_json_skip(&decoder->json);
    }
    bool valid = false;
    if (!ts_parse_integer(decoder, "ncalls", TS_CALLS_MAX, ret_ncalls, &valid))
        return false;
    *ret_pcalls = *ret_ncalls;
    return true;
}

bool ts_member_twice(struct ts_decoder *decoder, unsigned *seen, unsigned bit, size_t offset, const char *member)
{
    if (!(*seen & bit)) {
        *seen |= bit;
        return false;
    }
    ts_note(decoder, TS_BAD_SHAPE, offset, "%s is given twice in one object", member);
    return true;
}

bool ts_next_member(struct ts_decoder *decoder, struct ts_str *ret_name, size_t *ret_offset)
{
    struct ts_json_string key;
    if (!ts_json_member(&decoder->json, &key) || !ts_parse_text(decoder, &key, ret_name))
        return false;
    *ret_offset = (size_t)(key.bytes - 1 - decoder->json.begin);
    return true;
}

bool ts_can_continue(const struct ts_decoder *decoder)
{
    return !decoder->json.error && !decoder->no_memory;
}
