/* Durations, times and sizes as people write them, for the configuration and the queries alike. No clock: now is given.
 */
#ifndef TS_BASE_UNITS_H
#define TS_BASE_UNITS_H

#include "lib/base/error.h"

#include <stdint.h>

/*
 * A duration: a decimal number with ms s m h d w y (y = 365 d), or without (seconds): "10s", "1.5h", "250ms", "60".
 * Gives nanoseconds, >= 0. TS_EINVAL where it is not of that form, not a whole number of nanoseconds, or past 64 bits.
 */
int ts_parse_duration(const char *text, int64_t *ret_ns) TS_MUST_USE;

/*
 * A point in time: epoch seconds ("1732272000", "-90", "1.5"), ISO 8601 ("2026-01-31T10:00:00Z", with a fraction, with
 * an offset "+01:00"; without a zone UTC; "2026-01-31" alone; a space for the T), "now", or relative to now ("-90s",
 * "-15m",
 * "+1h": a sign and a unit). Gives nanoseconds since the epoch within +-9.2e9 s, else TS_EINVAL.
 */
int ts_parse_time(const char *text, int64_t now_ns, int64_t *ret_ns) TS_MUST_USE;

/* A size in bytes: a whole number, or with K, M, G (powers of 1024, also KiB, MiB, GiB). TS_EINVAL past 2^62. */
int ts_parse_size(const char *text, uint64_t *ret_bytes) TS_MUST_USE;

/* The shortest exact form: "10s", "250ms", "1h", "1.5s". At least 32 bytes of room. Returns text. */
const char *ts_format_duration(int64_t ns, char *text);

#endif
