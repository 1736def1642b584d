/*
 * A cycle:
 *
 *     wait -> collect (all ingest threads at once) -> merge -> commit -> call back those who asked
 *
 * Who asks before a cycle's collect began is served by it; who asks later, by the next. Requests that are not at_once
 * (queries) wait until SHARED_NS after the last commit that such requests forced, so that many of them share one.
 *
 * Failures: a commit that the store refuses keeps what is pending and calls back with TS_ESTORE; it is tried again
 * after a pause that grows from RETRY_MIN_NS to RETRY_MAX_NS, or as soon as somebody asks. Collecting goes on
 * meanwhile: what is pending grows only with new (bucket, labels, location) keys, and counts into ingest.memory_limit.
 * Memory that runs out leaves a batch where it is, and its thread is not asked again until it is merged. A sync that
 * fails is fatal.
 *
 * Between cycles, while nothing is pending: steps of maintenance.
 *
 * End: one last cycle, repeated for STOP_NS where the store refuses.
 */
#include "daemon/write/writer.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/write/pending.h"

#include <stdlib.h>
#include <string.h>

#define MS INT64_C(1000000)
#define SHARED_NS (50 * MS)
#define RETRY_MIN_NS (100 * MS)
#define RETRY_MAX_NS (2000 * MS)
#define STOP_NS (5000 * MS)
#define EXPIRY_NS (1000 * MS)
enum {
    EXPIRED_MAX = 256,
    BUDGET_MS = 700,         /* what one commit is to take at most, where it is for streams to wait */
    BUDGET_ROWS_MIN = 50000, /* too few, and each commit's fixed cost counts */
    BUDGET_ROWS_FIRST = 200000,
    MEASURED_ROWS_MIN = 10000
};

struct writer_source {
    struct tsd_source source;
    struct tsd_collect collect;
};

struct tsd_writer {
    struct tsd_writer_config config;
    struct tsd_state *state;
    uv_thread_t thread;
    struct tsd_pending pending;
    struct tsd_maintenance maintenance;
    int64_t horizon; /* when the ingest threads were collected from last */
    struct writer_source sources[TSD_THREADS_MAX];

    int64_t next_cycle; /* monotonic ns */
    int64_t last_forced;
    int64_t retry_pause; /* 0: the last commit worked */
    int64_t last_expiry;
    _Atomic int64_t pulse; /* see tsd_writer_pulse() */

    uv_mutex_t lock; /* what follows is under it */
    uv_cond_t changed;
    size_t collecting; /* ingest threads that have not answered */
    struct tsd_flush *first;
    struct tsd_flush **last;
    struct tsd_task *task; /* the first one is under way */
    struct tsd_task **last_task;
    bool task_came;      /* one that has had no step yet: it need not wait */
    bool hurry;          /* memory is short */
    int64_t ack_due;     /* 0: no mark waits that was told of */
    int64_t last_commit; /* its end */
    int64_t ack_interval;
    int64_t client_expiry;
    bool stopping;
    bool ended;
    uint32_t max_locations;
    uint32_t max_label_sets;
    int64_t flush_interval;
};

/* ---- Waiting ---- */

