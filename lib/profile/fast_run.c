/*
 * The fast path through func_profiles: entries as CPython prints them, compared with constants, not tokenised.
 *
 * One of lib/profile/fast.c's variants: TS_FAST_RUN names it, the compiler's flags (or TS_PORTABLE) say which
 * instructions it may use.
 *
 * json.dumps(asdict(stats_profile)) gives every entry the same members in the same order with the same spacing; so do
 * its compact form and the list form of our own client. An entry that has that shape and nothing wrong with it is taken
 * here; at the first byte that differs nothing of it has been taken, and the general path (lib/profile/entry.c) reads
 * that entry from its beginning. So the fast path never judges: every fault, escape, other order or other spacing is
 * the general path's, and the two cannot disagree about an entry that both take unless a value is read differently,
 * which tests and a fuzz target hold together. Every byte is still checked: strings for control characters and UTF-8,
 * numbers for their grammar.
 *
 * Bounds. Constants and numbers are read without asking for the end of the text before each byte: an entry is only
 * begun, and gone on with behind each of its strings, while MARGIN bytes are left, more than all of them together can
 * take. The last entries of a message go the general path.
 *
 * An entry whose members are all there but in another order (a dict built otherwise) is taken too, member by member.
 */
#include "lib/base/ascii.h"
#include "lib/base/json_scan.h"
#include "lib/base/number.h"
#include "lib/profile/block64.h"
#include "lib/profile/decoder.h"
#include "lib/profile/recall.h"

#include <string.h>

enum {
    MARGIN = TS_FAST_MARGIN,
    WHOLE_MAX = 10,    /* digits before the point */
    FRACTION_MAX = 24, /* behind it; repr() of a double gives 17 significant ones */
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

/* The string whose first byte is at p, byte by byte where need be; gives the byte behind its closing quote. */
static __attribute__((noinline)) const char *parse_any_string(const char *p, const char *end, size_t max,
                                                              struct ts_str *ret)
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

/* Most strings are short and ASCII. */
static inline const char *parse_string(const char *p, const char *end, size_t max, struct ts_str *ret)
{
    unsigned n = ts_plain64(p);
    if (n == TS_BLOCK || p[n] != '"')
        return parse_any_string(p, end, max, ret);
    *ret = (struct ts_str){p, n};
    return p + n + 1;
}

/* Up to 8 digits at p: their value, and how many; more than 8 give 8. */
static inline uint64_t parse_8_digits(const char *p, unsigned *ret_n)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t word;
    memcpy(&word, p, 8);
    word ^= ones * '0';
    /* Above 9 the sum reaches the top bit; a carry out of a byte reaches only those behind it. */
    uint64_t others = ((word + ones * 0x76) | word) & ones << 7;
    unsigned n = others ? (unsigned)__builtin_ctzll(others) >> 3 : 8;
    *ret_n = n;
    if (!n)
        return 0;
    word <<= 64 - 8 * n; /* leading zeros, and what was no digit is out */
    word = word * 10 + (word >> 8);
    const uint64_t pairs = UINT64_C(0x000000FF000000FF);
    return ((word & pairs) * (100 + (UINT64_C(1000000) << 32)) +
            (word >> 16 & pairs) * (1 + (UINT64_C(10000) << 32))) >>
           32;
#else
    uint64_t value = 0;
    unsigned n = 0;
    for (; n < 8 && ts_is_digit(p[n]); n++)
        value = value * 10 + (unsigned)(p[n] - '0');
    *ret_n = n;
    return value;
#endif
}

/* A number of seconds of any length; gives the byte behind it. */
static __attribute__((noinline)) const char *parse_long_seconds(const char *p, int64_t *ret_ns)
{
    const char *text = p;
    p += *p == '-';
    const char *digits = p;
    while (ts_is_digit(*p) && p - digits < WHOLE_MAX)
        p++;
    if (p == digits || (*digits == '0' && p - digits > 1))
        return NULL;
    if (*p == '.') {
        digits = ++p;
        while (ts_is_digit(*p) && p - digits < FRACTION_MAX)
            p++;
        if (p == digits)
            return NULL;
    }
    if (ts_number_ns(text, (size_t)(p - text), TS_HALF_EVEN, TS_TIME_MAX_NS, ret_ns))
        return NULL;
    return p; /* a further digit or an exponent here is not what the next constant begins with */
}

