/*
 * The daemon's own counters. Each ingest thread has a struct tsd_stats that only it writes, with a relaxed load and
 * store and no locked instruction. Any thread may read them; the control side sums them up.
 */
#ifndef TSD_BASE_STATS_H
#define TSD_BASE_STATS_H

#include "lib/base/error.h"

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t tsd_count;

struct tsd_stats {
    tsd_count received; /* messages */
    tsd_count accepted;
    tsd_count duplicates;
    tsd_count rejected[TS_REJECT_COUNT];
    tsd_count entries; /* of accepted messages */
    tsd_count bytes;
    tsd_count saturated;
    tsd_count datagrams_dropped;     /* by the kernel, as reported by the sockets */
    tsd_count datagrams_over_memory; /* discarded because of ingest.memory_limit */
    tsd_count connections;           /* accepted */
    tsd_count connections_refused;   /* because of ingest.max_connections */
    tsd_count connections_cut;       /* closed because a line was not completed, or to free memory */
    tsd_count connections_open;      /* now */
    tsd_count answers_dropped;       /* to a sender that does not read them */
    tsd_count waiting_bytes;         /* now: counters not yet handed over, and partial lines */
};

/* Of the control socket and control.http. Written on the main loop only. */
struct tsd_control_stats {
    tsd_count connections_evicted; /* closed to make room for new ones: idle, or without a complete request */
    tsd_count requests_over_share; /* rejected because their address has too many in progress */
    tsd_count responses_cut;       /* given up because the client did not read them */
};

static inline uint64_t tsd_get(const tsd_count *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

static inline void tsd_set(tsd_count *count, uint64_t value)
{
    atomic_store_explicit(count, value, memory_order_relaxed);
}

/* On the owning thread only. */
static inline void tsd_add(tsd_count *count, uint64_t more)
{
    tsd_set(count, tsd_get(count) + more);
}

#endif
