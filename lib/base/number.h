/*
 * Converts the decimal text of a number to exact integers, without floating point, in one pass over any number of
 * digits. The text is a number by the grammar of JSON, as returned by ts_json_number().
 */
#ifndef TS_BASE_NUMBER_H
#define TS_BASE_NUMBER_H

#include "lib/base/error.h"

#include <stddef.h>
#include <stdint.h>

enum ts_rounding {
    TS_HALF_EVEN, /* to the nearest; half-way to the even one */
    TS_FLOOR      /* down, also for negative numbers */
};

/* Seconds to nanoseconds. TS_OUT_OF_RANGE if the exact number is beyond ±limit_ns; limit_ns > 0. */
int ts_number_ns(const char *text, size_t len, enum ts_rounding rounding, int64_t limit_ns,
                 int64_t *ret_ns) TS_MUST_USE;

/* A number with neither fraction nor exponent. TS_OUT_OF_RANGE if it is below min or above max; min <= 0 <= max. */
int ts_number_integer(const char *text, size_t len, int64_t min, int64_t max, int64_t *ret_value) TS_MUST_USE;

/* The number of digits before the decimal point if written without exponent; 0 or less for numbers below 1. */
int64_t ts_number_magnitude(const char *text, size_t len);

#endif
