/*
 * See format.h. UTF-8 is decoded here because the C library decodes only ASCII in the C locale (cron, containers).
 * Widths come from wcwidth() if the locale knows the character, otherwise from a compact table.
 */
#include "ctl/base/format.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

static struct ctl_figure figure(const char *sign, double value, int decimals, const char *unit)
{
    struct ctl_figure f;
    snprintf(f.text, sizeof(f.text), "%s%.*f%s%s", sign, decimals, value, *unit ? " " : "", unit);
    return f;
}

static struct ctl_figure plain(const char *text)
{
    struct ctl_figure f;
    snprintf(f.text, sizeof(f.text), "%s", text);
    return f;
}

static bool not_finite(double value, struct ctl_figure *ret_figure)
{
    if (isfinite(value))
        return false;
    *ret_figure = plain(isnan(value) ? "?" : value > 0 ? "inf" : "-inf");
    return true;
}

/* The decimals that leave three significant digits, also when rounding carries (9.996 is 10.0). */
static int decimals_of(double value)
{
    return value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
}

struct ctl_figure ctl_duration(double seconds)
{
    struct ctl_figure f;
    if (not_finite(seconds, &f))
        return f;
    const char *sign = seconds < 0 ? "-" : "";
    double s = fabs(seconds);
    if (s == 0)
        return plain("0 s");
    if (s < 0.9995e-6) { /* sums are integers of nanoseconds, means per call can be smaller */
        double ns = s * 1e9;
        bool integral = fabs(ns - round(ns)) < 1e-3 || ns >= 99.95;
        return figure(sign, ns, integral ? 0 : decimals_of(ns), "ns");
    }
    if (s < 0.9995e-3)
        return figure(sign, s * 1e6, decimals_of(s * 1e6), "µs");
    if (s < 0.9995)
        return figure(sign, s * 1e3, decimals_of(s * 1e3), "ms");
    if (s < 59.95)
        return figure(sign, s, decimals_of(s), "s");

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
            return figure(sign, big, 0, pairs[i].unit_name);
        snprintf(f.text, sizeof(f.text), "%s%.0f %s %02.0f %s", sign, big, pairs[i].unit_name,
                 (rounded - big * pairs[i].unit) / pairs[i].small, pairs[i].small_name);
        return f;
    }
}

struct ctl_figure ctl_span(double seconds)
{
    static const struct {
        double unit;
        const char *name;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}, {1e-3, "ms"}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        double n = seconds / units[i].unit;
        if (n >= 1 && n < 1e9 && fabs(n - round(n)) < 1e-6)
            return figure("", round(n), 0, units[i].name);
    }
    return ctl_duration(seconds);
}

struct ctl_figure ctl_count(double count)
{
    struct ctl_figure f;
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
    return figure(sign, n, decimals_of(n), units[i]);
}

struct ctl_figure ctl_mean(double count)
{
    double n = fabs(count);
    bool integral = !isfinite(n) || n >= 99.95 || fabs(n - round(n)) < 1e-9 * (n + 1);
    if (integral)
        return ctl_count(count);
    if (n < 0.00995) {
        struct ctl_figure f;
        snprintf(f.text, sizeof(f.text), "%.2g", count);
        return f;
    }
    return figure(count < 0 ? "-" : "", n, decimals_of(n), "");
}

struct ctl_figure ctl_signed(struct ctl_figure f, double value)
{
    size_t len = strlen(f.text);
    if (value > 0 && len + 2 < sizeof(f.text)) {
        memmove(f.text + 1, f.text, len + 1);
        f.text[0] = '+';
    }
    return f;
}

struct ctl_figure ctl_percent(double ratio)
{
    double percent = ratio * 100, n = fabs(percent);
    struct ctl_figure f = n < 9.95 ? figure(percent < 0 ? "-" : "", n, n < 0.05 ? 0 : 1, "") : ctl_count(percent);
    size_t len = strlen(f.text);
    if (n < 0.05) /* no sign, because it would be that of 0 */
        return plain(n > 0 ? "~0%" : "0%");
    memcpy(f.text + len, "%", 2);
    return ctl_signed(f, percent);
}

