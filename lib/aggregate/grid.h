/*
 * The grid of buckets, in exact integers.
 *
 * Times are nanoseconds since the Unix epoch. A bucket is numbered n = floor((timestamp - start_time) / time_slice),
 * negative before start_time. Bucket n begins at start_time + n * time_slice, which can lie outside 64 bits for a wide
 * time_slice at the edge of the range of timestamps; begins are therefore 128 bits wide.
 */
#ifndef TS_AGGREGATE_GRID_H
#define TS_AGGREGATE_GRID_H

#include "lib/base/int.h"

#include <stdint.h>

struct ts_grid {
    int64_t start_time; /* ns */
    int64_t time_slice; /* ns, > 0 */
};

int64_t ts_grid_bucket(const struct ts_grid *grid, ts_i128 timestamp_ns);
ts_i128 ts_grid_begin(const struct ts_grid *grid, int64_t bucket);

#endif
