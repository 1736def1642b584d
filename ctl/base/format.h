/*
 * Text for the terminal: durations, counts, sizes, times; and the display width, cutting and escaping of names.
 * Names are untrusted (anyone who may send a datagram chooses them): ctl_clean makes them harmless for a terminal.
 */
#ifndef CTL_FORMAT_H
#define CTL_FORMAT_H

#include "ctl/base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Returned by value: `puts(ctl_duration(x).text)`. */
struct ctl_figure {
    char text[48];
};

struct ctl_figure ctl_duration(double seconds); /* 1.23 s, 45.6 ms, 789 µs, 3 m 20 s, 2 h 05 m, 3 d 04 h */
struct ctl_figure ctl_span(double seconds);     /* exact, for widths of buckets: 10 s, 1 m, 250 ms */
struct ctl_figure ctl_count(double count);      /* 12, 1,234, 1.23 M */
struct ctl_figure ctl_size(double bytes);       /* 12 B, 1.50 KiB */
struct ctl_figure ctl_mean(double count);       /* a mean of counts: 1.50, 12.3, 1,234 */
struct ctl_figure ctl_signed(struct ctl_figure figure, double value); /* with a + if value > 0 */
struct ctl_figure ctl_percent(double ratio);                          /* 0.5: +50%, -0.042: -4.2% */
struct ctl_figure ctl_time(double epoch);                             /* 2026-01-31 10:00:00Z; milliseconds unless 0 */

/* The parts of a date and time that a set of times needs to be told apart. */
struct ctl_clock {
    bool date, year, hours, seconds, fraction;
};
struct ctl_clock ctl_clock_for(const double *times, size_t n);
struct ctl_figure ctl_clock_time(const struct ctl_clock *clock, double epoch);

/* Decodes the first code point of text (len > 0) and returns its bytes. Invalid UTF-8: 1, with *ret_point = -1. */
size_t ctl_decode(const char *text, size_t len, int32_t *ret_point);
/* Display columns of a code point: 0, 1 or 2. */
int ctl_point_width(int32_t point);
/* Display columns of a clean text. */
int ctl_width(const char *clean);

/* Appends text with everything escaped that a terminal may interpret: control characters, invalid UTF-8, and marks that
 * change the direction of writing. */
void ctl_clean(struct ctl_text *out, const char *text);

enum ctl_cut { CTL_CUT_END, CTL_CUT_MIDDLE, CTL_CUT_START };
/* Appends a clean text, cut with … to at most width columns. Returns its columns. */
int ctl_fit(struct ctl_text *out, const char *clean, int width, enum ctl_cut cut);
/* Appends a clean text as indented lines of at most width columns, broken at spaces if there are any. */
void ctl_wrap(struct ctl_text *out, const char *clean, int width, int indent);

#endif
