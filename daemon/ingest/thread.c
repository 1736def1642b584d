/*
 * Hand-over. A batch must include everything sent before the request, even what the kernel still queues. So after a
 * request is taken from the list, the loop turns without blocking until a complete turn reads nothing, for at most
 * COLLECT_NS. A complete turn must begin after the request was taken, because the current one may already have polled.
 * Draining works the same with DRAIN_NS.
 *
 * Memory. Above 80% of ingest.memory_limit, or above the commit budget, this thread pauses its streams and asks the
 * writer to commit. It checks every RESUME_MS whether it may resume: below 70% and 50%. Senders of datagrams cannot be
 * made to wait: above 100% of the limit their datagrams are dropped (datagram.c).
 *
 * Threads. Everything here runs on the ingest thread except start, collect, update_streams, drain and free, which leave
 * a request under the lock and wake the loop.
 *
 * Close. close_sockets() calls back when all datagram readers and the streams are closed. tsd_thread_free() closes the
 * other handles.
 */
#include "daemon/ingest/thread.h"

#include "daemon/base/clock.h"
#include "daemon/ingest/datagram.h"
#include "daemon/ingest/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define COLLECT_NS (100 * INT64_C(1000000))
#define DRAIN_NS TS_NS_PER_S
enum {
    TICK_MS = 1000,
    RESUME_MS = 10,
    UDP_SLOT = 64 * 1024,   /* longer than any UDP datagram */
    UNIX_SLOT = 256 * 1024, /* longer than a sender's default buffer allows */
    DATAGRAMS = 2
};

STAILQ_HEAD(collects, tsd_collect);

struct tsd_thread {
    struct tsd_thread_config config;
    struct tsd_shared *shared;
    struct tsd_ingest ingest;
    struct tsd_streams streams;
    struct tsd_datagram *datagrams[DATAGRAMS];
    size_t n_datagrams;
    uv_loop_t loop;
    uv_thread_t uv;
    uv_async_t wake;
    uv_idle_t turn;   /* active: the poll does not block */
    uv_check_t after; /* after each poll, while a request waits for the sockets to be read */
    uv_timer_t tick;
    uv_timer_t resume;

    uint64_t published; /* bytes of this thread in shared->waiting_bytes */
    uint64_t reads;     /* reads that received something */
    uint64_t reads_before;
    bool complete_turn; /* a turn has begun since the request was taken */
    int64_t deadline;
    struct collects collecting; /* requests that wait for the sockets to be read */
    bool draining;
    size_t closing; /* datagram readers and streams that are not closed yet */
    _Atomic int64_t pulse;

    uv_mutex_t lock; /* for the rest */
    struct collects requests;
    bool drain_requested;
    bool update_requested;
    bool exit_requested;
    void (*drained)(void *data);
    void *drained_data;
};

/* ---- Memory ---- */

static void publish(struct tsd_thread *thread)
{
    uint64_t now = tsd_ingest_waiting(&thread->ingest) + thread->streams.connections.partial_bytes;
    if (now == thread->published)
        return;
    atomic_fetch_add_explicit(&thread->shared->waiting_bytes, now - thread->published, memory_order_relaxed);
    thread->published = now;
    tsd_set(&thread->ingest.stats.waiting_bytes, now);
}

static void on_resume(uv_timer_t *timer)
{
    struct tsd_thread *thread = timer->data;
    if (tsd_shared_over_limit(thread->shared, 70) || tsd_shared_over_budget(thread->shared, 50)) {
        thread->shared->on_pressure(thread->shared->data); /* data received during one commit may need another */
        return;
    }
    uv_timer_stop(timer);
    tsd_streams_pause(&thread->streams, false);
}

static void on_read(void *data)
{
    struct tsd_thread *thread = data;
    thread->reads++;
    publish(thread);
    bool over = tsd_shared_over_limit(thread->shared, 80) || tsd_shared_over_budget(thread->shared, 100);
    if (thread->streams.connections.paused || !over)
        return;
    tsd_streams_pause(&thread->streams, true);
    uv_timer_start(&thread->resume, on_resume, RESUME_MS, RESUME_MS);
    thread->shared->on_pressure(thread->shared->data);
}

static void sample(struct tsd_thread *thread)
{
    for (size_t i = 0; i < thread->n_datagrams; i++)
        tsd_datagram_sample_drops(thread->datagrams[i]);
}

static void on_tick(uv_timer_t *timer)
{
    struct tsd_thread *thread = timer->data;
    atomic_store(&thread->pulse, tsd_clock_mono());
    sample(thread);
    tsd_streams_tick(&thread->streams);
    publish(thread);
}

/* ---- Hand-over, draining ---- */

