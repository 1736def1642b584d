/*
 * A job:
 *
 *     [fresh query, flush] -> FLUSHING -> [query] -> WAITING -> RUNNING -> answered
 *     [other query] ------------------------^
 *
 * FLUSHING has FLUSH_MS: the writer may be held up by the disk for much longer. The request to the writer outlives its
 * job then, so it is a struct of its own; its callback comes on the writer's thread and is handed to the loop by a
 * locked list and an async handle. RUNNING is a libuv work item that borrows a slot; a slot keeps its reader. QUERY_MS
 * bounds WAITING and RUNNING together. An interrupt may fall before the reader has begun and be lost, so it is given
 * anew with every tick.
 *
 * What was read for an answer is held until its client has read the text, which is made meanwhile, on the loop, a piece
 * at a time: past HELD_MAX no further query starts. A short text is made by the worker and sent as it is.
 *
 * What may fail:  no memory (500); flush late or failed, reader not to be opened (503 store_unavailable); too many
 *                 (503 busy); the query itself; QUERY_MS over (503 timeout).
 * On close:       FLUSHING and WAITING are answered 503, RUNNING is interrupted; when the last flush has called back
 * and the last work item is done, readers and handles are closed.
 */
#include "daemon/control/queries.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FLUSH_MS = 1800,
    FLUSHES_MAX = 512, /* not called back, jobs that gave up on them included */
    QUERY_MS = 30 * 1000,
    TICK_MS = 50,
    HELD_MAX = 64 * 1024 * 1024,
    PIECE = 64 * 1024
};

enum job_state { FLUSHING, WAITING, RUNNING };

struct flush {
    struct tsd_flush flush;
    struct tsd_queries *queries;
    struct tsd_job *job; /* the loop's; NULL once it is gone */
    int status;
    struct flush *next;
};

struct slot {
    struct tsd_job *job; /* the loop's; NULL: free */
    uv_mutex_t lock;     /* over reader, which the loop interrupts while a worker opens or drops it */
    struct ts_reader *reader;
};

struct tsd_job {
    struct tsd_queries *queries;
    struct tsd_job *prev, *next;
    enum job_state state;
    uint64_t since;  /* in ms of the loop: of the creation, then of being ready to run */
    tsd_reply_cb cb; /* NULL: abandoned */
    void *data;
    struct flush *flush;    /* while FLUSHING */
    struct ts_query *query; /* NULL: a flush is all */

    /* While RUNNING these are the worker's, but for canceled. */
    uv_work_t work;
    struct slot *slot;
    struct ts_buf out;          /* the first piece, or all of it */
    struct ts_response *answer; /* what is left */
    int rc;
    struct ts_query_error error;
    atomic_bool canceled;
    bool timed_out; /* the loop's */
};

struct tsd_queries {
    uv_loop_t *loop;
    struct tsd_state *state;
    struct tsd_writer *writer;
    struct tsd_job *first, *last; /* in order of arrival */
    unsigned n_pending;           /* FLUSHING and WAITING */
    unsigned n_running;
    unsigned n_flushes; /* not called back */
    size_t held;        /* bytes of replies given out and not released */
    struct slot slots[TSD_QUERIES_RUNNING];

    uv_async_t async;
    uv_timer_t tick; /* while there are jobs, or closing */
    uv_mutex_t lock; /* over flushed */
    struct flush *flushed;

    bool closing;
    unsigned handles;
    void (*on_closed)(void *data);
    void *closed_data;
};

static void on_tick(uv_timer_t *timer);
static void check_closed(struct tsd_queries *queries);

/* ---- Jobs ---- */

static struct tsd_job *job_new(struct tsd_queries *queries, struct ts_query *query, tsd_reply_cb cb, void *data)
{
    struct tsd_job *job = calloc(1, sizeof(*job));
    if (!job)
        return NULL;
    *job = (struct tsd_job){.queries = queries, .state = WAITING, .cb = cb, .data = data, .query = query};
    job->since = uv_now(queries->loop);
    job->work.data = job;
    ts_buf_init(&job->out);
    atomic_init(&job->canceled, false);
    job->prev = queries->last;
    *(job->prev ? &job->prev->next : &queries->first) = job;
    queries->last = job;
    queries->n_pending++;
    if (!uv_is_active((uv_handle_t *)&queries->tick))
        uv_timer_start(&queries->tick, on_tick, TICK_MS, TICK_MS);
    return job;
}

