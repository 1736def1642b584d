#include "daemon/write/cycle.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"

#include <assert.h>
#include <stddef.h>

#define MS INT64_C(1000000)
#define RETRY_MIN_NS (100 * MS)
#define RETRY_MAX_NS (2000 * MS)
#define EXPIRY_NS (1000 * MS)
enum {
    EXPIRED_MAX = 256,
    BUDGET_MS = 700,         /* what one commit should take at most */
    BUDGET_ROWS_MIN = 50000, /* with fewer rows the fixed cost of a commit dominates */
    BUDGET_ROWS_FIRST = 200000,
    MEASURED_ROWS_MIN = 10000
};

static void publish(struct tsd_cycle *cycle)
{
    struct tsd_writer_stats *stats = &cycle->state->writer;
    tsd_set(&stats->functions, cycle->pending.functions.n);
    tsd_set(&stats->locations, cycle->pending.locations.known.table.n);
    tsd_set(&stats->label_sets, cycle->pending.label_sets.known.table.n);
    tsd_set(&stats->clients, atomic_load(&cycle->clients->n));
    size_t waiting = tsd_pending_bytes(&cycle->pending);
    for (size_t i = 0; i < cycle->n_threads; i++) /* collected, but there was no memory to merge it */
        waiting += ts_counters_used(&cycle->sources[i].source.batch.counters);
    tsd_set(&stats->waiting_bytes, waiting);
}

int tsd_cycle_init(struct tsd_cycle *cycle, uint32_t max_locations, uint32_t max_label_sets)
{
    if (uv_mutex_init(&cycle->lock))
        return TS_ENOMEM;
    if (uv_cond_init(&cycle->collected)) {
        uv_mutex_destroy(&cycle->lock);
        return TS_ENOMEM;
    }
    assert(cycle->n_threads <= TSD_THREADS_MAX);
    atomic_store(cycle->commit_budget, BUDGET_ROWS_FIRST * TS_SUM_ROW_BYTES);
    cycle->horizon = tsd_clock_horizon(cycle->clock);
    tsd_pending_init(&cycle->pending, max_locations, max_label_sets);
    for (size_t i = 0; i < cycle->n_threads; i++)
        tsd_source_init(&cycle->sources[i].source);
    int rc = tsd_pending_load(&cycle->pending, cycle->store);
    if (rc)
        tsd_cycle_deinit(cycle);
    else
        publish(cycle);
    return rc;
}

void tsd_cycle_deinit(struct tsd_cycle *cycle)
{
    for (size_t i = 0; i < cycle->n_threads; i++)
        tsd_source_deinit(&cycle->sources[i].source);
    tsd_pending_deinit(&cycle->pending);
    uv_cond_destroy(&cycle->collected);
    uv_mutex_destroy(&cycle->lock);
}

/* ---- Collecting ---- */

/* On an ingest thread. */
static void on_collected(struct tsd_collect *collect, int status)
{
    struct tsd_cycle *cycle = collect->data;
    struct tsd_cycle_source *source =
        (struct tsd_cycle_source *)((char *)collect - offsetof(struct tsd_cycle_source, collect));
    uv_mutex_lock(&cycle->lock);
    assert(cycle->collecting > 0);
    assert(!source->source.full); /* the thread has owned the batch until now */
    source->source.full = status == 0;
    cycle->collecting--;
    uv_cond_signal(&cycle->collected);
    uv_mutex_unlock(&cycle->lock);
}

/* Asks each thread whose last batch has been merged, and waits for their batches. */
static void collect(struct tsd_cycle *cycle, const struct tsd_cycle_options *options, bool *asked)
{
    uv_mutex_lock(&cycle->lock);
    for (size_t i = 0; i < cycle->n_threads; i++) {
        asked[i] = !cycle->sources[i].source.full;
        cycle->collecting += asked[i];
    }
    uv_mutex_unlock(&cycle->lock);
    for (size_t i = 0; i < cycle->n_threads; i++) {
        struct tsd_cycle_source *source = &cycle->sources[i];
        if (!asked[i])
            continue;
        assert(tsd_batch_is_cleared(&source->source.batch));
        source->source.batch.renew = options->renew;
        source->collect = (struct tsd_collect){
            .batch = &source->source.batch, .prompt = options->prompt, .data = cycle, .cb = on_collected};
        tsd_thread_collect(cycle->threads[i], &source->collect);
    }
    uv_mutex_lock(&cycle->lock);
    while (cycle->collecting)
        uv_cond_wait(&cycle->collected, &cycle->lock);
    uv_mutex_unlock(&cycle->lock);
}

/* False: for lack of memory something is left for the next cycle. */
static bool collect_and_merge(struct tsd_cycle *cycle, const struct tsd_cycle_options *options)
{
    bool asked[TSD_THREADS_MAX] = {false};
    bool complete = true;
    collect(cycle, options, asked);
    for (size_t i = 0; i < cycle->n_threads; i++) {
        struct tsd_source *source = &cycle->sources[i].source;
        bool merged = source->full && tsd_pending_merge(&cycle->pending, source) == 0;
        /* If it was not asked, this was the batch of an earlier cycle: the thread has more. */
        complete = complete && merged && asked[i];
    }
    return complete;
}

