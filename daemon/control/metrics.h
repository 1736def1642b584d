/*
 * GET /metrics: one look at struct tsd_state, in the Prometheus text format 0.0.4. The bounds of its histogram are here
 * too, and what counts by them.
 */
#ifndef TSD_CONTROL_METRICS_H
#define TSD_CONTROL_METRICS_H

#include "daemon/base/state.h"
#include "lib/base/buf.h"

/* Durations of commits, in nanoseconds: 1 ms to 10 s. */
extern const int64_t tsd_metrics_bounds[TSD_COMMIT_BOUNDS];

/* By the writer's thread: a commit that took this long. */
void tsd_metrics_committed(struct tsd_writer_stats *stats, int64_t nanoseconds);

void tsd_metrics_write(struct tsd_state *state, struct ts_buf *out);

#endif
