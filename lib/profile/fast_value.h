/*
 * Strings and numbers of the fast path, read in the form that json.dumps prints. Inline: each variant of
 * lib/profile/fast_run.c compiles its own.
 *
 * Every function returns the position after what it has read, or NULL if the text has another form. Constants and
 * numbers are compared without asking for the end of the text: the caller makes sure that TS_FAST_MARGIN bytes are
 * left.
 */
#ifndef TS_PROFILE_FAST_VALUE_H
#define TS_PROFILE_FAST_VALUE_H

#include "lib/base/ascii.h"
#include "lib/base/json_scan.h"
#include "lib/base/number.h"
#include "lib/profile/block64.h"
#include "lib/profile/profile.h"

#include <string.h>

enum {
    WHOLE_MAX = 10,    /* digits before the point */
    FRACTION_MAX = 24, /* after it; repr() of a double has 17 significant digits */
    CALLS_MAX = 16
};

/* Compares inline; n is a constant from 1 to 32. */
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

/* Skips a constant, or returns NULL from the function. */
#define EXPECT(p, constant) \
    do { \
        if (!same(p, constant, sizeof(constant) - 1)) \
            return NULL; \
        (p) += sizeof(constant) - 1; \
    } while (0)
/* The same for a constant that depends on the spacing of the text. */
#define EXPECT_SPACED(p, spaced, with, without) \
    do { \
        if (spaced) \
            EXPECT(p, with); \
        else \
            EXPECT(p, without); \
    } while (0)

/* A string of any length; p is after its opening quote. Escapes are left to the general path. */
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

/* The same; most strings are short and ASCII, so one block of 64 bytes has the end. */
static inline const char *parse_string(const char *p, const char *end, size_t max, struct ts_str *ret)
{
    unsigned n = ts_plain64(p);
    if (n == TS_BLOCK || p[n] != '"')
        return parse_any_string(p, end, max, ret);
    *ret = (struct ts_str){p, n};
    return p + n + 1;
}

/* The value of up to 8 digits at p. ret_n: how many there are; 8 if there may be more. */
static inline uint64_t parse_8_digits(const char *p, unsigned *ret_n)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t word;
    memcpy(&word, p, 8);
    word ^= ones * '0';
    /* The top bit of a byte is set if it is no digit. A carry only reaches the bytes after it. */
    uint64_t others = ((word + ones * 0x76) | word) & ones << 7;
    unsigned n = others ? (unsigned)__builtin_ctzll(others) >> 3 : 8;
    *ret_n = n;
    if (!n)
        return 0;
    word <<= 64 - 8 * n; /* removes what is no digit, and adds leading zeros */
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

/* A number of seconds of any length. */
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
    return p; /* a further digit or an exponent is not the constant that follows */
}

/* A number of seconds; up to 7 digits before the point and 9 after it are read without a loop. */
static inline const char *parse_seconds(const char *p, int64_t *ret_ns)
{
    static const uint32_t powers[8] = {1000000000, 100000000, 10000000, 1000000, 100000, 10000, 1000, 100};
    /* get_stats_profile() rounds most times to this. */
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
    value *= 1000000000; /* 7 digits are within TS_TIME_MAX_NS, with any fraction */
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

/* The digits of a count. */
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

/* "n" or "n/p" after the opening quote of ncalls, with the closing quote. */
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

#endif
