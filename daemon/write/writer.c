/*
 * The writer's thread: waits for work, runs a cycle, calls back whoever requested a flush.
 *
 * A flush requested before a cycle collects is served by that cycle, later ones by the next. Requests that are not
 * at_once (queries) wait until SHARED_NS after the last commit that such requests caused, so that many share a commit.
 *
 * After a failed cycle the next one comes after its retry_pause, or with the next request. Between cycles, if nothing
 * is pending, it runs steps of maintenance.
 *
 * End: a last cycle, retried for STOP_NS if the store rejects it.
 */
#include "daemon/write/writer.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/write/cycle.h"
#include "daemon/write/wal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define MS INT64_C(1000000)
#define SHARED_NS (50 * MS)
#define STOP_NS (5000 * MS)

STAILQ_HEAD(flushes, tsd_flush);

struct tsd_writer {
    struct tsd_writer_config config;
    uv_thread_t thread;
    struct tsd_cycle cycle;
    struct tsd_maintenance maintenance;
    struct tsd_wal wal;

    int64_t next_cycle;    /* monotonic ns */
    int64_t last_forced;   /* the end of the last commit that requests caused */
    _Atomic int64_t pulse; /* see tsd_writer_pulse() */

    uv_mutex_t lock; /* for the rest */
    uv_cond_t changed;
    struct flushes flushes;
    STAILQ_HEAD(, tsd_task) tasks; /* the first one is running */
    bool task_added;               /* and has had no step yet, so it need not wait */
    bool hurry;                    /* memory is short */
    int64_t ack_due;               /* monotonic ns; 0: no mark waits */
    int64_t last_commit;           /* the end of the last cycle */
    int64_t flush_interval;
    int64_t ack_interval;
    int64_t client_expiry;
    uint32_t max_locations;
    uint32_t max_label_sets;
    bool stopping;
    bool ended;
};

/* What to do next. */
struct work {
    bool maintain; /* a step of maintenance; else a cycle */
    bool stopping; /* the last cycle */
    int64_t client_expiry;
    struct flushes flushes; /* served by this cycle */
};

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- Waiting; under the lock ---- */

/* When the flush requests may be served. */
static int64_t flushes_due(const struct tsd_writer *writer)
{
    if (STAILQ_EMPTY(&writer->flushes))
        return INT64_MAX;
    const struct tsd_flush *flush;
    STAILQ_FOREACH (flush, &writer->flushes, entry) {
        if (flush->at_once)
            return 0;
    }
    return writer->last_forced + SHARED_NS;
}

/* When a cycle must begin without a flush request. While commits fail, only at the next retry. */
static int64_t cycle_due(const struct tsd_writer *writer)
{
    int64_t due = writer->next_cycle;
    if (writer->cycle.retry_pause)
        return due;
    if (writer->hurry)
        return 0;
    return writer->ack_due ? earlier(due, writer->ack_due) : due;
}

static int64_t maintenance_due(const struct tsd_writer *writer)
{
    if (writer->cycle.retry_pause || !tsd_pending_is_empty(&writer->cycle.pending))
        return INT64_MAX;
    return writer->task_added ? 0 : writer->maintenance.due;
}

/* Applies what a reload changed, and resets the reasons for this cycle. */
static void begin_cycle(struct tsd_writer *writer, struct work *work)
{
    writer->hurry = false;
    writer->ack_due = 0;
    writer->cycle.pending.locations.known.max = writer->max_locations;
    writer->cycle.pending.label_sets.known.max = writer->max_label_sets;
    writer->next_cycle = tsd_clock_mono() + writer->flush_interval;
    work->stopping = writer->stopping;
    work->client_expiry = writer->client_expiry;
}

static void wait_for_work(struct tsd_writer *writer, struct work *ret_work)
{
    *ret_work = (struct work){.maintain = false};
    STAILQ_INIT(&ret_work->flushes);
    uv_mutex_lock(&writer->lock);
    for (;;) {
        int64_t now = tsd_clock_mono();
        int64_t due = flushes_due(writer);
        if (now >= due || writer->stopping) {
            STAILQ_CONCAT(&ret_work->flushes, &writer->flushes);
            break;
        }
        due = earlier(due, cycle_due(writer));
        if (now >= due)
            break;
        int64_t maintain = maintenance_due(writer);
        if (now >= maintain) {
            ret_work->maintain = true;
            break;
        }
        due = earlier(due, maintain);
        atomic_store(&writer->pulse, due);
        uv_cond_timedwait(&writer->changed, &writer->lock, (uint64_t)(due - now));
    }
    if (!ret_work->maintain)
        begin_cycle(writer, ret_work);
    uv_mutex_unlock(&writer->lock);
}

/* ---- The thread ---- */

