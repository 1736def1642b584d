/*
 * The decimal text of a number to exact integers: no floating point, one walk over the digits however many there are.
 * The text is a number of the JSON grammar, as lib/json gives it.
 */
#ifndef TS_BASE_NUMBER_H
#define TS_BASE_NUMBER_H

#include "lib/base/error.h"

#include <stddef.h>
#include <stdint.h>

enum ts_rounding {
    TS_HALF_EVEN, /* to the nearest, a half to the even one */
    TS_FLOOR      /* downwards, negative numbers too */
};

/* Seconds to nanoseconds. TS_OUT_OF_RANGE where the exact number is beyond ±limit_ns; limit_ns > 0. */
int ts_number_ns(const char *text, size_t len, enum ts_rounding rounding, int64_t limit_ns,
                 int64_t *ret_ns) TS_MUST_USE;

/* A number with neither fraction nor exponent. TS_OUT_OF_RANGE where it is below min or above max; min <= 0 <= max. */
int ts_number_integer(const char *text, size_t len, int64_t min, int64_t max, int64_t *ret_value) TS_MUST_USE;

/* How many digits the number has before its decimal point when written without exponent; 0 or less below 1. */
int64_t ts_number_magnitude(const char *text, size_t len);

#endif
