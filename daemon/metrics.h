/* GET /metrics: one look at struct tsd_state, in the Prometheus text format 0.0.4. */
#ifndef TSD_METRICS_H
#define TSD_METRICS_H

#include "daemon/state.h"
#include "lib/buf.h"

void tsd_metrics_write(struct tsd_state *state, struct ts_buf *out);

#endif
