/*
 * The direct way through func_profiles: entries exactly as CPython prints them, compared with constants, not tokenised.
 *
 * json.dumps(asdict(stats_profile)) gives every entry the same members in the same order with the same spacing; so do
 * its compact form and the list form of our own client. An entry that has that shape and nothing wrong with it is taken
 * here; at the first byte that differs nothing of it has been taken, and the general way (lib/profile_entry.c) reads
 * that entry from its beginning. So the direct way never judges: every fault, escape, other order or other spacing is
 * the general way's, and the two cannot disagree about an entry that both take unless a value is read differently,
 * which tests and a fuzz target hold together. Every byte is still checked: strings for control characters and UTF-8,
 * numbers for their grammar.
 *
 * Bounds. Constants and numbers are read without asking for the end of the text before each byte: an entry is only
 * begun, and gone on with behind each of its strings, while MARGIN bytes are left, more than all of them together can
 * take. The last entries of a message go the general way.
 */
#include "lib/json_scan.h"
#include "lib/number.h"
#include "lib/profile_decoder.h"

#include <string.h>

enum {
    MARGIN = 512,
    WHOLE_MAX = 10,    /* digits before the point */
    FRACTION_MAX = 24, /* behind it; repr() of a double gives 17 significant ones */
    EXACT_MAX = 9,     /* of those behind it: no rounding is needed */
    CALLS_MAX = 16
};

/* Compares without a call: n is a constant from 1 to 32. */
static inline __attribute__((always_inline)) bool same(const char *p, const char *constant, size_t n)
{
    uint64_t a;
    uint64_t b;
    uint64_t differ = 0;
    if (n < 8) {
        for (size_t i = 0; i < n; i++)
            differ |= (uint64_t)(p[i] ^ constant[i]);
        return differ == 0;
    }
    for (size_t i = 0; i + 8 <= n; i += 8) {
        memcpy(&a, p + i, 8);
        memcpy(&b, constant + i, 8);
        differ |= a ^ b;
    }
    memcpy(&a, p + (n - 8), 8);
    memcpy(&b, constant + (n - 8), 8);
    return (differ | (a ^ b)) == 0;
}

/* Steps over a constant, or leaves the function. */
#define EXPECT(p, constant) \
    do { \
        if (!same(p, constant, sizeof(constant) - 1)) \
            return NULL; \
        (p) += sizeof(constant) - 1; \
    } while (0)
/* The constant in the spacing of the text. */
#define EXPECT_SPACED(p, spaced, with, without) \
    do { \
        if (spaced) \
            EXPECT(p, with); \
        else \
            EXPECT(p, without); \
    } while (0)

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

/* The string whose first byte is at p; gives the byte behind its closing quote. */
static inline const char *take_string(const char *p, const char *end, size_t max, struct ts_str *ret)
{
    const char *begin = p;
    for (;;) {
        p = ts_json_scan(p, end);
        if (p == end)
            return NULL;
        if (*p == '"')
            break;
        if ((unsigned char)*p < 0x80) /* an escape or a control character */
            return NULL;
        size_t n = ts_utf8_len(p, end);
        if (!n)
            return NULL;
        p += n;
    }
    *ret = (struct ts_str){begin, (size_t)(p - begin)};
    return ret->len <= max ? p + 1 : NULL;
}

/* A number of seconds; gives the byte behind it. */
static inline const char *take_seconds(const char *p, int64_t *ret_ns)
{
    static const uint32_t powers[EXACT_MAX + 1] = {1000000000, 100000000, 10000000, 1000000, 100000,
                                                   10000,      1000,      100,      10,      1};
    const char *text = p;
    bool negative = *p == '-';
    p += negative;
    const char *digits = p;
    uint64_t value = 0;
    for (; is_digit(*p) && p - digits < WHOLE_MAX; p++)
        value = value * 10 + (unsigned)(*p - '0');
    if (p == digits || (*digits == '0' && p - digits > 1))
        return NULL;
    int places = 0;
    if (*p == '.') {
        digits = ++p;
        for (; is_digit(*p) && p - digits < EXACT_MAX; p++)
            value = value * 10 + (unsigned)(*p - '0');
        places = (int)(p - digits);
        if (!places)
            return NULL;
        if (is_digit(*p)) {
            while (is_digit(*p) && p - digits < FRACTION_MAX)
                p++;
            if (ts_number_ns(text, (size_t)(p - text), TS_HALF_EVEN, TS_TIME_MAX_NS, ret_ns))
                return NULL;
            return p;
        }
    }
    value *= powers[places];
    if (value > TS_TIME_MAX_NS)
        return NULL;
    *ret_ns = negative ? -(int64_t)value : (int64_t)value;
    return p; /* a further digit or an exponent here is not what the next constant begins with */
}

/* Digits of a count; gives the byte behind them. */
static inline const char *take_digits(const char *p, uint64_t *ret)
{
    const char *digits = p;
    uint64_t value = 0;
    for (; is_digit(*p) && p - digits < CALLS_MAX; p++)
        value = value * 10 + (unsigned)(*p - '0');
    *ret = value;
    return p == digits ? NULL : p;
}

