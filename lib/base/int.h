/* Exact integer arithmetic: 128-bit intermediates, floor division, sums that saturate instead of wrapping. */
#ifndef TS_BASE_INT_H
#define TS_BASE_INT_H

#include <stdint.h>

#define TS_NS_PER_S INT64_C(1000000000)
#define TS_TIMESTAMP_MAX_NS (INT64_C(9200000000) * TS_NS_PER_S) /* the contract's bound, in both directions */

__extension__ typedef __int128 ts_i128;

/* floor(a / b) for b > 0, clamped to 64 bits. */
int64_t ts_floor_div(ts_i128 a, int64_t b);

/* a + b, clamped to INT64_MAX or INT64_MIN. If an operand is already one of these, the sum is that operand. */
int64_t ts_sat_add(int64_t a, int64_t b);

#endif
