/*
 * Decimal text is converted to integers digit by digit in 128 bits, without floating point: "0.1s" is 100,000,000 ns,
 * and fractions of a nanosecond are rejected, not rounded.
 *
 * Every parser reads the complete text: spaces, signs that the form does not have, and trailing characters are
 * rejected.
 */
#include "lib/base/units.h"

#include "lib/base/ascii.h"
#include "lib/base/int.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MS_NS INT64_C(1000000)
#define DAY_NS (INT64_C(86400) * TS_NS_PER_S)

/*
 * The last digit of a fraction is not 0, so f, its d digits as a number, is not divisible by 10. f * unit / 10^d can be
 * an integer only if the unit is divisible by 2^d or 5^d. The longest unit, a year, is 2^16 * 5^12 * ... ns.
 */
enum { FRACTION_MAX = 16 };

struct unit {
    const char *name;
    int64_t ns;
};

static const struct unit units[] = {
    {"ms", MS_NS}, {"s", TS_NS_PER_S}, {"m", 60 * TS_NS_PER_S}, {"h", 3600 * TS_NS_PER_S},
    {"d", DAY_NS}, {"w", 7 * DAY_NS},  {"y", 365 * DAY_NS},
};
enum { N_UNITS = sizeof(units) / sizeof(units[0]) };

/* "12" or "12.5" as whole + fraction / 10^digits, without trailing zeros of the fraction. */
struct decimal {
    int64_t whole;
    int64_t fraction;
    int digits;
};

static int read_decimal(const char **text, struct decimal *ret)
{
    const char *p = *text;
    struct decimal d = {0};
    if (!ts_is_digit(*p))
        return TS_EINVAL;
    for (; ts_is_digit(*p); p++) {
        if (__builtin_mul_overflow(d.whole, 10, &d.whole) || __builtin_add_overflow(d.whole, *p - '0', &d.whole))
            return TS_EINVAL;
    }
    if (*p == '.') {
        const char *begin = ++p;
        while (ts_is_digit(*p))
            p++;
        if (p == begin)
            return TS_EINVAL;
        const char *end = p;
        while (end > begin && end[-1] == '0')
            end--;
        if (end - begin > FRACTION_MAX)
            return TS_EINVAL;
        for (const char *q = begin; q < end; q++)
            d.fraction = d.fraction * 10 + (*q - '0');
        d.digits = (int)(end - begin);
    }
    *text = p;
    *ret = d;
    return 0;
}

/* A decimal number of units in nanoseconds. At most 2^63 * 2^55, so no step exceeds 128 bits. */
static int scale(const struct decimal *d, int64_t unit_ns, ts_i128 *ret_ns)
{
    ts_i128 part = (ts_i128)d->fraction * unit_ns;
    for (int i = 0; i < d->digits; i++) {
        if (part % 10)
            return TS_EINVAL;
        part /= 10;
    }
    *ret_ns = (ts_i128)d->whole * unit_ns + part;
    return 0;
}

/* The index of the unit at the begin of the text, which ends at a digit or the end of the text; -1: none. */
static int read_unit(const char **text)
{
    for (int i = 0; i < N_UNITS; i++) {
        size_t len = strlen(units[i].name);
        if (strncmp(*text, units[i].name, len) == 0 && (!(*text)[len] || ts_is_digit((*text)[len]))) {
            *text += len;
            return i;
        }
    }
    return -1;
}

/* Decimals with units, from wide to narrow, to the end of the text. */
static int read_duration(const char *text, bool unit_required, ts_i128 *ret_ns)
{
    struct decimal d;
    ts_i128 total = 0;
    int r = read_decimal(&text, &d);
    if (!r && !*text)
        return unit_required ? TS_EINVAL : scale(&d, TS_NS_PER_S, ret_ns);
    for (int before = N_UNITS; !r;) {
        ts_i128 ns;
        int unit = read_unit(&text);
        if (unit < 0 || unit >= before || scale(&d, units[unit].ns, &ns))
            return TS_EINVAL;
        total += ns;
        before = unit;
        if (!*text) {
            *ret_ns = total;
            return 0;
        }
        r = read_decimal(&text, &d);
    }
    return r;
}

int ts_parse_duration(const char *text, int64_t *ret_ns)
{
    ts_i128 ns;
    int r = read_duration(text, false, &ns);
    if (r)
        return r;
    if (ns > INT64_MAX)
        return TS_EINVAL;
    *ret_ns = (int64_t)ns;
    return 0;
}

/* ---- Times ---- */

/* Exactly n digits. */
static bool read_digits(const char **text, int n, int *ret)
{
    int value = 0;
    for (int i = 0; i < n; i++) {
        if (!ts_is_digit((*text)[i]))
            return false;
        value = value * 10 + ((*text)[i] - '0');
    }
    *text += n;
    *ret = value;
    return true;
}