static void job_free(struct tsd_job *job)
{
    struct tsd_queries *queries = job->queries;
    *(job->prev ? &job->prev->next : &queries->first) = job->next;
    *(job->next ? &job->next->prev : &queries->last) = job->prev;
    if (job->state == RUNNING)
        queries->n_running--;
    else
        queries->n_pending--;
    if (job->flush)
        job->flush->job = NULL;
    ts_response_free(job->answer);
    ts_query_free(job->query);
    ts_buf_deinit(&job->out);
    free(job);
}

static void on_released(void *data, size_t len)
{
    struct tsd_queries *queries = data;
    queries->held -= len; /* what waits for it is started by the tick: this may be called within a callback of a job */
}

static void answer(struct tsd_job *job, struct tsd_reply *reply)
{
    tsd_reply_cb cb = job->cb;
    void *data = job->data;
    if (reply->body) {
        job->queries->held += reply->len;
        reply->on_released = on_released;
        reply->data = job->queries;
    }
    job_free(job);
    cb(data, reply);
}

/* Frees the job in any case. */
static void answer_error(struct tsd_job *job, unsigned status, const char *code, const char *parameter,
                         const char *message)
{
    if (!job->cb) {
        job_free(job);
        return;
    }
    struct tsd_reply reply;
    tsd_reply_error(status, code, parameter, message, &reply);
    answer(job, &reply);
}

static void answer_stopping(struct tsd_job *job)
{
    answer_error(job, 503, "stopping", NULL, "the daemon is stopping");
}

/* ---- Queries ---- */

/* On a worker thread. */
static int open_reader(struct tsd_job *job)
{
    struct ts_reader *reader = NULL;
    struct ts_store_error error = {""};
    int rc = ts_reader_open(job->queries->state->store_path, &reader, &error);
    if (rc) {
        job->error = (struct ts_query_error){.kind = TS_QUERY_STORE_UNAVAILABLE};
        snprintf(job->error.message, sizeof(job->error.message), "%.255s", error.message);
        return rc;
    }
    uv_mutex_lock(&job->slot->lock);
    job->slot->reader = reader;
    uv_mutex_unlock(&job->slot->lock);
    return 0;
}

static void drop_reader(struct slot *slot)
{
    uv_mutex_lock(&slot->lock);
    struct ts_reader *reader = slot->reader;
    slot->reader = NULL;
    uv_mutex_unlock(&slot->lock);
    ts_reader_close(reader);
}

/* On a worker thread. */
static void on_work(uv_work_t *work)
{
    struct tsd_job *job = work->data;
    job->error = (struct ts_query_error){.kind = TS_QUERY_INTERNAL, .message = "the query failed"};
    job->rc = atomic_load(&job->canceled) ? TS_ECANCELED : 0;
    if (!job->rc && !job->slot->reader)
        job->rc = open_reader(job);
    if (!job->rc)
        job->rc = ts_query_run(job->query, job->slot->reader, &job->answer, &job->error);
    if (!job->rc && !ts_response_write(job->answer, &job->out, PIECE)) {
        job->answer = ts_response_free(job->answer);
        if (!ts_query_csv(job->query))
            ts_buf_putc(&job->out, '\n'); /* as every other answer ends */
    }
    if (job->rc == TS_ESTORE)
        drop_reader(job->slot); /* the next one begins with a new connection */
}

static void start_waiting(struct tsd_queries *queries);

/* An answer that is longer than a piece, on its way to the client. */
struct sending {
    struct tsd_queries *queries;
    struct ts_query *query;
    struct ts_response *answer; /* NULL: its text has ended */
    struct ts_buf first;
    size_t held;
};

static int send_next(void *data, struct ts_buf *out)
{
    struct sending *sending = data;
    if (sending->first.len) {
        ts_buf_append(out, sending->first.data, sending->first.len);
        ts_buf_deinit(&sending->first);
        return 1;
    }
    if (!sending->answer)
        return 0;
    if (!ts_response_write(sending->answer, out, PIECE)) {
        sending->answer = ts_response_free(sending->answer);
        if (!ts_query_csv(sending->query))
            ts_buf_putc(out, '\n');
    }
    return out->len || ts_buf_failed(out) ? 1 : 0;
}