/* A number of seconds; gives the byte behind it. */
static inline const char *parse_seconds(const char *p, int64_t *ret_ns)
{
    static const uint32_t powers[8] = {1000000000, 100000000, 10000000, 1000000, 100000, 10000, 1000, 100};
    /* What get_stats_profile() makes of most times. */
    if (same(p, "0.0,", 4)) {
        *ret_ns = 0;
        return p + 3;
    }
    const char *text = p;
    bool negative = *p == '-';
    p += negative;
    unsigned n;
    uint64_t value = parse_8_digits(p, &n);
    if (n == 8)
        return parse_long_seconds(text, ret_ns);
    if (!n || (*p == '0' && n > 1))
        return NULL;
    value *= 1000000000; /* of 7 digits: within TS_TIME_MAX_NS, with any fraction */
    p += n;
    if (*p == '.') {
        uint64_t fraction = parse_8_digits(++p, &n);
        if (!n)
            return NULL;
        if (n == 8) {
            if (!ts_is_digit(p[8])) {
                fraction *= 10;
            } else if (!ts_is_digit(p[9])) {
                fraction = fraction * 10 + (unsigned)(p[8] - '0');
                p++;
            } else {
                return parse_long_seconds(text, ret_ns);
            }
            value += fraction;
        } else {
            value += fraction * powers[n];
        }
        p += n;
    }
    *ret_ns = negative ? -(int64_t)value : (int64_t)value;
    return p;
}

/* Digits of a count; gives the byte behind them. */
static inline const char *parse_digits(const char *p, uint64_t *ret)
{
    unsigned n;
    *ret = parse_8_digits(p, &n);
    if (n == 8) {
        for (; n < CALLS_MAX && ts_is_digit(p[n]); n++)
            *ret = *ret * 10 + (unsigned)(p[n] - '0');
    }
    return n ? p + n : NULL;
}

/* What is between the quotes of ncalls, and the closing one. */
static inline const char *parse_calls(const char *p, struct ts_entry *entry)
{
    uint64_t n;
    uint64_t primitive;
    p = parse_digits(p, &n);
    if (!p || n > TS_CALLS_MAX)
        return NULL;
    primitive = n;
    if (*p == '/') {
        p = parse_digits(p + 1, &primitive);
        if (!p || primitive > n)
            return NULL;
    }
    entry->ncalls = (int64_t)n;
    entry->pcalls = (int64_t)primitive;
    return *p == '"' ? p + 1 : NULL;
}

static inline const char *parse_line_number(const char *p, struct ts_entry *entry)
{
    uint64_t line;
    const char *digits = p;
    p = parse_digits(p, &line);
    if (!p || line > INT32_MAX || (*digits == '0' && p - digits > 1))
        return NULL;
    entry->line_number = (int32_t)line;
    return p;
}

/* From the quote that ends the name to the brace that ends the entry. */
static inline __attribute__((always_inline)) const char *parse_members(const char *p, const char *end, bool spaced,
                                                                       struct ts_entry *entry)
{
    int64_t ignored;
    p = parse_calls(p, entry);
    if (!p)
        return NULL;
    EXPECT_SPACED(p, spaced, ", \"tottime\": ", ",\"tottime\":");
    p = parse_seconds(p, &entry->tottime);
    if (!p)
        return NULL;
    /* The list form of our client leaves the quotients out. */
    bool percall = p[spaced ? 3 : 2] == 'p';
    if (percall) {
        EXPECT_SPACED(p, spaced, ", \"percall_tottime\": ", ",\"percall_tottime\":");
        p = parse_seconds(p, &ignored);
        if (!p)
            return NULL;
    }
    EXPECT_SPACED(p, spaced, ", \"cumtime\": ", ",\"cumtime\":");
    p = parse_seconds(p, &entry->cumtime);
    if (!p)
        return NULL;
    if (percall) {
        EXPECT_SPACED(p, spaced, ", \"percall_cumtime\": ", ",\"percall_cumtime\":");
        p = parse_seconds(p, &ignored);
        if (!p)
            return NULL;
    }
    EXPECT_SPACED(p, spaced, ", \"file_name\": \"", ",\"file_name\":\"");
    p = parse_string(p, end, TS_FILE_NAME_MAX, &entry->file_name);
    if (!p || end - p < MARGIN)
        return NULL;
    EXPECT_SPACED(p, spaced, ", \"line_number\": ", ",\"line_number\":");
    p = parse_line_number(p, entry);
    return p && *p == '}' ? p + 1 : NULL;
}

/* One entry, the comma before it included where it is not the first; gives the byte behind its brace. */
static inline __attribute__((always_inline)) const char *parse_entry(const char *p, const char *end, bool first,
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
    p = parse_string(p, end, TS_NAME_MAX, &entry->raw_name);
    if (!p || end - p < MARGIN)
        return NULL;
    if (listed)
        EXPECT_SPACED(p, spaced, ", \"ncalls\": \"", ",\"ncalls\":\"");
    else
        EXPECT_SPACED(p, spaced, ": {\"ncalls\": \"", ":{\"ncalls\":\"");
    return parse_members(p, end, spaced, entry);
}

/* The members that make an entry, as bits. */
enum {
    NCALLS = 1,
    TOTTIME = 2,
    CUMTIME = 4,
    FILE_NAME = 8,
    LINE_NUMBER = 16,
    FUNC_NAME = 32,
    PERCALL_TOTTIME = 64,
    PERCALL_CUMTIME = 128
};