static bool skip(const char **text, char c)
{
    if (**text != c)
        return false;
    ++*text;
    return true;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar; years begin in March, so that the leap day is the last
 * one. */
static int64_t days_since_epoch(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t leap_days = ts_floor_div(y, 4) - ts_floor_div(y, 100) + ts_floor_div(y, 400);
    return y * 365 + leap_days + day_of_year - 719468;
}

/* "Z", "+01:00", "+0100", "+01" or nothing: seconds east of UTC. */
static bool read_zone(const char **text, int *ret_seconds)
{
    int hours = 0;
    int minutes = 0;
    *ret_seconds = 0;
    if (!**text || skip(text, 'Z') || skip(text, 'z'))
        return true;
    bool west = **text == '-';
    if (!skip(text, '+') && !skip(text, '-'))
        return false;
    if (!read_digits(text, 2, &hours))
        return false;
    if (**text && (skip(text, ':'), !read_digits(text, 2, &minutes)))
        return false;
    if (hours > 23 || minutes > 59)
        return false;
    *ret_seconds = (hours * 3600 + minutes * 60) * (west ? -1 : 1);
    return true;
}

/* "10:00", "10:00:00", "10:00:00.25" in ns since midnight. */
static bool read_clock(const char **text, ts_i128 *ret_ns)
{
    int hour;
    int minute;
    struct decimal second = {0};
    if (!read_digits(text, 2, &hour) || !skip(text, ':') || !read_digits(text, 2, &minute))
        return false;
    if (skip(text, ':')) {
        bool two = ts_is_digit((*text)[0]) && ts_is_digit((*text)[1]) && !ts_is_digit((*text)[2]);
        if (!two || read_decimal(text, &second))
            return false;
    }
    ts_i128 ns;
    if (hour > 23 || minute > 59 || second.whole > 59 || scale(&second, TS_NS_PER_S, &ns))
        return false;
    *ret_ns = ns + (ts_i128)(hour * 3600 + minute * 60) * TS_NS_PER_S;
    return true;
}

static int read_iso(const char *text, ts_i128 *ret_ns)
{
    int year;
    int month;
    int day;
    int zone = 0;
    ts_i128 clock = 0;
    if (!read_digits(&text, 4, &year) || !skip(&text, '-') || !read_digits(&text, 2, &month) || !skip(&text, '-') ||
        !read_digits(&text, 2, &day))
        return TS_EINVAL;
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return TS_EINVAL;
    if (*text) {
        if (!skip(&text, 'T') && !skip(&text, 't') && !skip(&text, ' '))
            return TS_EINVAL;
        if (!read_clock(&text, &clock) || !read_zone(&text, &zone) || *text)
            return TS_EINVAL;
    }
    *ret_ns = (ts_i128)days_since_epoch(year, month, day) * DAY_NS + clock - (ts_i128)zone * TS_NS_PER_S;
    return 0;
}

static bool looks_like_a_date(const char *text)
{
    int year;
    return read_digits(&text, 4, &year) && *text == '-';
}

int ts_parse_time(const char *text, int64_t now_ns, int64_t *ret_ns)
{
    ts_i128 ns;
    int r;
    int64_t today = (int64_t)ts_floor_div(now_ns, DAY_NS) * DAY_NS;
    if (strcmp(text, "now") == 0) {
        ns = now_ns;
        r = 0;
    } else if (strcmp(text, "today") == 0 || strcmp(text, "yesterday") == 0) {
        ns = *text == 't' ? today : (ts_i128)today - DAY_NS;
        r = 0;
    } else if (looks_like_a_date(text)) {
        r = read_iso(text, &ns);
    } else {
        bool negative = *text == '-';
        bool sign = negative || *text == '+';
        const char *number = text + sign;
        r = read_duration(number, true, &ns);
        if (!r) {
            if (!sign) /* "15m" without a sign is ambiguous */
                return TS_EINVAL;
            ns = negative ? now_ns - ns : now_ns + ns;
        } else if (*text != '+') {
            struct decimal d;
            r = read_decimal(&number, &d);
            if (!r && *number)
                r = TS_EINVAL;
            if (!r)
                r = scale(&d, TS_NS_PER_S, &ns);
            if (!r && negative)
                ns = -ns;
        }
    }
    if (r)
        return r;
    if (ns > TS_TIMESTAMP_MAX_NS || ns < -(ts_i128)TS_TIMESTAMP_MAX_NS)
        return TS_EINVAL;
    *ret_ns = (int64_t)ns;
    return 0;
}

/* ---- Sizes ---- */

int ts_parse_size(const char *text, uint64_t *ret_bytes)
{
    static const struct {
        const char *name;
        int shift;
    } suffixes[] = {{"", 0}, {"K", 10}, {"KiB", 10}, {"M", 20}, {"MiB", 20}, {"G", 30}, {"GiB", 30}};
    const uint64_t max = UINT64_C(1) << 62;
    uint64_t value = 0;
    if (!ts_is_digit(*text))
        return TS_EINVAL;
    for (; ts_is_digit(*text); text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (value > (max - digit) / 10)
            return TS_EINVAL;
        value = value * 10 + digit;
    }
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        if (strcmp(text, suffixes[i].name) != 0)
            continue;
        if (value > max >> suffixes[i].shift)
            return TS_EINVAL;
        *ret_bytes = value << suffixes[i].shift;
        return 0;
    }
    return TS_EINVAL;
}

/* ---- Writing ---- */

const char *ts_format_duration(int64_t ns, char *text)
{
    const char *sign = ns < 0 ? "-" : "";
    uint64_t rest = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
    /* The longest unit that gives an integer. */
    for (int i = N_UNITS - 1; i >= 0; i--) {
        if (rest && rest % (uint64_t)units[i].ns == 0 && (units[i].ns > MS_NS || rest < (uint64_t)TS_NS_PER_S)) {
            snprintf(text, 32, "%s%llu%s", sign, (unsigned long long)(rest / (uint64_t)units[i].ns), units[i].name);
            return text;
        }
    }
    if (rest == 0)
        return strcpy(text, "0s");
    const struct unit *unit = &units[rest < (uint64_t)TS_NS_PER_S ? 0 : 1];
    int digits = unit->ns == MS_NS ? 6 : 9;
    unsigned long long fraction = rest % (uint64_t)unit->ns;
    for (; fraction % 10 == 0; digits--)
        fraction /= 10;
    snprintf(text, 32, "%s%llu.%0*llu%s", sign, (unsigned long long)(rest / (uint64_t)unit->ns), digits, fraction,
             unit->name);
    return text;
}
