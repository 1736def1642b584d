/*
 * The grid of buckets, in exact integers.
 *
 * Times are nanoseconds since the Unix epoch. A bucket is numbered n = floor((timestamp - start_time) / time_slice),
 * negative before start_time. Bucket n begins at start_time + n * time_slice, which can lie outside 64 bits for a wide
 * time_slice at the edge of the range of timestamps; begins are therefore 128 bits wide.
 */
#ifndef TS_AGGREGATE_GRID_H
#define TS_AGGREGATE_GRID_H

#include "lib/base/buf.h"

#include <stdint.h>

#define TS_NS_PER_S INT64_C(1000000000)
#define TS_TIMESTAMP_MAX_NS (INT64_C(9200000000) * TS_NS_PER_S) /* the contract's bound, both ways */

struct ts_grid {
    int64_t start_time; /* ns */
    int64_t time_slice; /* ns, > 0 */
};

/* floor(a / b) for b > 0. */
int64_t ts_floor_div(ts_i128 a, int64_t b);

int64_t ts_grid_bucket(const struct ts_grid *grid, ts_i128 timestamp_ns);
ts_i128 ts_grid_begin(const struct ts_grid *grid, int64_t bucket);

/* a + b, held at INT64_MAX or INT64_MIN where it would pass them. An operand that is already there wins. */
int64_t ts_sat_add(int64_t a, int64_t b);

#endif
