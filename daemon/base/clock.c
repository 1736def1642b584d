#include "daemon/base/clock.h"

#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int64_t tsd_clock_wall(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t tsd_clock_mono(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

void tsd_clock_init(struct tsd_clock *clock)
{
    clock->wall_at_start = tsd_clock_wall();
    clock->mono_at_start = tsd_clock_mono();
    clock->horizon_at_start = clock->wall_at_start;
}

static int64_t since_start(const struct tsd_clock *clock)
{
    return tsd_clock_mono() - clock->mono_at_start;
}

int64_t tsd_clock_latest(const struct tsd_clock *clock)
{
    int64_t without_jumps = clock->wall_at_start + since_start(clock);
    int64_t wall = tsd_clock_wall();
    return without_jumps > wall ? without_jumps : wall;
}

int64_t tsd_clock_horizon(const struct tsd_clock *clock)
{
    return clock->horizon_at_start + since_start(clock);
}