/* What is between the quotes of ncalls, and the closing one. */
static inline const char *take_calls(const char *p, struct ts_entry *entry)
{
    uint64_t n;
    uint64_t primitive;
    p = take_digits(p, &n);
    if (!p || n > TS_CALLS_MAX)
        return NULL;
    primitive = n;
    if (*p == '/') {
        p = take_digits(p + 1, &primitive);
        if (!p || primitive > n)
            return NULL;
    }
    entry->ncalls = (int64_t)n;
    entry->pcalls = (int64_t)primitive;
    return *p == '"' ? p + 1 : NULL;
}

static inline const char *take_line_number(const char *p, struct ts_entry *entry)
{
    uint64_t line;
    const char *digits = p;
    p = take_digits(p, &line);
    if (!p || line > INT32_MAX || (*digits == '0' && p - digits > 1))
        return NULL;
    entry->line_number = (int32_t)line;
    return p;
}

/* From the quote that ends the name to the brace that ends the entry. */
static inline __attribute__((always_inline)) const char *take_members(const char *p, const char *end, bool spaced,
                                                                      struct ts_entry *entry)
{
    int64_t ignored;
    p = take_calls(p, entry);
    if (!p)
        return NULL;
    EXPECT_SPACED(p, spaced, ", \"tottime\": ", ",\"tottime\":");
    p = take_seconds(p, &entry->tottime);
    if (!p)
        return NULL;
    /* The list form of our client leaves the quotients out. */
    bool percall = p[spaced ? 3 : 2] == 'p';
    if (percall) {
        EXPECT_SPACED(p, spaced, ", \"percall_tottime\": ", ",\"percall_tottime\":");
        p = take_seconds(p, &ignored);
        if (!p)
            return NULL;
    }
    EXPECT_SPACED(p, spaced, ", \"cumtime\": ", ",\"cumtime\":");
    p = take_seconds(p, &entry->cumtime);
    if (!p)
        return NULL;
    if (percall) {
        EXPECT_SPACED(p, spaced, ", \"percall_cumtime\": ", ",\"percall_cumtime\":");
        p = take_seconds(p, &ignored);
        if (!p)
            return NULL;
    }
    EXPECT_SPACED(p, spaced, ", \"file_name\": \"", ",\"file_name\":\"");
    p = take_string(p, end, TS_FILE_NAME_MAX, &entry->file_name);
    if (!p || end - p < MARGIN)
        return NULL;
    EXPECT_SPACED(p, spaced, ", \"line_number\": ", ",\"line_number\":");
    p = take_line_number(p, entry);
    return p && *p == '}' ? p + 1 : NULL;
}

/* One entry, the comma before it included where it is not the first; gives the byte behind its brace. */
static inline __attribute__((always_inline)) const char *take_entry(const char *p, const char *end, bool first,
                                                                    bool listed, bool spaced, struct ts_entry *entry)
{
    if (end - p < MARGIN)
        return NULL;
    if (!first)
        EXPECT_SPACED(p, spaced, ", ", ",");
    if (listed)
        EXPECT_SPACED(p, spaced, "{\"func_name\": \"", "{\"func_name\":\"");
    else
        EXPECT(p, "\"");
    p = take_string(p, end, TS_NAME_MAX, &entry->raw_name);
    if (!p || end - p < MARGIN)
        return NULL;
    if (listed)
        EXPECT_SPACED(p, spaced, ", \"ncalls\": \"", ",\"ncalls\":\"");
    else
        EXPECT_SPACED(p, spaced, ": {\"ncalls\": \"", ":{\"ncalls\":\"");
    return take_members(p, end, spaced, entry);
}

/* As many entries of one shape as follow each other. False: no memory. */
static inline __attribute__((always_inline)) bool take_run(struct ts_decoder *decoder, bool listed, bool spaced)
{
    struct ts_json *json = &decoder->json;
    for (;;) {
        struct ts_entry *entry = ts_next_entry(decoder);
        if (!entry)
            return false;
        const char *next = take_entry(json->at, json->end, json->first, listed, spaced, entry);
        if (!next)
            return true; /* what was filled in of the entry is set anew by whoever takes that place */
        json->at = next;
        json->first = false;
        decoder->profile.n_entries++;
        decoder->n_direct++;
    }
}

/* The spacing shows behind the first colon of an entry: `"ncalls": "` or `"func_name": "`. */
static bool looks_spaced(const struct ts_json *json, bool listed)
{
    const char *p = json->at;
    if (!json->first)
        return p[1] == ' ';
    if (listed)
        return same(p, "{\"func_name\": ", sizeof("{\"func_name\": ") - 1);
    const char *colon = memchr(p, ':', MARGIN);
    return colon && colon[1] == ' ';
}

bool ts_take_direct(struct ts_decoder *decoder, bool listed)
{
    const struct ts_json *json = &decoder->json;
    /* After a fault the message is rejected, and only the walk for syntax goes on: that is the general way's. */
    if (json->end - json->at < MARGIN || decoder->shape.code || decoder->range.code || decoder->general_only)
        return true;
    if (listed)
        return looks_spaced(json, true) ? take_run(decoder, true, true) : take_run(decoder, true, false);
    return looks_spaced(json, false) ? take_run(decoder, false, true) : take_run(decoder, false, false);
}