/* When the requests in the queue may be served. Under the lock. */
static int64_t requests_due(const struct tsd_writer *writer)
{
    if (!writer->first)
        return INT64_MAX;
    for (const struct tsd_flush *flush = writer->first; flush; flush = flush->next) {
        if (flush->at_once)
            return 0;
    }
    return writer->last_forced + SHARED_NS;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When there is time for what is not a cycle. A failed commit keeps what is pending: then there is none. */
static int64_t maintenance_due(const struct tsd_writer *writer)
{
    if (writer->retry_pause || !tsd_pending_is_empty(&writer->pending))
        return INT64_MAX;
    return writer->task_came ? 0 : writer->maintenance.due;
}

/* Until there is something to do. Gives the requests this cycle serves; sets ret_stopping. ret_maintain: no cycle is
 * due.
 */
static struct tsd_flush *wait_for_work(struct tsd_writer *writer, bool *ret_stopping, bool *ret_maintain)
{
    struct tsd_flush *requests = NULL;
    *ret_maintain = false;
    uv_mutex_lock(&writer->lock);
    for (;;) {
        int64_t now = tsd_clock_mono();
        int64_t due = requests_due(writer);
        if (now >= due || writer->stopping) {
            requests = writer->first;
            writer->first = NULL;
            writer->last = &writer->first;
            break;
        }
        /* While the store refuses, memory pressure would only make it be asked more often. */
        if (now >= writer->next_cycle || (writer->hurry && !writer->retry_pause))
            break;
        if (writer->ack_due && !writer->retry_pause) {
            if (now >= writer->ack_due)
                break;
            due = earlier(due, writer->ack_due);
        }
        if (now >= maintenance_due(writer)) {
            *ret_maintain = true;
            uv_mutex_unlock(&writer->lock);
            return NULL;
        }
        due = earlier(due, maintenance_due(writer));
        due = earlier(due, writer->next_cycle);
        atomic_store(&writer->pulse, due);
        uv_cond_timedwait(&writer->changed, &writer->lock, (uint64_t)(due - now));
    }
    writer->hurry = false;
    writer->ack_due = 0;
    writer->pending.locations.known.max = writer->max_locations;
    writer->pending.label_sets.known.max = writer->max_label_sets;
    writer->next_cycle = tsd_clock_mono() + writer->flush_interval;
    *ret_stopping = writer->stopping;
    uv_mutex_unlock(&writer->lock);
    return requests;
}

/* ---- Collecting ---- */

static void on_collected(struct tsd_collect *collect, int status)
{
    struct tsd_writer *writer = collect->data;
    struct writer_source *source = (struct writer_source *)((char *)collect - offsetof(struct writer_source, collect));
    uv_mutex_lock(&writer->lock);
    source->source.full = status == 0;
    writer->collecting--;
    uv_cond_signal(&writer->changed);
    uv_mutex_unlock(&writer->lock);
}

/* False where memory was short: something is left for the next cycle. */
static bool collect_all(struct tsd_writer *writer, bool prompt, bool renew)
{
    bool whole = true;
    size_t n = writer->config.n_threads;
    bool asked[TSD_THREADS_MAX] = {false};
    uv_mutex_lock(&writer->lock);
    for (size_t i = 0; i < n; i++) {
        asked[i] = !writer->sources[i].source.full;
        writer->collecting += asked[i];
    }
    uv_mutex_unlock(&writer->lock);
    for (size_t i = 0; i < n; i++) {
        struct writer_source *source = &writer->sources[i];
        if (!asked[i])
            continue;
        source->source.batch.renew = renew;
        source->collect =
            (struct tsd_collect){.batch = &source->source.batch, .prompt = prompt, .data = writer, .cb = on_collected};
        tsd_thread_collect(writer->config.threads[i], &source->collect);
    }
    uv_mutex_lock(&writer->lock);
    while (writer->collecting)
        uv_cond_wait(&writer->changed, &writer->lock);
    uv_mutex_unlock(&writer->lock);

    for (size_t i = 0; i < n; i++) {
        struct tsd_source *source = &writer->sources[i].source;
        if (source->full && tsd_pending_merge(&writer->pending, source) == 0)
            whole = whole && asked[i]; /* a batch of an earlier cycle: what came since is still with its thread */
        else
            whole = false;
    }
    return whole;
}

/* ---- Committing ---- */

static void publish(struct tsd_writer *writer)
{
    struct tsd_writer_stats *stats = &writer->state->writer;
    tsd_set(&stats->functions, writer->pending.functions.n);
    tsd_set(&stats->locations, writer->pending.locations.known.table.n);
    tsd_set(&stats->label_sets, writer->pending.label_sets.known.table.n);
    tsd_set(&stats->clients, atomic_load(&writer->config.clients->n));
    tsd_set(&stats->waiting_bytes, tsd_pending_bytes(&writer->pending));
}

/* How much may wait, by how fast this commit was. */
static void set_budget(struct tsd_writer *writer, uint64_t rows, int64_t took)
{
    if (rows < MEASURED_ROWS_MIN || took <= 0)
        return;
    double fit = (double)rows * BUDGET_MS * 1e6 / (double)took;
    uint64_t budget = fit < BUDGET_ROWS_MIN ? BUDGET_ROWS_MIN : fit > 1e9 ? (uint64_t)1e9 : (uint64_t)fit;
    atomic_store(writer->config.commit_budget, budget * TS_SUM_ROW_BYTES);
}

static void commit_worked(struct tsd_writer *writer, uint64_t saturated, int64_t began)
{
    struct tsd_writer_stats *stats = &writer->state->writer;
    set_budget(writer, writer->pending.counters.n_rows, tsd_clock_mono() - began);
    tsd_add(&stats->rows, writer->pending.counters.n_rows);
    tsd_add(&stats->saturated, saturated + writer->pending.counters.saturated);
    tsd_add(&stats->committed, writer->pending.messages);
    tsd_add(&stats->commits, 1);
    tsd_stats_add_commit(stats, tsd_clock_mono() - began);
    tsd_set(&stats->last_commit, (uint64_t)tsd_clock_wall());
    int64_t uptime = tsd_clients_uptime(writer->config.clients);
    size_t n_marks = writer->pending.n_marks;
    for (size_t i = 0; i < n_marks; i++) {
        writer->pending.marks[i].client->pending_mark = 0;
        tsd_clients_committed(writer->config.clients, &writer->pending.marks[i], uptime);
    }
    tsd_pending_committed(&writer->pending, tsd_get(&stats->commits));
    for (size_t i = 0; n_marks && i < writer->config.n_threads; i++)
        tsd_thread_update_streams(writer->config.threads[i]);
}

/* Now and then: who has not come back for too long is forgotten with the next commit. */
static void expire_clients(struct tsd_writer *writer)
{
    struct tsd_mark marks[EXPIRED_MAX];
    int64_t now = tsd_clock_mono();
    if (now - writer->last_expiry < EXPIRY_NS || writer->retry_pause ||
        tsd_pending_reserve_marks(&writer->pending, EXPIRED_MAX))
        return;
    uv_mutex_lock(&writer->lock);
    int64_t expiry = writer->client_expiry;
    uv_mutex_unlock(&writer->lock);
    size_t n = tsd_clients_expire(writer->config.clients, expiry, marks, EXPIRED_MAX);
    for (size_t i = 0; i < n; i++)
        tsd_pending_mark(&writer->pending, &marks[i]);
    if (n < EXPIRED_MAX) /* else the next cycle goes on */
        writer->last_expiry = now;
}

static void trouble(struct tsd_writer *writer, const char *message)
{
    if (!writer->retry_pause)
        tsd_log_error("%s; it is tried again until it works", message);
    tsd_state_set_store_error(writer->state, message);
    writer->retry_pause = writer->retry_pause ? earlier(writer->retry_pause * 2, RETRY_MAX_NS) : RETRY_MIN_NS;
}

static void well_again(struct tsd_writer *writer)
{
    if (!writer->retry_pause)
        return;
    tsd_log_info("the store takes commits again");
    tsd_state_set_store_error(writer->state, NULL);
    writer->retry_pause = 0;
}

/* 0, TS_ESTORE or TS_ESYNC. */
static int commit(struct tsd_writer *writer)
{
    struct ts_store_error error;
    uint64_t saturated = 0;
    int64_t began = tsd_clock_mono();
    if (tsd_pending_is_empty(&writer->pending)) {
        /* The store was not asked: an earlier refusal stays known, but there is nothing that it could be asked for. */
        well_again(writer);
        return 0;
    }
    struct ts_store_batch batch = tsd_pending_batch(&writer->pending);
    batch.uptime = tsd_clients_uptime(writer->config.clients);
    batch.horizon = writer->horizon;
    int rc = ts_store_commit(writer->config.store, &batch, &saturated, &error);
    if (!rc) {
        well_again(writer);
        commit_worked(writer, saturated, began);
        return 0;
    }
    tsd_add(&writer->state->writer.commits_failed, 1);
    trouble(writer, error.message);
    return rc == TS_ESYNC ? TS_ESYNC : TS_ESTORE;
}

/* No ingest thread has a number of ours: all have begun their name tables anew. */
static bool nobody_translates(const struct tsd_writer *writer)
{
    bool none = tsd_pending_is_empty(&writer->pending);
    for (size_t i = 0; i < writer->config.n_threads; i++) {
        const struct tsd_source *source = &writer->sources[i].source;
        none = none && !source->full && !source->locations.n && !source->label_sets.n;
    }
    return none;
}

/* prompt: nobody has asked, so what lies in the sockets can wait for the next one. */
static int cycle(struct tsd_writer *writer, bool forced, bool prompt)
{
    bool renew = tsd_maintenance_wants_renewal(&writer->maintenance);
    writer->horizon = tsd_clock_horizon(writer->config.clock);
    bool whole = collect_all(writer, prompt, renew);
    expire_clients(writer);
    uint64_t before = tsd_get(&writer->state->writer.commits);
    publish(writer);
    int rc = commit(writer);
    publish(writer);
    if (forced && tsd_get(&writer->state->writer.commits) != before)
        writer->last_forced = tsd_clock_mono();
    if (!rc && !whole) {
        trouble(writer, "out of memory while collecting from the ingest threads");
        rc = TS_ESTORE;
    }
    if (!rc && renew && nobody_translates(writer))
        tsd_maintenance_renewed(&writer->maintenance);
    uv_mutex_lock(&writer->lock);
    writer->last_commit = tsd_clock_mono();
    uv_mutex_unlock(&writer->lock);
    if (writer->retry_pause)
        writer->next_cycle = earlier(writer->next_cycle, tsd_clock_mono() + writer->retry_pause);
    return rc;
}

/* ---- Between cycles ---- */

static int maintain(struct tsd_writer *writer)
{
    uv_mutex_lock(&writer->lock);
    struct tsd_task *task = writer->task;
    writer->task_came = false;
    uv_mutex_unlock(&writer->lock);
    bool done = false;
    int status = 0;
    int rc = tsd_maintenance_step(&writer->maintenance, task, writer->horizon,
                                  tsd_clients_uptime(writer->config.clients), &done, &status);
    if (!done)
        return rc;
    uv_mutex_lock(&writer->lock);
    writer->task = task->next;
    if (!writer->task)
        writer->last_task = &writer->task;
    uv_mutex_unlock(&writer->lock);
    task->done(task, status);
    return rc;
}

/* ---- The thread ---- */

static void call_back(struct tsd_flush *requests, int status)
{
    struct tsd_flush *next;
    for (; requests; requests = next) {
        next = requests->next; /* the callback may free it */
        requests->cb(requests, status);
    }
}

/* From here on requests are called back where they are made. */
static void end_requests(struct tsd_writer *writer)
{
    uv_mutex_lock(&writer->lock);
    struct tsd_flush *rest = writer->first;
    struct tsd_task *task = writer->task;
    writer->first = NULL;
    writer->last = &writer->first;
    writer->task = NULL;
    writer->last_task = &writer->task;
    writer->ended = true;
    uv_mutex_unlock(&writer->lock);
    call_back(rest, TS_ECANCELED);
    for (struct tsd_task *next; task; task = next) {
        next = task->next; /* the callback may free it */
        task->done(task, TS_ECANCELED);
    }
}

static int last_cycles(struct tsd_writer *writer, bool forced)
{
    int64_t deadline = tsd_clock_mono() + STOP_NS;
    int rc;
    while ((rc = cycle(writer, forced, false)) == TS_ESTORE && tsd_clock_mono() < deadline)
        uv_sleep((unsigned)(writer->retry_pause / MS));
    return rc;
}

static void run(void *data)
{
    struct tsd_writer *writer = data;
    bool stopping = false;
    bool only_maintain = false;
    int rc = 0;
    while (!stopping && rc != TS_ESYNC) {
        struct tsd_flush *requests = wait_for_work(writer, &stopping, &only_maintain);
        atomic_store(&writer->pulse, tsd_clock_mono());
        if (only_maintain) {
            rc = maintain(writer);
            continue;
        }
        rc = stopping ? last_cycles(writer, requests != NULL) : cycle(writer, requests != NULL, requests == NULL);
        call_back(requests, rc == TS_ESYNC ? TS_ESTORE : rc);
    }
    end_requests(writer);
    if (rc != TS_ESYNC)
        tsd_maintenance_note(&writer->maintenance, tsd_clock_horizon(writer->config.clock),
                             tsd_clients_uptime(writer->config.clients));
    if (rc == TS_ESYNC) {
        tsd_log_error("what the store has written may be lost: the process ends, and starts over from what is on disk");
        writer->config.on_fatal(writer->config.data);
        return;
    }
    if (rc)
        tsd_log_error("%llu messages that were received could not be committed, and are lost",
                      (unsigned long long)tsd_state_pending(writer->state));
    writer->config.on_stopped(writer->config.data);
}

/* ---- From other threads ---- */

static void free_memory(struct tsd_writer *writer)
{
    for (size_t i = 0; i < writer->config.n_threads; i++)
        tsd_source_deinit(&writer->sources[i].source);
    tsd_maintenance_deinit(&writer->maintenance);
    tsd_pending_deinit(&writer->pending);
    uv_cond_destroy(&writer->changed);
    uv_mutex_destroy(&writer->lock);
    free(writer);
}

int tsd_writer_start(const struct tsd_writer_config *config, struct tsd_writer **ret_writer,
                     struct ts_store_error *ret_error)
{
    struct tsd_writer *writer = calloc(1, sizeof(*writer));
    strcpy(ret_error->message, "out of memory");
    if (!writer)
        return TS_ENOMEM;
    if (uv_mutex_init(&writer->lock)) {
        free(writer);
        return TS_ENOMEM;
    }
    if (uv_cond_init(&writer->changed)) {
        uv_mutex_destroy(&writer->lock);
        free(writer);
        return TS_ENOMEM;
    }
    writer->config = *config;
    writer->state = config->state;
    writer->last = &writer->first;
    writer->last_task = &writer->task;
    atomic_store(config->commit_budget, BUDGET_ROWS_FIRST * TS_SUM_ROW_BYTES);
    writer->horizon = tsd_clock_horizon(config->clock);
    writer->max_locations = config->max_locations;
    writer->max_label_sets = config->max_label_sets;
    writer->flush_interval = config->flush_interval;
    writer->ack_interval = config->ack_interval;
    writer->client_expiry = config->client_expiry;
    writer->next_cycle = tsd_clock_mono() + config->flush_interval;
    writer->last_forced = tsd_clock_mono() - SHARED_NS;
    atomic_store(&writer->pulse, tsd_clock_mono());
    tsd_pending_init(&writer->pending, config->max_locations, config->max_label_sets);
    for (size_t i = 0; i < config->n_threads; i++)
        tsd_source_init(&writer->sources[i].source);
    tsd_maintenance_init(&writer->maintenance, config->store, config->state, &writer->pending);
    int rc = tsd_pending_load(&writer->pending, config->store);
    if (rc == TS_ESTORE || rc == TS_EREFUSED)
        strcpy(ret_error->message, "its names cannot be read");
    publish(writer);
    if (!rc && uv_thread_create(&writer->thread, run, writer))
        rc = TS_ENOMEM;
    if (rc) {
        free_memory(writer);
        return rc;
    }
    *ret_writer = writer;
    return 0;
}

void tsd_writer_flush(struct tsd_writer *writer, struct tsd_flush *flush)
{
    uv_mutex_lock(&writer->lock);
    bool ended = writer->ended;
    if (!ended) {
        flush->next = NULL;
        *writer->last = flush;
        writer->last = &flush->next;
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
        task->next = NULL;
        *writer->last_task = task;
        writer->last_task = &task->next;
        writer->task_came = true;
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

/* One alone is committed at once; many share one commit in each interval. */
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
    writer->hurry = true; /* so that the new interval begins now */
    uv_cond_signal(&writer->changed);
    uv_mutex_unlock(&writer->lock);
}

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
    bool whole = tsd_pending_is_empty(&writer->pending);
    tsd_maintenance_deinit(&writer->maintenance); /* its reader goes before the writer's connection, which cleans up */
    for (size_t i = 0; i < writer->config.n_threads; i++)
        whole = whole && !writer->sources[i].source.full;
    writer->config.store = ts_store_close(writer->config.store);
    return whole;
}

struct tsd_writer *tsd_writer_free(struct tsd_writer *writer)
{
    if (writer)
        free_memory(writer);
    return NULL;
}
