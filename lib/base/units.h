/* Parses and formats durations, times and sizes, for the configuration and for queries. The caller passes the time. */
#ifndef TS_BASE_UNITS_H
#define TS_BASE_UNITS_H

#include "lib/base/error.h"

#include <stdint.h>

/*
 * A duration: decimal numbers with units (ms s m h d w, y = 365 d), wide units first, or one number without a unit
 * (seconds): "10s", "1.5h", "1h30m", "250ms", "60". Returns nanoseconds >= 0. TS_EINVAL for any other form, for
 * fractions of a nanosecond, and above 64 bits.
 */
int ts_parse_duration(const char *text, int64_t *ret_ns) TS_MUST_USE;

/*
 * A point in time: seconds since the epoch ("1732272000", "-90", "1.5"); ISO 8601 ("2026-01-31T10:00:00Z", also with a
 * fraction, with an offset such as "+01:00", without a zone for UTC, with a space for the T, or the date alone); "now";
 * "today" and "yesterday" (their begin, UTC); or relative to now, with a sign and units ("-90s", "+1h30m"). Returns
 * nanoseconds since the epoch, within +-9.2e9 s; else TS_EINVAL.
 */
int ts_parse_time(const char *text, int64_t now_ns, int64_t *ret_ns) TS_MUST_USE;

/* A size in bytes: an integer, or with K, M, G (powers of 1024; also KiB, MiB, GiB). TS_EINVAL above 2^62. */
int ts_parse_size(const char *text, uint64_t *ret_bytes) TS_MUST_USE;

/* The shortest exact form: "10s", "250ms", "1h", "1.5s". text has room for 32 bytes; it is returned. */
const char *ts_format_duration(int64_t ns, char *text);

#endif
