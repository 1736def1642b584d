/*
 * GET /metrics: struct tsd_state in the Prometheus text format 0.0.4.
 */
#ifndef TSD_CONTROL_METRICS_H
#define TSD_CONTROL_METRICS_H

#include "daemon/base/state.h"
#include "lib/base/buf.h"

void tsd_metrics_write(struct tsd_state *state, struct ts_buf *out);

#endif