static void free_sending(void *data)
{
    struct sending *sending = data;
    sending->queries->held -= sending->held;
    ts_response_free(sending->answer);
    ts_query_free(sending->query);
    ts_buf_deinit(&sending->first);
    free(sending);
}

/* Moves the answer from the job into a reply. False where there is no memory. */
static bool stream(struct tsd_job *job, struct tsd_reply *ret_reply)
{
    struct sending *sending = malloc(sizeof(*sending));
    if (!sending)
        return false;
    *sending = (struct sending){.queries = job->queries,
                                .query = job->query,
                                .answer = job->answer,
                                .first = job->out,
                                .held = ts_response_memory(job->answer) + job->out.cap};
    job->queries->held += sending->held;
    job->query = NULL;
    job->answer = NULL;
    ts_buf_init(&job->out);
    *ret_reply = (struct tsd_reply){.status = 200, .type = ts_query_csv(sending->query) ? TSD_TYPE_CSV : TSD_TYPE_JSON};
    ret_reply->stream.next = send_next;
    ret_reply->stream.free = free_sending;
    ret_reply->stream.data = sending;
    ret_reply->stream.len = -1;
    return true;
}

static void on_worked(uv_work_t *work, int status)
{
    (void)status; /* nothing here cancels a work item */
    struct tsd_job *job = work->data;
    struct tsd_queries *queries = job->queries;
    job->slot->job = NULL;
    if (!job->cb) {
        job_free(job);
    } else if (!job->rc && job->answer) {
        struct tsd_reply reply;
        if (stream(job, &reply))
            answer(job, &reply);
        else
            answer_error(job, 500, "internal", NULL, "out of memory");
    } else if (!job->rc) {
        struct tsd_reply reply;
        tsd_reply_take(&job->out, 200, ts_query_csv(job->query) ? TSD_TYPE_CSV : TSD_TYPE_JSON, &reply);
        answer(job, &reply);
    } else if (job->timed_out) {
        answer_error(job, 503, "timeout", NULL,
                     "the query took over 30 s; ask for a shorter range or a wider time_slice");
    } else if (queries->closing) {
        answer_stopping(job);
    } else {
        struct tsd_reply reply;
        tsd_reply_query_error(&job->error, &reply);
        answer(job, &reply);
    }
    start_waiting(queries);
    check_closed(queries);
}

static struct slot *free_slot(struct tsd_queries *queries)
{
    for (unsigned i = 0; i < TSD_QUERIES_RUNNING; i++) {
        if (!queries->slots[i].job)
            return &queries->slots[i];
    }
    return NULL;
}

static void start_waiting(struct tsd_queries *queries)
{
    for (struct tsd_job *job = queries->first; job; job = job->next) {
        struct slot *slot = free_slot(queries);
        if (!slot || queries->held > HELD_MAX || queries->closing)
            return;
        if (job->state != WAITING)
            continue;
        job->state = RUNNING;
        queries->n_pending--;
        queries->n_running++;
        job->slot = slot;
        slot->job = job;
        /* Fails only without a function. */
        uv_queue_work(queries->loop, &job->work, on_work, on_worked);
    }
}

static void interrupt(struct tsd_job *job)
{
    atomic_store(&job->canceled, true);
    uv_mutex_lock(&job->slot->lock);
    if (job->slot->reader)
        ts_reader_interrupt(job->slot->reader);
    uv_mutex_unlock(&job->slot->lock);
}

/* ---- Flushes ---- */

/* On the writer's thread. Sends within the lock: the loop, which needs it to see the flush, cannot be done with the
 * async handle before. */
static void on_flushed(struct tsd_flush *base, int status)
{
    struct flush *flush = base->data;
    struct tsd_queries *queries = flush->queries;
    uv_mutex_lock(&queries->lock);
    flush->status = status;
    flush->next = queries->flushed;
    queries->flushed = flush;
    uv_async_send(&queries->async);
    uv_mutex_unlock(&queries->lock);
}