static int run_cycle(struct tsd_writer *writer, const struct work *work)
{
    struct tsd_cycle *cycle = &writer->cycle;
    const tsd_count *commits = &writer->config.state->writer.commits;
    bool forced = !STAILQ_EMPTY(&work->flushes);
    uint64_t before = tsd_get(commits);
    struct tsd_cycle_options options = {
        .prompt = !forced && !work->stopping,
        .renew = tsd_sweep_wants_renewal(&writer->maintenance.sweep),
        .client_expiry = work->client_expiry,
    };
    int rc = tsd_cycle_run(cycle, &options);
    int64_t now = tsd_clock_mono();
    if (forced && tsd_get(commits) != before)
        writer->last_forced = now;
    if (!rc && options.renew && tsd_cycle_is_renewed(cycle))
        tsd_sweep_tables_renewed(&writer->maintenance.sweep);
    uv_mutex_lock(&writer->lock);
    writer->last_commit = now;
    uv_mutex_unlock(&writer->lock);
    if (cycle->retry_pause)
        writer->next_cycle = earlier(writer->next_cycle, now + cycle->retry_pause);
    return rc;
}

static int run_last_cycle(struct tsd_writer *writer, const struct work *work)
{
    int64_t deadline = tsd_clock_mono() + STOP_NS;
    int rc;
    while ((rc = run_cycle(writer, work)) == TS_ESTORE && tsd_clock_mono() < deadline)
        uv_sleep((unsigned)(writer->cycle.retry_pause / MS));
    return rc;
}

static int run_maintenance(struct tsd_writer *writer)
{
    uv_mutex_lock(&writer->lock);
    struct tsd_task *task = STAILQ_FIRST(&writer->tasks);
    writer->task_added = false;
    uv_mutex_unlock(&writer->lock);
    bool done = false;
    int status = 0;
    assert(tsd_pending_is_empty(&writer->cycle.pending));
    int rc = tsd_maintenance_step(&writer->maintenance, task, writer->cycle.horizon,
                                  tsd_clients_uptime(writer->config.clients), &done, &status);
    if (!done)
        return rc;
    uv_mutex_lock(&writer->lock);
    assert(STAILQ_FIRST(&writer->tasks) == task);
    STAILQ_REMOVE_HEAD(&writer->tasks, entry);
    uv_mutex_unlock(&writer->lock);
    task->done(task, status);
    return rc;
}

static void call_back(struct flushes *flushes, int status)
{
    while (!STAILQ_EMPTY(flushes)) {
        struct tsd_flush *flush = STAILQ_FIRST(flushes);
        STAILQ_REMOVE_HEAD(flushes, entry); /* the callback may free it */
        flush->cb(flush, status);
    }
}

/* Cancels all requests; from now on new ones are cancelled by the calls that make them. */
static void end_requests(struct tsd_writer *writer)
{
    struct flushes flushes = STAILQ_HEAD_INITIALIZER(flushes);
    uv_mutex_lock(&writer->lock);
    STAILQ_CONCAT(&flushes, &writer->flushes);
    writer->ended = true; /* so that nobody adds to the tasks */
    uv_mutex_unlock(&writer->lock);
    call_back(&flushes, TS_ECANCELED);
    while (!STAILQ_EMPTY(&writer->tasks)) {
        struct tsd_task *task = STAILQ_FIRST(&writer->tasks);
        STAILQ_REMOVE_HEAD(&writer->tasks, entry);
        task->done(task, TS_ECANCELED);
    }
}

static void run(void *data)
{
    struct tsd_writer *writer = data;
    struct work work = {.stopping = false};
    int rc = 0;
    while (!work.stopping && rc != TS_ESYNC) {
        wait_for_work(writer, &work);
        atomic_store(&writer->pulse, tsd_clock_mono());
        if (work.maintain) {
            rc = run_maintenance(writer);
            if (!rc)
                rc = tsd_wal_limit(&writer->wal);
            continue;
        }
        rc = work.stopping ? run_last_cycle(writer, &work) : run_cycle(writer, &work);
        call_back(&work.flushes, rc == TS_ESYNC ? TS_ESTORE : rc);
        if (!rc) /* after the callbacks, because it may wait */
            rc = tsd_wal_limit(&writer->wal);
    }
    end_requests(writer);
    if (rc == TS_ESYNC) {
        tsd_log_error("the database cannot be used any more; exiting to restart from the on-disk state");
        writer->config.on_fatal(writer->config.data);
        return;
    }
    tsd_maintenance_save_times(&writer->maintenance, tsd_clock_horizon(writer->config.clock),
                               tsd_clients_uptime(writer->config.clients));
    if (rc)
        tsd_log_error("%llu received messages could not be committed and are lost",
                      (unsigned long long)tsd_state_pending(writer->config.state));
    writer->config.on_stopped(writer->config.data);
}

/* ---- Start ---- */

static struct tsd_writer *new_writer(void)
{
    struct tsd_writer *writer = calloc(1, sizeof(*writer));
    if (!writer)
        return NULL;
    if (uv_mutex_init(&writer->lock)) {
        free(writer);
        return NULL;
    }
    if (uv_cond_init(&writer->changed)) {
        uv_mutex_destroy(&writer->lock);
        free(writer);
        return NULL;
    }
    STAILQ_INIT(&writer->flushes);
    STAILQ_INIT(&writer->tasks);
    return writer;
}

static void free_writer(struct tsd_writer *writer)
{
    uv_cond_destroy(&writer->changed);
    uv_mutex_destroy(&writer->lock);
    free(writer);
}

