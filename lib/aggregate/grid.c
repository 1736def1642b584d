#include "lib/aggregate/grid.h"

int64_t ts_grid_bucket(const struct ts_grid *grid, ts_i128 timestamp_ns)
{
    return ts_floor_div(timestamp_ns - grid->start_time, grid->time_slice);
}

ts_i128 ts_grid_begin(const struct ts_grid *grid, int64_t bucket)
{
    return (ts_i128)bucket * grid->time_slice + grid->start_time;
}
