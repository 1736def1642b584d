/* Shared by the tests of the daemon: limits that reject nothing. */
#ifndef DAEMON_TEST_LIMITS_H
#define DAEMON_TEST_LIMITS_H

#include "daemon/ingest/ingest.h"

/* start_time 0, time_slice 10 s, every time accepted. */
static inline void init_limits(struct tsd_limits *limits)
{
    limits->grid = (struct ts_grid){.start_time = 0, .time_slice = 10 * TS_NS_PER_S};
    limits->longest_keep = INT64_MAX;
    limits->max_future = -1;
    limits->max_locations = 1000;
    limits->max_label_sets = 100;
    tsd_clock_init(&limits->clock);
}

#endif
