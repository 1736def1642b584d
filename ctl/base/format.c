/*
 * See format.h. Values are rounded to three significant digits before the unit is chosen, so that rounding never gives
 * 1000 of a smaller unit or 60 s.
 */
#include "ctl/base/format.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static struct ctl_formatted with_unit(const char *sign, double value, int decimals, const char *unit)
{
    struct ctl_formatted f;
    snprintf(f.text, sizeof(f.text), "%s%.*f%s%s", sign, decimals, value, *unit ? " " : "", unit);
    return f;
}

static struct ctl_formatted plain(const char *text)
{
    struct ctl_formatted f;
    snprintf(f.text, sizeof(f.text), "%s", text);
    return f;
}

static bool not_finite(double value, struct ctl_formatted *ret_formatted)
{
    if (isfinite(value))
        return false;
    *ret_formatted = plain(isnan(value) ? "?" : value > 0 ? "inf" : "-inf");
    return true;
}

/* The decimals that leave three significant digits, also when rounding carries (9.996 is 10.0). */
static int decimals_of(double value)
{
    return value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
}

struct ctl_formatted ctl_duration(double seconds)
{
    struct ctl_formatted f;
    if (not_finite(seconds, &f))
        return f;
    const char *sign = seconds < 0 ? "-" : "";
    double s = fabs(seconds);
    if (s == 0)
        return plain("0 s");
    if (s < 0.9995e-6) { /* sums are integers of nanoseconds, means per call can be smaller */
        double ns = s * 1e9;
        bool integral = fabs(ns - round(ns)) < 1e-3 || ns >= 99.95;
        return with_unit(sign, ns, integral ? 0 : decimals_of(ns), "ns");
    }
    if (s < 0.9995e-3)
        return with_unit(sign, s * 1e6, decimals_of(s * 1e6), "µs");
    if (s < 0.9995)
        return with_unit(sign, s * 1e3, decimals_of(s * 1e3), "ms");
    if (s < 59.95)
        return with_unit(sign, s, decimals_of(s), "s");

    static const struct {
        double below, unit, small;
        const char *unit_name, *small_name;
    } pairs[] = {
        {3600, 60, 1, "m", "s"},
        {86400, 3600, 60, "h", "m"},
        {INFINITY, 86400, 3600, "d", "h"},
    };
    for (size_t i = 0;; i++) {
        double rounded = round(s / pairs[i].small) * pairs[i].small;
        if (rounded >= pairs[i].below)
            continue;
        double big = floor(rounded / pairs[i].unit);
        if (big >= 1e7)
            return with_unit(sign, big, 0, pairs[i].unit_name);
        snprintf(f.text, sizeof(f.text), "%s%.0f %s %02.0f %s", sign, big, pairs[i].unit_name,
                 (rounded - big * pairs[i].unit) / pairs[i].small, pairs[i].small_name);
        return f;
    }
}

struct ctl_formatted ctl_span(double seconds)
{
    static const struct {
        double unit;
        const char *name;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}, {1e-3, "ms"}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        double n = seconds / units[i].unit;
        if (n >= 1 && n < 1e9 && fabs(n - round(n)) < 1e-6)
            return with_unit("", round(n), 0, units[i].name);
    }
    return ctl_duration(seconds);
}

struct ctl_formatted ctl_count(double count)
{
    struct ctl_formatted f;
    if (not_finite(count, &f))
        return f;
    double n = fabs(count);
    const char *sign = count < 0 ? "-" : "";
    if (round(n) < 1e6) {
        long rounded = lround(n);
        if (rounded < 1000)
            snprintf(f.text, sizeof(f.text), "%s%ld", rounded ? sign : "", rounded);
        else
            snprintf(f.text, sizeof(f.text), "%s%ld,%03ld", sign, rounded / 1000, rounded % 1000);
        return f;
    }
    static const char *const units[] = {"M", "G", "T", "P", "E"};
    size_t i = 0;
    for (n /= 1e6; n >= 999.5 && i + 1 < sizeof(units) / sizeof(units[0]); i++)
        n /= 1e3;
    if (n >= 1e6) {
        snprintf(f.text, sizeof(f.text), "%s%.2e", sign, fabs(count));
        return f;
    }
    return with_unit(sign, n, decimals_of(n), units[i]);
}

struct ctl_formatted ctl_mean(double count)
{
    double n = fabs(count);
    bool integral = !isfinite(n) || n >= 99.95 || fabs(n - round(n)) < 1e-9 * (n + 1);
    if (integral)
        return ctl_count(count);
    if (n < 0.00995) {
        struct ctl_formatted f;
        snprintf(f.text, sizeof(f.text), "%.2g", count);
        return f;
    }
    return with_unit(count < 0 ? "-" : "", n, decimals_of(n), "");
}