int tsd_writer_start(const struct tsd_writer_config *config, struct tsd_writer **ret_writer,
                     struct ts_store_error *ret_error)
{
    strcpy(ret_error->message, "out of memory");
    struct tsd_writer *writer = new_writer();
    if (!writer)
        return TS_ENOMEM;
    writer->config = *config;
    writer->max_locations = config->max_locations;
    writer->max_label_sets = config->max_label_sets;
    writer->flush_interval = config->flush_interval;
    writer->ack_interval = config->ack_interval;
    writer->client_expiry = config->client_expiry;
    int64_t now = tsd_clock_mono();
    writer->next_cycle = now + config->flush_interval;
    writer->last_forced = now - SHARED_NS;
    atomic_store(&writer->pulse, now);
    writer->cycle = (struct tsd_cycle){.store = config->store,
                                       .state = config->state,
                                       .threads = config->threads,
                                       .n_threads = config->n_threads,
                                       .clients = config->clients,
                                       .clock = config->clock,
                                       .commit_budget = config->commit_budget};
    int rc = tsd_cycle_init(&writer->cycle, config->max_locations, config->max_label_sets);
    if (rc == TS_ESTORE || rc == TS_EREFUSED)
        strcpy(ret_error->message, "its names cannot be read");
    if (rc) {
        free_writer(writer);
        return rc;
    }
    tsd_wal_init(&writer->wal, config->store, config->state);
    tsd_maintenance_init(&writer->maintenance, config->store, config->state, &writer->cycle.pending);
    if (uv_thread_create(&writer->thread, run, writer)) {
        tsd_maintenance_deinit(&writer->maintenance);
        tsd_cycle_deinit(&writer->cycle);
        free_writer(writer);
        return TS_ENOMEM;
    }
    *ret_writer = writer;
    return 0;
}

/* ---- From other threads ---- */

void tsd_writer_flush(struct tsd_writer *writer, struct tsd_flush *flush)
{
    uv_mutex_lock(&writer->lock);
    bool ended = writer->ended;
    if (!ended) {
        STAILQ_INSERT_TAIL(&writer->flushes, flush, entry);
        uv_cond_signal(&writer->changed);
    }
    uv_mutex_unlock(&writer->lock);
    if (ended)
        flush->cb(flush, TS_ECANCELED);
}

void tsd_writer_task(struct tsd_writer *writer, struct tsd_task *task)
{
    uv_mutex_lock(&writer->lock);
    bool ended = writer->ended;
    if (!ended) {
        STAILQ_INSERT_TAIL(&writer->tasks, task, entry);
        writer->task_added = true;
        uv_cond_signal(&writer->changed);
    }
    uv_mutex_unlock(&writer->lock);
    if (ended)
        task->done(task, TS_ECANCELED);
}

void tsd_writer_hurry(struct tsd_writer *writer)
{
    uv_mutex_lock(&writer->lock);
    writer->hurry = true;
    uv_cond_signal(&writer->changed);
    uv_mutex_unlock(&writer->lock);
}

/* A single mark is committed at once; many share one commit per interval. */
void tsd_writer_ack(struct tsd_writer *writer)
{
    uv_mutex_lock(&writer->lock);
    if (!writer->ack_due) {
        int64_t now = tsd_clock_mono();
        int64_t next = writer->last_commit + writer->ack_interval;
        writer->ack_due = next > now ? next : now;
        uv_cond_signal(&writer->changed);
    }
    uv_mutex_unlock(&writer->lock);
}

int64_t tsd_writer_pulse(const struct tsd_writer *writer)
{
    return atomic_load(&writer->pulse);
}

void tsd_writer_reconfigure(struct tsd_writer *writer, uint32_t max_locations, uint32_t max_label_sets,
                            int64_t flush_interval, int64_t ack_interval, int64_t client_expiry)
{
    uv_mutex_lock(&writer->lock);
    writer->max_locations = max_locations;
    writer->max_label_sets = max_label_sets;
    writer->flush_interval = flush_interval;
    writer->ack_interval = ack_interval;
    writer->client_expiry = client_expiry;
    writer->hurry = true; /* so that the new interval starts now */
    uv_cond_signal(&writer->changed);
    uv_mutex_unlock(&writer->lock);
}

/* ---- End ---- */

void tsd_writer_stop(struct tsd_writer *writer)
{
    uv_mutex_lock(&writer->lock);
    writer->stopping = true;
    uv_cond_signal(&writer->changed);
    uv_mutex_unlock(&writer->lock);
}

bool tsd_writer_join(struct tsd_writer *writer)
{
    uv_thread_join(&writer->thread);
    bool committed = tsd_cycle_is_clean(&writer->cycle);
    tsd_maintenance_deinit(&writer->maintenance); /* its reader must close before the writer's connection cleans up */
    writer->config.store = ts_store_close(writer->config.store);
    return committed;
}

struct tsd_writer *tsd_writer_free(struct tsd_writer *writer)
{
    if (writer) {
        tsd_cycle_deinit(&writer->cycle);
        free_writer(writer);
    }
    return NULL;
}
