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
 * Threads. Everything here runs on the shard's thread except start, collect, drain and free, which leave a request
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

struct tsd_shard {
    struct tsd_shard_config config;
    struct tsd_shard_shared *shared;
    struct tsd_ingest ingest;
    struct tsd_streams streams;
    struct tsd_datagram *datagrams[DATAGRAMS];
    size_t n_datagrams;
    uv_loop_t loop;
    uv_thread_t thread;
    uv_async_t wake;
    uv_idle_t turn;   /* started: the poll does not block */
    uv_check_t after; /* after each poll, while somebody waits for the sockets to be read */
    uv_timer_t tick;
    uv_timer_t resume;

    uint64_t published; /* bytes this shard has added to shared->waiting_bytes */
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

uint64_t tsd_shard_waiting(const struct tsd_shard_shared *shared)
{
    return atomic_load_explicit(&shared->waiting_bytes, memory_order_relaxed) + tsd_get(shared->writer_waiting_bytes);
}

/* ---- Memory ---- */

static void publish(struct tsd_shard *shard)
{
    uint64_t now = tsd_ingest_waiting(&shard->ingest) + shard->streams.partial_bytes;
    if (now == shard->published)
        return;
    atomic_fetch_add_explicit(&shard->shared->waiting_bytes, now - shard->published, memory_order_relaxed);
    shard->published = now;
    tsd_set(&shard->ingest.stats.waiting_bytes, now);
}

static bool over(const struct tsd_shard *shard, unsigned percent)
{
    uint64_t limit = atomic_load_explicit(&shard->shared->memory_limit, memory_order_relaxed);
    return tsd_shard_waiting(shard->shared) > limit / 100 * percent;
}

/* More waits than one short commit takes, as when a year is sent in a minute: questions would wait for that commit. */
static bool behind(const struct tsd_shard *shard, unsigned percent)
{
    const struct tsd_shard_shared *shared = shard->shared;
    uint64_t budget = atomic_load_explicit(&shared->commit_budget, memory_order_relaxed);
    uint64_t partial = atomic_load_explicit(&shared->partial_bytes, memory_order_relaxed);
    uint64_t waiting = tsd_shard_waiting(shared);
    return budget && waiting > partial && waiting - partial > budget / 100 * percent;
}

static void on_resume(uv_timer_t *timer)
{
    struct tsd_shard *shard = timer->data;
    if (over(shard, 70) || behind(shard, 50)) {
        shard->shared->on_pressure(shard->shared->data); /* what came during one commit may need another */
        return;
    }
    uv_timer_stop(timer);
    tsd_streams_pause(&shard->streams, false);
}

static void on_read(void *data)
{
    struct tsd_shard *shard = data;
    shard->reads++;
    publish(shard);
    if (shard->streams.paused || (!over(shard, 80) && !behind(shard, 100)))
        return;
    tsd_streams_pause(&shard->streams, true);
    uv_timer_start(&shard->resume, on_resume, RESUME_MS, RESUME_MS);
    shard->shared->on_pressure(shard->shared->data);
}

static void sample(struct tsd_shard *shard)
{
    for (size_t i = 0; i < shard->n_datagrams; i++)
        tsd_datagram_sample_drops(shard->datagrams[i]);
}

static void on_tick(uv_timer_t *timer)
{
    struct tsd_shard *shard = timer->data;
    atomic_store(&shard->pulse, tsd_clock_mono());
    sample(shard);
    tsd_streams_tick(&shard->streams);
    publish(shard);
}

/* ---- Handing over, draining ---- */

static void hand_over(struct tsd_shard *shard)
{
    struct tsd_collect *next;
    for (struct tsd_collect *collect = shard->collecting; collect; collect = next) {
        next = collect->next;
        int rc = tsd_ingest_hand_over(&shard->ingest, collect->batch);
        publish(shard);
        collect->cb(collect, rc);
    }
    shard->collecting = NULL;
}

static void part_closed(void *data)
{
    struct tsd_shard *shard = data;
    if (--shard->closing > 0)
        return;
    publish(shard);
    if (shard->drained)
        shard->drained(shard->drained_data);
}

static void close_sockets(struct tsd_shard *shard)
{
    size_t n = shard->n_datagrams;
    shard->closing = n + 1;
    shard->n_datagrams = 0;
    uv_timer_stop(&shard->resume);
    for (size_t i = 0; i < n; i++)
        tsd_datagram_close(shard->datagrams[i], part_closed, shard);
    tsd_streams_close(&shard->streams, part_closed, shard);
}

static void after_poll(uv_check_t *check)
{
    struct tsd_shard *shard = check->data;
    bool quiet = shard->full_turn && shard->reads == shard->reads_before;
    bool in_time = tsd_clock_mono() < shard->deadline;
    /* At the end paused streams are not read out: memory has to come back first, and for that the writer needs what
       is here. */
    bool held_up = shard->draining && shard->streams.paused && in_time;
    if (held_up)
        hand_over(shard);
    if (!shard->full_turn || held_up || (!quiet && in_time)) {
        shard->full_turn = true;
        shard->reads_before = shard->reads;
        return;
    }
    uv_check_stop(&shard->after);
    uv_idle_stop(&shard->turn);
    sample(shard);
    if (shard->draining) {
        shard->draining = false;
        close_sockets(shard);
    }
    hand_over(shard);
}

static void on_turn(uv_idle_t *idle)
{
    (void)idle;
}

static void read_out(struct tsd_shard *shard, int64_t within)
{
    int64_t deadline = tsd_clock_mono() + within;
    if (!uv_is_active((uv_handle_t *)&shard->after) || deadline > shard->deadline)
        shard->deadline = deadline;
    shard->full_turn = false;
    shard->reads_before = shard->reads;
    uv_idle_start(&shard->turn, on_turn);
    uv_check_start(&shard->after, after_poll);
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
    struct tsd_shard *shard = async->data;
    uv_mutex_lock(&shard->lock);
    struct tsd_collect *requests = shard->requests;
    bool drain = shard->drain_asked;
    bool leave = shard->exit_asked;
    bool look = shard->look_asked;
    shard->requests = NULL;
    shard->look_asked = false;
    shard->drain_asked = false;
    uv_mutex_unlock(&shard->lock);

    if (look)
        tsd_streams_look(&shard->streams);
    if (requests && requests->prompt && !shard->collecting && !drain) { /* the writer asks one at a time */
        shard->collecting = requests;
        hand_over(shard);
        requests = NULL;
    }
    struct tsd_collect **end = &shard->collecting;
    while (*end)
        end = &(*end)->next;
    *end = requests;
    if (drain) {
        shard->draining = true;
        read_out(shard, DRAIN_NS);
    } else if (requests) {
        read_out(shard, COLLECT_NS);
    }
    if (leave) {
        hand_over(shard);
        if (shard->n_datagrams || shard->streams.open_handles)
            close_sockets(shard);
        uv_walk(&shard->loop, close_rest, NULL);
    }
}

static void run(void *data)
{
    struct tsd_shard *shard = data;
    uv_run(&shard->loop, UV_RUN_DEFAULT);
}

/* ---- From other threads ---- */

void tsd_shard_collect(struct tsd_shard *shard, struct tsd_collect *collect)
{
    uv_mutex_lock(&shard->lock);
    collect->next = shard->requests;
    shard->requests = collect;
    uv_mutex_unlock(&shard->lock);
    uv_async_send(&shard->wake);
}

void tsd_shard_drain(struct tsd_shard *shard, void (*cb)(void *data), void *data)
{
    uv_mutex_lock(&shard->lock);
    shard->drain_asked = true;
    shard->drained = cb;
    shard->drained_data = data;
    uv_mutex_unlock(&shard->lock);
    uv_async_send(&shard->wake);
}

void tsd_shard_look(struct tsd_shard *shard)
{
    uv_mutex_lock(&shard->lock);
    shard->look_asked = true;
    uv_mutex_unlock(&shard->lock);
    uv_async_send(&shard->wake);
}

int64_t tsd_shard_pulse(const struct tsd_shard *shard)
{
    return atomic_load(&shard->pulse);
}

const struct tsd_stats *tsd_shard_stats(const struct tsd_shard *shard)
{
    return &shard->ingest.stats;
}

/* ---- Start and end ---- */

static int start_datagram(struct tsd_shard *shard, int *fd, const char *kind, size_t slot)
{
    if (*fd < 0)
        return 0;
    struct tsd_datagram_config config = {.loop = &shard->loop,
                                         .fd = *fd,
                                         .kind = kind,
                                         .slot = slot,
                                         .ingest = &shard->ingest,
                                         .shared = shard->shared,
                                         .on_read = on_read,
                                         .data = shard};
    int rc = tsd_datagram_start(&config, &shard->datagrams[shard->n_datagrams]);
    if (rc)
        return rc;
    shard->n_datagrams++;
    *fd = -1;
    return 0;
}

static int start_stream(struct tsd_shard *shard, int *fd, const char *kind)
{
    if (*fd < 0)
        return 0;
    int rc = tsd_streams_listen(&shard->streams, *fd, kind);
    if (rc)
        return rc;
    *fd = -1;
    return 0;
}

static int open_handles(struct tsd_shard *shard)
{
    struct tsd_shard_sockets *sockets = &shard->config.sockets;
    uv_loop_t *loop = &shard->loop;
    shard->wake.data = shard->after.data = shard->tick.data = shard->resume.data = shard;
    if (uv_async_init(loop, &shard->wake, on_wake))
        return TS_ENOMEM;
    /* None of these can fail. */
    uv_idle_init(loop, &shard->turn);
    uv_check_init(loop, &shard->after);
    uv_timer_init(loop, &shard->tick);
    uv_timer_init(loop, &shard->resume);
    uv_timer_start(&shard->tick, on_tick, TICK_MS, TICK_MS);

    int rc = start_datagram(shard, &sockets->udp, "udp", UDP_SLOT);
    if (!rc)
        rc = start_datagram(shard, &sockets->unix_datagram, "unix_datagram", UNIX_SLOT);
    if (!rc)
        rc = start_stream(shard, &sockets->tcp, "tcp");
    if (!rc)
        rc = start_stream(shard, &sockets->unix_stream, "unix_stream");
    return rc;
}

static void free_memory(struct tsd_shard *shard)
{
    atomic_fetch_sub(&shard->shared->waiting_bytes, shard->published);
    tsd_streams_deinit(&shard->streams);
    tsd_ingest_deinit(&shard->ingest);
    uv_mutex_destroy(&shard->lock);
    free(shard);
}

int tsd_shard_start(const struct tsd_shard_config *config, struct tsd_shard **ret_shard)
{
    struct tsd_shard *shard = calloc(1, sizeof(*shard));
    if (!shard)
        return TS_ENOMEM;
    shard->config = *config;
    shard->shared = config->shared;
    atomic_store(&shard->pulse, tsd_clock_mono());
    if (uv_mutex_init(&shard->lock)) {
        free(shard);
        return TS_ENOMEM;
    }
    shard->streams.ingest = &shard->ingest;
    shard->streams.shared = shard->shared;
    shard->streams.loop = &shard->loop;
    shard->streams.thread = config->number;
    shard->streams.on_read = on_read;
    shard->streams.data = shard;
    int rc = tsd_ingest_init(&shard->ingest, &shard->shared->limits, shard->shared->rejects);
    if (!rc)
        rc = tsd_streams_init(&shard->streams);
    if (!rc && uv_loop_init(&shard->loop))
        rc = TS_ENOMEM;
    if (rc) {
        free_memory(shard);
        return rc;
    }
    rc = open_handles(shard);
    *ret_shard = shard; /* before the thread, which may have it looked at by others */
    if (!rc && uv_thread_create(&shard->thread, run, shard))
        rc = TS_ENOMEM;
    if (rc) {
        close_sockets(shard);
        uv_walk(&shard->loop, close_rest, NULL);
        uv_run(&shard->loop, UV_RUN_DEFAULT);
        uv_loop_close(&shard->loop);
        free_memory(shard);
        *ret_shard = NULL;
        return rc;
    }
    return 0;
}

struct tsd_shard *tsd_shard_free(struct tsd_shard *shard)
{
    if (!shard)
        return NULL;
    uv_mutex_lock(&shard->lock);
    shard->exit_asked = true;
    shard->drained = NULL;
    uv_mutex_unlock(&shard->lock);
    uv_async_send(&shard->wake);
    uv_thread_join(&shard->thread);
    uv_loop_close(&shard->loop);
    free_memory(shard);
    return NULL;
}
