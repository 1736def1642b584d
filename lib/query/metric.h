/* The metrics that queries sum. */
#ifndef TS_QUERY_METRIC_H
#define TS_QUERY_METRIC_H

#include "lib/aggregate/counters.h"

#include <assert.h>
#include <stdbool.h>

enum ts_metric { TS_CUMTIME, TS_TOTTIME, TS_NCALLS, TS_PCALLS, TS_METRICS };

const char *ts_metric_name(enum ts_metric metric);
bool ts_metric_is_time(enum ts_metric metric); /* in ns; else a number of calls */

/* Inline, because it is called for every row. */
static inline int64_t ts_metric_of(const struct ts_sums *sums, enum ts_metric metric)
{
    switch (metric) {
    case TS_CUMTIME:
        return sums->cumtime;
    case TS_TOTTIME:
        return sums->tottime;
    case TS_NCALLS:
        return sums->ncalls;
    default:
        assert(metric == TS_PCALLS);
        return sums->pcalls;
    }
}

#endif