static void answer_flush_failed(struct tsd_job *job, int status)
{
    if (status == TS_ECANCELED) {
        answer_stopping(job);
        return;
    }
    struct tsd_state *state = job->queries->state;
    char why[sizeof(state->store_error)];
    char message[sizeof(why) + 128];
    tsd_state_store_error(state, why, sizeof(why));
    if (!*why)
        snprintf(why, sizeof(why), "the store did not commit within %d.%d s", FLUSH_MS / 1000, FLUSH_MS % 1000 / 100);
    snprintf(message, sizeof(message), "%s%s", why, job->query ? "; fresh=false asks for what is stored" : "");
    answer_error(job, 503, "store_unavailable", NULL, message);
}

static void answer_flushed(struct tsd_job *job)
{
    struct ts_buf out;
    struct tsd_reply reply;
    ts_buf_init(&out);
    ts_buf_printf(&out, "{\"flushed\": true, \"committed\": %" PRIu64 "}\n",
                  tsd_get(&job->queries->state->writer.committed));
    tsd_reply_take(&out, 200, TSD_TYPE_JSON, &reply);
    answer(job, &reply);
}

static void job_flushed(struct tsd_job *job, int status)
{
    job->flush = NULL;
    if (status) {
        answer_flush_failed(job, status);
    } else if (!job->query) {
        answer_flushed(job);
    } else {
        job->state = WAITING;
        job->since = uv_now(job->queries->loop);
    }
}

static void on_async(uv_async_t *async)
{
    struct tsd_queries *queries = async->data;
    uv_mutex_lock(&queries->lock);
    struct flush *flush = queries->flushed;
    queries->flushed = NULL;
    uv_mutex_unlock(&queries->lock);
    struct flush *in_order = NULL; /* the list has the latest first */
    while (flush) {
        struct flush *next = flush->next;
        flush->next = in_order;
        in_order = flush;
        flush = next;
    }
    while (in_order) {
        flush = in_order;
        in_order = flush->next;
        struct tsd_job *job = flush->job;
        int status = flush->status;
        free(flush);
        queries->n_flushes--;
        if (job)
            job_flushed(job, status);
    }
    start_waiting(queries);
    check_closed(queries);
}

static int begin_flush(struct tsd_job *job, bool at_once)
{
    struct flush *flush = calloc(1, sizeof(*flush));
    if (!flush)
        return TS_ENOMEM;
    flush->queries = job->queries;
    flush->job = job;
    flush->flush.data = flush;
    flush->flush.cb = on_flushed;
    flush->flush.at_once = at_once;
    job->flush = flush;
    job->state = FLUSHING;
    job->queries->n_flushes++;
    tsd_writer_flush(job->queries->writer, &flush->flush);
    return 0;
}

/* ---- Requests ---- */

static struct tsd_job *refuse(struct ts_query *query, unsigned status, const char *code, const char *message,
                              struct tsd_reply *ret_reply)
{
    ts_query_free(query);
    tsd_reply_error(status, code, NULL, message, ret_reply);
    return NULL;
}

static struct tsd_job *begin(struct tsd_queries *queries, struct ts_query *query, bool fresh, tsd_reply_cb cb,
                             void *data, struct tsd_reply *ret_reply)
{
    if (queries->closing)
        return refuse(query, 503, "stopping", "the daemon is stopping", ret_reply);
    if (queries->n_pending >= TSD_QUERIES_WAITING)
        return refuse(query, 503, "busy", "too many requests are waiting; try again", ret_reply);
    if (fresh && queries->n_flushes >= FLUSHES_MAX)
        return refuse(query, 503, "store_unavailable", "too many requests wait for the store to commit", ret_reply);
    struct tsd_job *job = job_new(queries, query, cb, data);
    if (!job)
        return refuse(query, 500, "internal", "out of memory", ret_reply);
    if (!fresh) {
        start_waiting(queries);
    } else if (begin_flush(job, !query)) {
        job->query = NULL;
        job_free(job);
        return refuse(query, 500, "internal", "out of memory", ret_reply);
    }
    return job;
}

struct tsd_job *tsd_queries_flush(struct tsd_queries *queries, tsd_reply_cb cb, void *data, struct tsd_reply *ret_reply)
{
    return begin(queries, NULL, true, cb, data, ret_reply);
}