struct ctl_figure ctl_size(double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    struct ctl_figure f;
    if (not_finite(bytes, &f))
        return f;
    double n = fabs(bytes);
    size_t i = 0;
    for (; n >= (i ? 1023.5 : 1024) && i + 1 < sizeof(units) / sizeof(units[0]); i++)
        n /= 1024;
    if (n >= 1e9)
        return ctl_count(bytes);
    return figure(bytes < 0 ? "-" : "", n, i ? decimals_of(n) : 0, units[i]);
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

struct ctl_figure ctl_time(double epoch)
{
    struct ctl_clock all = {.date = true, .year = true, .hours = true, .seconds = true};
    struct tm tm;
    int ms = 0;
    if (split_time(epoch, &tm, &ms))
        all.fraction = ms != 0;
    struct ctl_figure f = ctl_clock_time(&all, epoch);
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

struct ctl_figure ctl_clock_time(const struct ctl_clock *clock, double epoch)
{
    struct ctl_figure f;
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

size_t ctl_decode(const char *text, size_t len, int32_t *ret_point)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t need = s[0] < 0x80                   ? 1
                  : s[0] >= 0xC2 && s[0] < 0xE0 ? 2
                  : s[0] >= 0xE0 && s[0] < 0xF0 ? 3
                  : s[0] >= 0xF0 && s[0] < 0xF5 ? 4
                                                : 0;
    static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (need == 1) {
        *ret_point = s[0];
        return 1;
    }
    *ret_point = -1;
    if (!need || need > len)
        return 1;
    int32_t point = s[0] & (0x7F >> need);
    for (size_t i = 1; i < need; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 1;
        point = point << 6 | (s[i] & 0x3F);
    }
    if (point < least[need] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
        return 1;
    *ret_point = point;
    return need;
}

struct range {
    int32_t first, last;
};

static bool among(const struct range *ranges, size_t n, int32_t point)
{
    for (size_t i = 0; i < n; i++)
        if (point >= ranges[i].first && point <= ranges[i].last)
            return true;
    return false;
}

int ctl_point_width(int32_t point)
{
    if (point >= 0x20 && point < 0x7F)
        return 1;
    if (point < 0xA0)
        return point < 0 ? 1 : 0;
    int width = wcwidth((wchar_t)point);
    if (width >= 0)
        return width > 2 ? 2 : width;
    /* Unknown to the locale. Whole blocks of characters: an approximation that keeps the tables short. */
    static const struct range none[] = {
        {0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x0610, 0x061A}, {0x064B, 0x065F},   {0x0900, 0x0902},
        {0x0E34, 0x0E3A}, {0x0E47, 0x0E4E}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x200B, 0x200F},   {0x20D0, 0x20FF},
        {0x2060, 0x2064}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF}, {0xE0100, 0xE01EF},
    };
    static const struct range wide[] = {
        {0x1100, 0x115F},   {0x231A, 0x231B},   {0x23E9, 0x23EC},   {0x2614, 0x2615},   {0x26A1, 0x26A1},
        {0x2705, 0x2705},   {0x2728, 0x2728},   {0x274C, 0x274C},   {0x2E80, 0x303E},   {0x3041, 0x33FF},
        {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xA000, 0xA4CF},   {0xA960, 0xA97F},   {0xAC00, 0xD7A3},
        {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},   {0x1F004, 0x1F004},
        {0x1F0CF, 0x1F0CF}, {0x1F18E, 0x1F19A}, {0x1F200, 0x1F320}, {0x1F32D, 0x1F64F}, {0x1F680, 0x1F6FF},
        {0x1F7E0, 0x1F7EB}, {0x1F900, 0x1FAFF}, {0x20000, 0x3FFFD},
    };
    if (among(none, sizeof(none) / sizeof(none[0]), point))
        return 0;
    return among(wide, sizeof(wide) / sizeof(wide[0]), point) ? 2 : 1;
}

int ctl_width(const char *clean)
{
    int width = 0;
    for (size_t left = strlen(clean); left;) {
        int32_t point;
        size_t used = ctl_decode(clean, left, &point);
        width += ctl_point_width(point);
        clean += used;
        left -= used;
    }
    return width;
}

void ctl_clean(struct ctl_text *out, const char *text)
{
    static const struct range unsafe[] = {
        {0x00, 0x1F},     {0x7F, 0x9F},     {0xAD, 0xAD},     {0x061C, 0x061C}, {0x200B, 0x200F},   {0x2028, 0x202E},
        {0x2060, 0x206F}, {0xFEFF, 0xFEFF}, {0xE000, 0xF8FF}, {0xFFF9, 0xFFFB}, {0xE0000, 0xE00FF},
    };
    for (size_t left = strlen(text); left;) {
        int32_t point;
        size_t used = ctl_decode(text, left, &point);
        const char *brief = point == '\n' ? "\\n" : point == '\t' ? "\\t" : point == '\r' ? "\\r" : NULL;
        if (brief)
            ctl_text_puts(out, brief);
        else if (point < 0)
            ctl_text_printf(out, "\\x%02x", (unsigned)(unsigned char)*text);
        else if (!among(unsafe, sizeof(unsafe) / sizeof(unsafe[0]), point))
            ctl_text_append(out, text, used);
        else
            ctl_text_printf(out, point < 0x100 ? "\\x%02x" : point < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)point);
        text += used;
        left -= used;
    }
}

