#include "daemon/ingest/shared.h"

uint64_t tsd_shared_waiting(const struct tsd_shared *shared)
{
    return atomic_load_explicit(&shared->waiting_bytes, memory_order_relaxed) + tsd_get(shared->writer_waiting_bytes);
}

bool tsd_shared_over_limit(const struct tsd_shared *shared, unsigned percent)
{
    uint64_t limit = atomic_load_explicit(&shared->memory_limit, memory_order_relaxed);
    return tsd_shared_waiting(shared) > limit / 100 * percent;
}

/* Partial lines are in no commit, so they do not count. */
bool tsd_shared_over_budget(const struct tsd_shared *shared, unsigned percent)
{
    uint64_t budget = atomic_load_explicit(&shared->commit_budget, memory_order_relaxed);
    uint64_t partial = atomic_load_explicit(&shared->partial_bytes, memory_order_relaxed);
    uint64_t waiting = tsd_shared_waiting(shared);
    return budget && waiting > partial && waiting - partial > budget / 100 * percent;
}