static void hand_over(struct tsd_thread *thread)
{
    while (!STAILQ_EMPTY(&thread->collecting)) {
        struct tsd_collect *collect = STAILQ_FIRST(&thread->collecting);
        STAILQ_REMOVE_HEAD(&thread->collecting, entry); /* the callback may reuse it */
        int rc = tsd_batch_fill(collect->batch, &thread->ingest);
        publish(thread);
        collect->cb(collect, rc);
    }
}

static void part_closed(void *data)
{
    struct tsd_thread *thread = data;
    assert(thread->closing > 0);
    if (--thread->closing > 0)
        return;
    publish(thread);
    if (thread->drained)
        thread->drained(thread->drained_data);
}

static void close_sockets(struct tsd_thread *thread)
{
    size_t n = thread->n_datagrams;
    thread->closing = n + 1;
    thread->n_datagrams = 0;
    uv_timer_stop(&thread->resume);
    for (size_t i = 0; i < n; i++)
        tsd_datagram_close(thread->datagrams[i], part_closed, thread);
    tsd_streams_close(&thread->streams, part_closed, thread);
}

static void after_poll(uv_check_t *check)
{
    struct tsd_thread *thread = check->data;
    bool quiet = thread->complete_turn && thread->reads == thread->reads_before;
    bool in_time = tsd_clock_mono() < thread->deadline;
    /* Draining: paused streams are not read until the writer has committed what is here and so freed memory. */
    bool paused = thread->draining && thread->streams.connections.paused && in_time;
    if (paused)
        hand_over(thread);
    if (!thread->complete_turn || paused || (!quiet && in_time)) {
        thread->complete_turn = true;
        thread->reads_before = thread->reads;
        return;
    }
    uv_check_stop(&thread->after);
    uv_idle_stop(&thread->turn);
    sample(thread);
    if (thread->draining) {
        thread->draining = false;
        close_sockets(thread);
    }
    hand_over(thread);
}

static void on_turn(uv_idle_t *idle)
{
    (void)idle;
}

static void read_sockets(struct tsd_thread *thread, int64_t within)
{
    int64_t deadline = tsd_clock_mono() + within;
    if (!uv_is_active((uv_handle_t *)&thread->after) || deadline > thread->deadline)
        thread->deadline = deadline;
    thread->complete_turn = false;
    thread->reads_before = thread->reads;
    uv_idle_start(&thread->turn, on_turn);
    uv_check_start(&thread->after, after_poll);
}

static void on_handle_closed(uv_handle_t *handle)
{
    (void)handle;
}

static void close_rest(uv_handle_t *handle, void *data)
{
    (void)data;
    if (!uv_is_closing(handle))
        uv_close(handle, on_handle_closed);
}

static void on_wake(uv_async_t *async)
{
    struct tsd_thread *thread = async->data;
    struct collects requests = STAILQ_HEAD_INITIALIZER(requests);
    uv_mutex_lock(&thread->lock);
    STAILQ_CONCAT(&requests, &thread->requests);
    bool drain = thread->drain_requested;
    bool leave = thread->exit_requested;
    bool update = thread->update_requested;
    thread->update_requested = false;
    thread->drain_requested = false;
    uv_mutex_unlock(&thread->lock);

    if (update)
        tsd_streams_update(&thread->streams);
    struct tsd_collect *first = STAILQ_FIRST(&requests);
    bool prompt = first && first->prompt && STAILQ_EMPTY(&thread->collecting) && !drain;
    STAILQ_CONCAT(&thread->collecting, &requests);
    if (drain) {
        thread->draining = true;
        read_sockets(thread, DRAIN_NS);
    } else if (prompt) { /* the writer makes one request at a time */
        hand_over(thread);
    } else if (first) {
        read_sockets(thread, COLLECT_NS);
    }
    if (leave) {
        hand_over(thread);
        if (thread->n_datagrams || thread->streams.connections.open_handles)
            close_sockets(thread);
        uv_walk(&thread->loop, close_rest, NULL);
    }
}

static void run(void *data)
{
    struct tsd_thread *thread = data;
    uv_run(&thread->loop, UV_RUN_DEFAULT);
}

/* ---- From other threads ---- */

void tsd_thread_collect(struct tsd_thread *thread, struct tsd_collect *collect)
{
    uv_mutex_lock(&thread->lock);
    STAILQ_INSERT_TAIL(&thread->requests, collect, entry);
    uv_mutex_unlock(&thread->lock);
    uv_async_send(&thread->wake);
}

void tsd_thread_drain(struct tsd_thread *thread, void (*cb)(void *data), void *data)
{
    uv_mutex_lock(&thread->lock);
    thread->drain_requested = true;
    thread->drained = cb;
    thread->drained_data = data;
    uv_mutex_unlock(&thread->lock);
    uv_async_send(&thread->wake);
}

void tsd_thread_update_streams(struct tsd_thread *thread)
{
    uv_mutex_lock(&thread->lock);
    thread->update_requested = true;
    uv_mutex_unlock(&thread->lock);
    uv_async_send(&thread->wake);
}