/* Bytes of the longest prefix of at most width columns, with the marks that combine with its last character. */
static size_t head_bytes(const char *clean, int width, int *ret_width)
{
    size_t len = strlen(clean), at = 0;
    int taken = 0;
    while (at < len) {
        int32_t point;
        size_t used = ctl_decode(clean + at, len - at, &point);
        int columns = ctl_point_width(point);
        if (taken + columns > width)
            break;
        taken += columns;
        at += used;
    }
    *ret_width = taken;
    return at;
}

int ctl_fit(struct ctl_text *out, const char *clean, int width, enum ctl_cut cut)
{
    int full = ctl_width(clean);
    if (full <= width) {
        ctl_text_puts(out, clean);
        return full;
    }
    if (width < 1)
        return 0;
    int tail = cut == CTL_CUT_MIDDLE ? (width - 1) / 2 : cut == CTL_CUT_START ? width - 1 : 0;
    int taken, skipped;
    size_t head = head_bytes(clean, width - 1 - tail, &taken);
    ctl_text_append(out, clean, head);
    ctl_text_puts(out, "…");
    taken++;
    if (tail) {
        size_t skip = head_bytes(clean, full - tail, &skipped);
        if (full - skipped > tail) { /* skip a wide character that straddles the edge */
            int32_t point;
            skip += ctl_decode(clean + skip, strlen(clean + skip), &point);
            skipped += ctl_point_width(point);
        }
        ctl_text_puts(out, clean + skip);
        taken += full - skipped;
    }
    return taken;
}

void ctl_wrap(struct ctl_text *out, const char *clean, int width, int indent)
{
    int room = width - indent > 10 ? width - indent : 10;
    while (*clean) {
        int taken;
        size_t n = head_bytes(clean, room, &taken), next;
        if (!n)
            n = strlen(clean);
        next = n;
        if (clean[n]) {
            size_t space = n;
            while (space > 0 && clean[space] != ' ')
                space--;
            if (space > 0) {
                n = space;
                next = space + 1;
            }
        }
        ctl_text_spaces(out, indent);
        ctl_text_append(out, clean, n);
        ctl_text_putc(out, '\n');
        clean += next;
    }
}
