/* Numbers and times as text for people: durations, counts, sizes, percentages, dates. Values of any size are accepted.
 */
#ifndef CTL_FORMAT_H
#define CTL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

/* Returned by value: `puts(ctl_duration(x).text)`. */
struct ctl_formatted {
    char text[48];
};

struct ctl_formatted ctl_duration(double seconds); /* 1.23 s, 45.6 ms, 789 µs, 3 m 20 s, 2 h 05 m, 3 d 04 h */
struct ctl_formatted ctl_span(double seconds);     /* exact, for widths of buckets: 10 s, 1 m, 250 ms */
struct ctl_formatted ctl_count(double count);      /* 12, 1,234, 1.23 M */
struct ctl_formatted ctl_size(double bytes);       /* 12 B, 1.50 KiB */
struct ctl_formatted ctl_mean(double count);       /* a mean of counts: 1.50, 12.3, 1,234 */
struct ctl_formatted ctl_signed(struct ctl_formatted formatted, double value); /* with a + if value > 0 */
struct ctl_formatted ctl_percent(double ratio);                                /* 0.5: +50%, -0.042: -4.2% */
struct ctl_formatted ctl_time(double epoch); /* 2026-01-31 10:00:00Z; milliseconds unless 0 */

/* The parts of a date and time that distinguish a set of times. */
struct ctl_clock {
    bool date, year, hours, seconds, fraction;
};
struct ctl_clock ctl_clock_for(const double *times, size_t n);
struct ctl_formatted ctl_clock_time(const struct ctl_clock *clock, double epoch);

#endif
