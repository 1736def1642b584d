#include "lib/query/metric.h"

#include <assert.h>

const char *ts_metric_name(enum ts_metric metric)
{
    static const char *const names[TS_METRICS] = {
        [TS_CUMTIME] = "cumtime",
        [TS_TOTTIME] = "tottime",
        [TS_NCALLS] = "ncalls",
        [TS_PCALLS] = "pcalls",
    };
    assert(metric < TS_METRICS);
    return names[metric];
}

bool ts_metric_is_time(enum ts_metric metric)
{
    return metric == TS_CUMTIME || metric == TS_TOTTIME;
}
