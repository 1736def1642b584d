#include "lib/base/number.h"

#include "lib/base/ascii.h"

#include <stdbool.h>

/* More digits than fit into memory, and far enough from overflow to add to. */
#define EXPONENT_HELD INT64_C(1000000000000000000)

/* The digits of the text, those before the point and of the fraction in one sequence, and where its point is. */
struct decimal {
    const char *whole;
    int64_t n_whole;
    const char *fraction;
    int64_t n_fraction;
    int64_t exponent;
    bool negative;
};

static struct decimal split(const char *text, size_t len)
{
    const char *p = text;
    const char *end = text + len;
    struct decimal d = {.negative = *p == '-'};
    if (d.negative)
        p++;
    d.whole = p;
    while (p < end && ts_is_digit(*p))
        p++;
    d.n_whole = p - d.whole;
    d.fraction = p;
    if (p < end && *p == '.') {
        d.fraction = ++p;
        while (p < end && ts_is_digit(*p))
            p++;
        d.n_fraction = p - d.fraction;
    }
    if (p == end)
        return d;
    p++; /* the e */
    bool below = *p == '-';
    if (*p == '-' || *p == '+')
        p++;
    for (; p < end; p++) {
        if (d.exponent < EXPONENT_HELD / 10)
            d.exponent = d.exponent * 10 + (*p - '0');
    }
    if (below)
        d.exponent = -d.exponent;
    return d;
}

static inline unsigned digit_at(const struct decimal *d, int64_t i)
{
    return (unsigned)((i < d->n_whole ? d->whole[i] : d->fraction[i - d->n_whole]) - '0');
}

/* The index of the first digit that is not 0; the number of digits if there is none. */
static int64_t first_digit(const struct decimal *d)
{
    int64_t n = d->n_whole + d->n_fraction;
    int64_t i = 0;
    while (i < n && digit_at(d, i) == 0)
        i++;
    return i;
}

/*
 * Any number of digits, any exponent. The value is 0.DDD... * 10^point seconds, where D begins with the first digit
 * that is not 0. So point + 9 digits are integer nanoseconds; the next digit, and whether a digit other than 0 follows
 * it, determine the rounding.
 */
static int general_ns(const struct decimal *d, enum ts_rounding rounding, uint64_t limit, int64_t *ret_ns)
{
    int64_t n = d->n_whole + d->n_fraction;
    int64_t i = first_digit(d);
    if (i == n) {
        *ret_ns = 0;
        return 0;
    }
    int64_t places = d->n_whole - i + d->exponent + 9;
    if (places > 19) /* 10^19 and more; no limit is that wide */
        return TS_OUT_OF_RANGE;
    uint64_t value = 0;
    for (int64_t k = 0; k < places; k++, i++)
        value = value * 10 + (i < n ? digit_at(d, i) : 0);
    unsigned next = places >= 0 && i < n ? digit_at(d, i) : 0;
    bool rest = false; /* below a tenth of a nanosecond the first digit already belongs to it */
    for (i += places >= 0; !rest && i < n; i++)
        rest = digit_at(d, i) != 0;
    if (value > limit || (value == limit && (next || rest)))
        return TS_OUT_OF_RANGE;
    bool up = rounding == TS_FLOOR ? d->negative && (next || rest) : next > 5 || (next == 5 && (rest || value % 2));
    value += up;
    *ret_ns = d->negative ? -(int64_t)value : (int64_t)value;
    return 0;
}

int ts_number_ns(const char *text, size_t len, enum ts_rounding rounding, int64_t limit_ns, int64_t *ret_ns)
{
    static const uint32_t powers[10] = {1000000000, 100000000, 10000000, 1000000, 100000, 10000, 1000, 100, 10, 1};
    /* Usually no rounding is needed: at most ten digits, a point, at most nine. The products are below 2^64. */
    const char *p = text;
    const char *end = text + len;
    bool negative = *p == '-';
    if (negative)
        p++;
    const char *begin = p;
    uint64_t value = 0;
    size_t places = 0;
    if (len <= 21) { /* no longer text has this form */
        for (; p < end && ts_is_digit(*p); p++)
            value = value * 10 + (unsigned)(*p - '0');
        if (p - begin <= 10) {
            if (p < end && *p == '.') {
                begin = ++p;
                for (; p < end && ts_is_digit(*p); p++)
                    value = value * 10 + (unsigned)(*p - '0');
                places = (size_t)(p - begin);
            }
            if (p == end && places <= 9) {
                value *= powers[places];
                if (value > (uint64_t)limit_ns)
                    return TS_OUT_OF_RANGE;
                *ret_ns = negative ? -(int64_t)value : (int64_t)value;
                return 0;
            }
        }
    }
    struct decimal d = split(text, len);
    return general_ns(&d, rounding, (uint64_t)limit_ns, ret_ns);
}

int ts_number_integer(const char *text, size_t len, int64_t min, int64_t max, int64_t *ret_value)
{
    bool negative = *text == '-';
    uint64_t limit = negative ? -(uint64_t)min : (uint64_t)max;
    uint64_t value = 0;
    for (const char *p = text + negative; p < text + len; p++) {
        unsigned digit = (unsigned)(*p - '0');
        if (value > limit / 10 || value * 10 > limit - digit || digit > limit)
            return TS_OUT_OF_RANGE;
        value = value * 10 + digit;
    }
    *ret_value = negative ? (int64_t)-value : (int64_t)value;
    return 0;
}

int64_t ts_number_magnitude(const char *text, size_t len)
{
    struct decimal d = split(text, len);
    int64_t i = first_digit(&d);
    return i == d.n_whole + d.n_fraction ? 0 : d.n_whole - i + d.exponent;
}