/* About once a second: forgets idle clients with the next commit. */
static void expire_clients(struct tsd_cycle *cycle, int64_t expiry)
{
    struct tsd_mark marks[EXPIRED_MAX];
    int64_t now = tsd_clock_mono();
    if (now - cycle->last_expiry < EXPIRY_NS || cycle->retry_pause ||
        tsd_pending_reserve_marks(&cycle->pending, EXPIRED_MAX))
        return;
    size_t n = tsd_clients_expire(cycle->clients, expiry, marks, EXPIRED_MAX);
    for (size_t i = 0; i < n; i++)
        tsd_pending_mark(&cycle->pending, &marks[i]);
    if (n < EXPIRED_MAX) /* else the next cycle continues */
        cycle->last_expiry = now;
}

/* ---- Committing ---- */

/* How much may wait for a commit, from the speed of this one. */
static void set_budget(struct tsd_cycle *cycle, uint64_t rows, int64_t took)
{
    if (rows < MEASURED_ROWS_MIN || took <= 0)
        return;
    double fit = (double)rows * BUDGET_MS * 1e6 / (double)took;
    uint64_t budget = fit < BUDGET_ROWS_MIN ? BUDGET_ROWS_MIN : fit > 1e9 ? (uint64_t)1e9 : (uint64_t)fit;
    atomic_store(cycle->commit_budget, budget * TS_SUM_ROW_BYTES);
}

static void commit_succeeded(struct tsd_cycle *cycle, uint64_t saturated, int64_t took)
{
    struct tsd_writer_stats *stats = &cycle->state->writer;
    bool marks = cycle->pending.n_marks > 0;
    set_budget(cycle, cycle->pending.counters.n_rows, took);
    tsd_add(&stats->rows, cycle->pending.counters.n_rows);
    tsd_add(&stats->saturated, saturated + cycle->pending.counters.saturated);
    tsd_add(&stats->committed, cycle->pending.messages);
    tsd_add(&stats->commits, 1);
    tsd_stats_add_commit(stats, took);
    tsd_set(&stats->last_commit, (uint64_t)tsd_clock_wall());
    tsd_pending_committed(&cycle->pending, tsd_get(&stats->commits), cycle->clients);
    for (size_t i = 0; marks && i < cycle->n_threads; i++)
        tsd_thread_update_streams(cycle->threads[i]);
}

static void set_failing(struct tsd_cycle *cycle, const char *message)
{
    if (!cycle->retry_pause)
        tsd_log_error("%s; retrying", message);
    tsd_state_set_store_error(cycle->state, message);
    int64_t pause = cycle->retry_pause ? cycle->retry_pause * 2 : RETRY_MIN_NS;
    cycle->retry_pause = pause < RETRY_MAX_NS ? pause : RETRY_MAX_NS;
}

static void set_working(struct tsd_cycle *cycle)
{
    if (!cycle->retry_pause)
        return;
    tsd_log_info("commits succeed again");
    tsd_state_set_store_error(cycle->state, NULL);
    cycle->retry_pause = 0;
}

/* 0, TS_ESTORE or TS_ESYNC. */
static int commit(struct tsd_cycle *cycle)
{
    struct ts_store_error error;
    uint64_t saturated = 0;
    int64_t began = tsd_clock_mono();
    /* If nothing is pending an earlier failure no longer matters, but the database's files are still checked. */
    bool empty = tsd_pending_is_empty(&cycle->pending);
    struct ts_store_batch batch = {.counters = NULL};
    if (!empty) /* names that a failed merge has added wait for their sums */
        batch = tsd_pending_batch(&cycle->pending);
    batch.uptime = tsd_clients_uptime(cycle->clients);
    batch.horizon = cycle->horizon;
    int rc = ts_store_commit(cycle->store, &batch, &saturated, &error);
    if (!rc) {
        set_working(cycle);
        if (!empty)
            commit_succeeded(cycle, saturated, tsd_clock_mono() - began);
        return 0;
    }
    tsd_add(&cycle->state->writer.commits_failed, 1);
    if (rc != TS_ESYNC) {
        set_failing(cycle, error.message);
        return TS_ESTORE;
    }
    tsd_log_error("%s", error.message);
    tsd_state_set_store_error(cycle->state, error.message);
    return TS_ESYNC;
}

int tsd_cycle_run(struct tsd_cycle *cycle, const struct tsd_cycle_options *options)
{
    cycle->horizon = tsd_clock_horizon(cycle->clock);
    bool complete = collect_and_merge(cycle, options);
    expire_clients(cycle, options->client_expiry);
    publish(cycle);
    int rc = commit(cycle);
    publish(cycle);
    if (!rc && !complete) {
        set_failing(cycle, "out of memory while collecting from the ingest threads");
        rc = TS_ESTORE;
    }
    return rc;
}

bool tsd_cycle_is_clean(const struct tsd_cycle *cycle)
{
    bool clean = tsd_pending_is_empty(&cycle->pending);
    for (size_t i = 0; i < cycle->n_threads; i++)
        clean = clean && !cycle->sources[i].source.full;
    return clean;
}

bool tsd_cycle_is_renewed(const struct tsd_cycle *cycle)
{
    bool renewed = tsd_cycle_is_clean(cycle);
    for (size_t i = 0; i < cycle->n_threads; i++) {
        const struct tsd_source *source = &cycle->sources[i].source;
        renewed = renewed && !source->locations.n && !source->label_sets.n;
    }
    return renewed;
}
