/*
 * Handing over. What a sender had sent before the request was made must be in it, although it may still lie in the
 * kernel: after a request is taken from the list, whole turns of the loop are awaited (the poll does not block
 * meanwhile) until one of them reads nothing, at most COLLECT_NS. One full turn has to begin after the request was
 * taken: the turn that took it may have polled before. Draining at the end is the same with DRAIN_NS.
 *
 * Memory. Past 80% of ingest.memory_limit, or of what one commit of less than a second takes, the streams of this
 * thread pause and the writer is asked to commit; they go on below 70%, looked for every RESUME_MS. Datagrams have
 * nobody to wait: past 100% they are dropped (datagram.c).
 *
 * Threads. Everything here runs on the ingest thread except start, collect, drain and free, which leave a request
 * under the lock and wake the loop.
 */
#include "daemon/ingest/thread.h"

#include "daemon/base/clock.h"
#include "daemon/ingest/datagram.h"
#include "daemon/ingest/stream.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COLLECT_NS (100 * INT64_C(1000000))
#define DRAIN_NS TS_NS_PER_S
enum {
    TICK_MS = 1000,
    RESUME_MS = 10,
    UDP_SLOT = 64 * 1024,   /* a UDP datagram is shorter */
    UNIX_SLOT = 256 * 1024, /* what a sender's default buffer lets through is shorter */
    DATAGRAMS = 2
};

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
    uv_idle_t turn;   /* started: the poll does not block */
    uv_check_t after; /* after each poll, while somebody waits for the sockets to be read */
    uv_timer_t tick;
    uv_timer_t resume;

    uint64_t published; /* bytes this thread has added to shared->waiting_bytes */
    uint64_t reads;     /* goes up whenever a socket gave something */
    uint64_t reads_before;
    bool full_turn; /* one has begun since the request was taken */
    int64_t deadline;
    struct tsd_collect *collecting; /* the requests that wait for the sockets */
    bool draining;
    size_t closing; /* of datagrams and streams */
    _Atomic int64_t pulse;

    uv_mutex_t lock; /* what follows is under it */
    struct tsd_collect *requests;
    bool drain_asked;
    bool look_asked;
    bool exit_asked;
    void (*drained)(void *data);
    void *drained_data;
};

uint64_t tsd_shared_waiting(const struct tsd_shared *shared)
{
    return atomic_load_explicit(&shared->waiting_bytes, memory_order_relaxed) + tsd_get(shared->writer_waiting_bytes);
}

/* ---- Memory ---- */

static void publish(struct tsd_thread *thread)
{
    uint64_t now = tsd_ingest_waiting(&thread->ingest) + thread->streams.partial_bytes;
    if (now == thread->published)
        return;
    atomic_fetch_add_explicit(&thread->shared->waiting_bytes, now - thread->published, memory_order_relaxed);
    thread->published = now;
    tsd_set(&thread->ingest.stats.waiting_bytes, now);
}

static bool over(const struct tsd_thread *thread, unsigned percent)
{
    uint64_t limit = atomic_load_explicit(&thread->shared->memory_limit, memory_order_relaxed);
    return tsd_shared_waiting(thread->shared) > limit / 100 * percent;
}

/* More waits than one short commit takes, as when a year is sent in a minute: questions would wait for that commit. */
static bool behind(const struct tsd_thread *thread, unsigned percent)
{
    const struct tsd_shared *shared = thread->shared;
    uint64_t budget = atomic_load_explicit(&shared->commit_budget, memory_order_relaxed);
    uint64_t partial = atomic_load_explicit(&shared->partial_bytes, memory_order_relaxed);
    uint64_t waiting = tsd_shared_waiting(shared);
    return budget && waiting > partial && waiting - partial > budget / 100 * percent;
}

static void on_resume(uv_timer_t *timer)
{
    struct tsd_thread *thread = timer->data;
    if (over(thread, 70) || behind(thread, 50)) {
        thread->shared->on_pressure(thread->shared->data); /* what came during one commit may need another */
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
    if (thread->streams.paused || (!over(thread, 80) && !behind(thread, 100)))
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

/* ---- Handing over, draining ---- */

static void hand_over(struct tsd_thread *thread)
{
    struct tsd_collect *next;
    for (struct tsd_collect *collect = thread->collecting; collect; collect = next) {
        next = collect->next;
        int rc = tsd_ingest_hand_over(&thread->ingest, collect->batch);
        publish(thread);
        collect->cb(collect, rc);
    }
    thread->collecting = NULL;
}

static void part_closed(void *data)
{
    struct tsd_thread *thread = data;
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
    bool quiet = thread->full_turn && thread->reads == thread->reads_before;
    bool in_time = tsd_clock_mono() < thread->deadline;
    /* At the end paused streams are not read out: memory has to come back first, and for that the writer needs what
       is here. */
    bool held_up = thread->draining && thread->streams.paused && in_time;
    if (held_up)
        hand_over(thread);
    if (!thread->full_turn || held_up || (!quiet && in_time)) {
        thread->full_turn = true;
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

static void read_out(struct tsd_thread *thread, int64_t within)
{
    int64_t deadline = tsd_clock_mono() + within;
    if (!uv_is_active((uv_handle_t *)&thread->after) || deadline > thread->deadline)
        thread->deadline = deadline;
    thread->full_turn = false;
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
    uv_mutex_lock(&thread->lock);
    struct tsd_collect *requests = thread->requests;
    bool drain = thread->drain_asked;
    bool leave = thread->exit_asked;
    bool look = thread->look_asked;
    thread->requests = NULL;
    thread->look_asked = false;
    thread->drain_asked = false;
    uv_mutex_unlock(&thread->lock);

    if (look)
        tsd_streams_look(&thread->streams);
    if (requests && requests->prompt && !thread->collecting && !drain) { /* the writer asks one at a time */
        thread->collecting = requests;
        hand_over(thread);
        requests = NULL;
    }
    struct tsd_collect **end = &thread->collecting;
    while (*end)
        end = &(*end)->next;
    *end = requests;
    if (drain) {
        thread->draining = true;
        read_out(thread, DRAIN_NS);
    } else if (requests) {
        read_out(thread, COLLECT_NS);
    }
    if (leave) {
        hand_over(thread);
        if (thread->n_datagrams || thread->streams.open_handles)
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
    collect->next = thread->requests;
    thread->requests = collect;
    uv_mutex_unlock(&thread->lock);
    uv_async_send(&thread->wake);
}

void tsd_thread_drain(struct tsd_thread *thread, void (*cb)(void *data), void *data)
{
    uv_mutex_lock(&thread->lock);
    thread->drain_asked = true;
    thread->drained = cb;
    thread->drained_data = data;
    uv_mutex_unlock(&thread->lock);
    uv_async_send(&thread->wake);
}

void tsd_thread_look(struct tsd_thread *thread)
{
    uv_mutex_lock(&thread->lock);
    thread->look_asked = true;
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
    /* None of these can fail. */
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
    thread->streams.ingest = &thread->ingest;
    thread->streams.shared = thread->shared;
    thread->streams.loop = &thread->loop;
    thread->streams.thread = config->number;
    thread->streams.on_read = on_read;
    thread->streams.data = thread;
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
    *ret_thread = thread; /* before the thread, which may have it looked at by others */
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
    thread->exit_asked = true;
    thread->drained = NULL;
    uv_mutex_unlock(&thread->lock);
    uv_async_send(&thread->wake);
    uv_thread_join(&thread->uv);
    uv_loop_close(&thread->loop);
    free_memory(thread);
    return NULL;
}