int64_t tsd_thread_pulse(const struct tsd_thread *thread)
{
    return atomic_load(&thread->pulse);
}

const struct tsd_stats *tsd_thread_stats(const struct tsd_thread *thread)
{
    return &thread->ingest.stats;
}

/* ---- Start and end ---- */

static int start_datagram(struct tsd_thread *thread, int *fd, const char *kind, size_t slot)
{
    if (*fd < 0)
        return 0;
    struct tsd_datagram_config config = {.loop = &thread->loop,
                                         .fd = *fd,
                                         .kind = kind,
                                         .slot = slot,
                                         .ingest = &thread->ingest,
                                         .shared = thread->shared,
                                         .on_read = on_read,
                                         .data = thread};
    int rc = tsd_datagram_start(&config, &thread->datagrams[thread->n_datagrams]);
    if (rc)
        return rc;
    thread->n_datagrams++;
    *fd = -1;
    return 0;
}

static int start_stream(struct tsd_thread *thread, int *fd, const char *kind)
{
    if (*fd < 0)
        return 0;
    int rc = tsd_streams_listen(&thread->streams, *fd, kind);
    if (rc)
        return rc;
    *fd = -1;
    return 0;
}

static int open_handles(struct tsd_thread *thread)
{
    struct tsd_thread_sockets *sockets = &thread->config.sockets;
    uv_loop_t *loop = &thread->loop;
    thread->wake.data = thread->after.data = thread->tick.data = thread->resume.data = thread;
    if (uv_async_init(loop, &thread->wake, on_wake))
        return TS_ENOMEM;
    /* These cannot fail. */
    uv_idle_init(loop, &thread->turn);
    uv_check_init(loop, &thread->after);
    uv_timer_init(loop, &thread->tick);
    uv_timer_init(loop, &thread->resume);
    uv_timer_start(&thread->tick, on_tick, TICK_MS, TICK_MS);

    int rc = start_datagram(thread, &sockets->udp, "udp", UDP_SLOT);
    if (!rc)
        rc = start_datagram(thread, &sockets->unix_datagram, "unix_datagram", UNIX_SLOT);
    if (!rc)
        rc = start_stream(thread, &sockets->tcp, "tcp");
    if (!rc)
        rc = start_stream(thread, &sockets->unix_stream, "unix_stream");
    return rc;
}

static void free_memory(struct tsd_thread *thread)
{
    atomic_fetch_sub(&thread->shared->waiting_bytes, thread->published);
    tsd_streams_deinit(&thread->streams);
    tsd_ingest_deinit(&thread->ingest);
    uv_mutex_destroy(&thread->lock);
    free(thread);
}

int tsd_thread_start(const struct tsd_thread_config *config, struct tsd_thread **ret_thread)
{
    struct tsd_thread *thread = calloc(1, sizeof(*thread));
    if (!thread)
        return TS_ENOMEM;
    thread->config = *config;
    thread->shared = config->shared;
    atomic_store(&thread->pulse, tsd_clock_mono());
    if (uv_mutex_init(&thread->lock)) {
        free(thread);
        return TS_ENOMEM;
    }
    STAILQ_INIT(&thread->requests);
    STAILQ_INIT(&thread->collecting);
    thread->streams.connections = (struct tsd_connections){.loop = &thread->loop,
                                                           .ingest = &thread->ingest,
                                                           .shared = thread->shared,
                                                           .thread = config->number,
                                                           .on_read = on_read,
                                                           .data = thread};
    int rc = tsd_ingest_init(&thread->ingest, &thread->shared->limits, thread->shared->rejects);
    if (!rc)
        rc = tsd_streams_init(&thread->streams);
    if (!rc && uv_loop_init(&thread->loop))
        rc = TS_ENOMEM;
    if (rc) {
        free_memory(thread);
        return rc;
    }
    rc = open_handles(thread);
    *ret_thread = thread;
    if (!rc && uv_thread_create(&thread->uv, run, thread))
        rc = TS_ENOMEM;
    if (rc) {
        close_sockets(thread);
        uv_walk(&thread->loop, close_rest, NULL);
        uv_run(&thread->loop, UV_RUN_DEFAULT);
        uv_loop_close(&thread->loop);
        free_memory(thread);
        *ret_thread = NULL;
        return rc;
    }
    return 0;
}

struct tsd_thread *tsd_thread_free(struct tsd_thread *thread)
{
    if (!thread)
        return NULL;
    uv_mutex_lock(&thread->lock);
    thread->exit_requested = true;
    thread->drained = NULL;
    uv_mutex_unlock(&thread->lock);
    uv_async_send(&thread->wake);
    uv_thread_join(&thread->uv);
    uv_loop_close(&thread->loop);
    free_memory(thread);
    return NULL;
}