struct ctl_formatted ctl_signed(struct ctl_formatted f, double value)
{
    size_t len = strlen(f.text);
    if (value > 0 && len + 2 < sizeof(f.text)) {
        memmove(f.text + 1, f.text, len + 1);
        f.text[0] = '+';
    }
    return f;
}

struct ctl_formatted ctl_percent(double ratio)
{
    double percent = ratio * 100, n = fabs(percent);
    struct ctl_formatted f = n < 9.95 ? with_unit(percent < 0 ? "-" : "", n, n < 0.05 ? 0 : 1, "") : ctl_count(percent);
    size_t len = strlen(f.text);
    if (n < 0.05) /* no sign, because it would be that of 0 */
        return plain(n > 0 ? "~0%" : "0%");
    memcpy(f.text + len, "%", 2);
    return ctl_signed(f, percent);
}

struct ctl_formatted ctl_size(double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    struct ctl_formatted f;
    if (not_finite(bytes, &f))
        return f;
    double n = fabs(bytes);
    size_t i = 0;
    for (; n >= (i ? 1023.5 : 1024) && i + 1 < sizeof(units) / sizeof(units[0]); i++)
        n /= 1024;
    if (n >= 1e9)
        return ctl_count(bytes);
    return with_unit(bytes < 0 ? "-" : "", n, i ? decimals_of(n) : 0, units[i]);
}

/* Splits into seconds, as UTC, and milliseconds. False if the year is out of range. */
static bool split_time(double epoch, struct tm *ret_tm, int *ret_ms)
{
    if (!(fabs(epoch) < 1e11))
        return false;
    double second = floor(epoch);
    double ms = round((epoch - second) * 1e3);
    if (ms >= 1000) {
        second += 1;
        ms = 0;
    }
    time_t t = (time_t)second;
    if (!gmtime_r(&t, ret_tm))
        return false;
    *ret_ms = (int)ms;
    return true;
}

struct ctl_formatted ctl_time(double epoch)
{
    struct ctl_clock all = {.date = true, .year = true, .hours = true, .seconds = true};
    struct tm tm;
    int ms = 0;
    if (split_time(epoch, &tm, &ms))
        all.fraction = ms != 0;
    struct ctl_formatted f = ctl_clock_time(&all, epoch);
    size_t len = strlen(f.text);
    if (f.text[len - 1] != ' ' && len + 2 < sizeof(f.text))
        memcpy(f.text + len, "Z", 2);
    return f;
}

struct ctl_clock ctl_clock_for(const double *times, size_t n)
{
    struct ctl_clock clock = {.year = false};
    struct tm first = {0}, tm;
    bool midnights = true;
    for (size_t i = 0; i < n; i++) {
        int ms;
        if (!split_time(times[i], &tm, &ms))
            continue;
        if (i == 0)
            first = tm;
        clock.year = clock.year || tm.tm_year != first.tm_year;
        clock.date = clock.date || tm.tm_yday != first.tm_yday || clock.year;
        clock.seconds = clock.seconds || tm.tm_sec;
        clock.fraction = clock.fraction || ms;
        midnights = midnights && !tm.tm_hour && !tm.tm_min;
    }
    clock.seconds = clock.seconds || clock.fraction || !clock.date; /* without a date there is room for seconds */
    clock.hours = !clock.date || !midnights || clock.seconds;
    clock.year = clock.year || !clock.hours;
    return clock;
}

struct ctl_formatted ctl_clock_time(const struct ctl_clock *clock, double epoch)
{
    struct ctl_formatted f;
    struct tm tm;
    int ms;
    if (not_finite(epoch, &f))
        return f;
    if (!split_time(epoch, &tm, &ms)) {
        snprintf(f.text, sizeof(f.text), "%.6g", epoch);
        return f;
    }
    char date[24] = "", hours[16] = "", seconds[16] = "", fraction[16] = "";
    if (clock->date)
        strftime(date, sizeof(date), clock->year ? "%Y-%m-%d" : "%m-%d", &tm);
    if (clock->hours)
        strftime(hours, sizeof(hours), "%H:%M", &tm);
    if (clock->seconds)
        strftime(seconds, sizeof(seconds), ":%S", &tm);
    if (clock->fraction)
        snprintf(fraction, sizeof(fraction), ".%03d", ms % 1000);
    snprintf(f.text, sizeof(f.text), "%s%s%s%s%s", date, *date && *hours ? " " : "", hours, seconds, fraction);
    return f;
}