struct tsd_job *tsd_queries_query(struct tsd_queries *queries, struct ts_query *query, bool fresh, tsd_reply_cb cb,
                                  void *data, struct tsd_reply *ret_reply)
{
    return begin(queries, query, fresh, cb, data, ret_reply);
}

void tsd_job_cancel(struct tsd_job *job)
{
    job->cb = NULL;
    if (job->state == RUNNING)
        interrupt(job);
    else
        job_free(job);
}

static void check_deadline(struct tsd_job *job, uint64_t age)
{
    if (job->state == FLUSHING && age >= FLUSH_MS) {
        answer_flush_failed(job, TS_ESTORE);
    } else if (job->state == WAITING && age >= QUERY_MS) {
        answer_error(job, 503, "busy", NULL, "other queries have taken over 30 s; try again");
    } else if (job->state == RUNNING && (age >= QUERY_MS || !job->cb || job->queries->closing)) {
        job->timed_out = age >= QUERY_MS;
        interrupt(job);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct tsd_queries *queries = timer->data;
    uint64_t now = uv_now(queries->loop);
    for (struct tsd_job *job = queries->first, *next; job; job = next) {
        next = job->next;
        check_deadline(job, now - job->since);
    }
    start_waiting(queries);
    if (!queries->first)
        uv_timer_stop(timer);
}

/* ---- Start and close ---- */

static void deinit_locks(struct tsd_queries *queries)
{
    for (unsigned i = 0; i < TSD_QUERIES_RUNNING; i++)
        uv_mutex_destroy(&queries->slots[i].lock);
    uv_mutex_destroy(&queries->lock);
}

static int init_locks(struct tsd_queries *queries)
{
    if (uv_mutex_init(&queries->lock))
        return TS_ENOMEM;
    for (unsigned i = 0; i < TSD_QUERIES_RUNNING; i++) {
        if (!uv_mutex_init(&queries->slots[i].lock))
            continue;
        while (i-- > 0)
            uv_mutex_destroy(&queries->slots[i].lock);
        uv_mutex_destroy(&queries->lock);
        return TS_ENOMEM;
    }
    return 0;
}

int tsd_queries_start(uv_loop_t *loop, struct tsd_state *state, struct tsd_writer *writer,
                      struct tsd_queries **ret_queries)
{
    struct tsd_queries *queries = calloc(1, sizeof(*queries));
    if (!queries)
        return TS_ENOMEM;
    queries->loop = loop;
    queries->state = state;
    queries->writer = writer;
    int rc = init_locks(queries);
    if (rc) {
        free(queries);
        return rc;
    }
    if (uv_async_init(loop, &queries->async, on_async)) {
        deinit_locks(queries);
        free(queries);
        return TS_ENOMEM;
    }
    uv_timer_init(loop, &queries->tick);
    queries->async.data = queries->tick.data = queries;
    queries->handles = 2;
    *ret_queries = queries;
    return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct tsd_queries *queries = handle->data;
    if (!--queries->handles)
        queries->on_closed(queries->closed_data);
}

static void check_closed(struct tsd_queries *queries)
{
    if (!queries->closing || queries->n_running || queries->n_flushes || uv_is_closing((uv_handle_t *)&queries->async))
        return;
    for (unsigned i = 0; i < TSD_QUERIES_RUNNING; i++)
        drop_reader(&queries->slots[i]);
    uv_close((uv_handle_t *)&queries->async, on_handle_closed);
    uv_close((uv_handle_t *)&queries->tick, on_handle_closed);
}

void tsd_queries_close(struct tsd_queries *queries, void (*cb)(void *data), void *data)
{
    queries->closing = true;
    queries->on_closed = cb;
    queries->closed_data = data;
    for (struct tsd_job *job = queries->first, *next; job; job = next) {
        next = job->next;
        if (job->state == RUNNING)
            interrupt(job);
        else
            answer_stopping(job);
    }
    check_closed(queries);
}

struct tsd_queries *tsd_queries_free(struct tsd_queries *queries)
{
    if (!queries)
        return NULL;
    deinit_locks(queries);
    free(queries);
    return NULL;
}