/* The member whose name begins at p, up to its value; gives its bit, or 0. */
static inline unsigned parse_key(const char **at, bool spaced)
{
#define KEY(bit, name) \
    if (same(*at, name "\":", sizeof(name) + 1)) { \
        *at += sizeof(name) + 1 + spaced; \
        return spaced && (*at)[-1] != ' ' ? 0 : bit; \
    }
    switch (**at) {
    case 'n':
        KEY(NCALLS, "ncalls");
        break;
    case 't':
        KEY(TOTTIME, "tottime");
        break;
    case 'c':
        KEY(CUMTIME, "cumtime");
        break;
    case 'l':
        KEY(LINE_NUMBER, "line_number");
        break;
    case 'f':
        KEY(FILE_NAME, "file_name");
        KEY(FUNC_NAME, "func_name");
        break;
    case 'p':
        KEY(PERCALL_TOTTIME, "percall_tottime");
        KEY(PERCALL_CUMTIME, "percall_cumtime");
        break;
    default:
        break;
    }
#undef KEY
    return 0;
}

static inline const char *parse_value(const char *p, const char *end, unsigned bit, struct ts_entry *entry)
{
    int64_t ignored;
    switch (bit) {
    case NCALLS:
        return *p == '"' ? parse_calls(p + 1, entry) : NULL;
    case TOTTIME:
        return parse_seconds(p, &entry->tottime);
    case CUMTIME:
        return parse_seconds(p, &entry->cumtime);
    case LINE_NUMBER:
        return parse_line_number(p, entry);
    case FILE_NAME:
        p = *p == '"' ? parse_string(p + 1, end, TS_FILE_NAME_MAX, &entry->file_name) : NULL;
        return p && end - p >= MARGIN ? p : NULL;
    case FUNC_NAME:
        p = *p == '"' ? parse_string(p + 1, end, TS_NAME_MAX, &entry->raw_name) : NULL;
        return p && end - p >= MARGIN ? p : NULL;
    default:
        return parse_seconds(p, &ignored);
    }
}

/* One entry whose members come in any order, each at most once; gives the byte behind its brace. */
static inline const char *parse_unordered(const char *p, const char *end, bool first, bool listed, bool spaced,
                                          struct ts_entry *entry)
{
    unsigned seen = 0;
    unsigned needed = listed ? CUMTIME | FUNC_NAME : CUMTIME;
    *entry = (struct ts_entry){.line_number = -1};
    if (end - p < MARGIN)
        return NULL;
    if (!first)
        EXPECT_SPACED(p, spaced, ", ", ",");
    if (!listed) {
        EXPECT(p, "\"");
        p = parse_string(p, end, TS_NAME_MAX, &entry->raw_name);
        if (!p || end - p < MARGIN)
            return NULL;
        EXPECT_SPACED(p, spaced, ": ", ":");
    }
    EXPECT(p, "{\"");
    for (;;) {
        unsigned bit = parse_key(&p, spaced);
        if (!bit || seen & bit || (bit == FUNC_NAME && !listed))
            return NULL;
        seen |= bit;
        p = parse_value(p, end, bit, entry);
        if (!p)
            return NULL;
        if (*p == '}')
            return (seen & needed) == needed ? p + 1 : NULL;
        EXPECT_SPACED(p, spaced, ", \"", ",\"");
    }
}

/* As many entries of one shape as follow each other. False: no memory. */
static inline __attribute__((always_inline)) bool parse_run(struct ts_decoder *decoder, bool listed, bool spaced)
{
    struct ts_json *json = &decoder->json;
    bool ordered = true; /* until an entry is not: those behind it will not be either */
    for (;;) {
        struct ts_profile *profile = &decoder->profile;
        /* An ordered entry has all its members: nothing of its place needs to be cleared. */
        struct ts_entry *entry =
            profile->n_entries < decoder->cap_entries ? &profile->entries[profile->n_entries] : ts_next_entry(decoder);
        if (!entry)
            return false;
        entry->recalled = entry->key = 0;
        const char *next = NULL;
        if (ordered) {
            next = parse_entry(json->at, json->end, json->first, listed, spaced, entry);
            ordered = next != NULL;
        }
        if (!next)
            next = parse_unordered(json->at, json->end, json->first, listed, spaced, entry);
        if (!next)
            return true; /* what was filled in of the entry is cleared by the general path */
        ts_recall_find(&decoder->recall, entry);
        json->at = next;
        json->first = false;
        profile->n_entries++;
        decoder->n_fast++;
    }
}

bool TS_FAST_RUN(struct ts_decoder *decoder, bool listed, bool spaced)
{
    if (listed)
        return spaced ? parse_run(decoder, true, true) : parse_run(decoder, true, false);
    return spaced ? parse_run(decoder, false, true) : parse_run(decoder, false, false);
}
