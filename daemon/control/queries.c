/*
 * A request:
 *
 *     [fresh query, flush] -> COMMITTING -> [query] -> WAITING -> RUNNING -> reply
 *     [other query] --------------------------^
 *
 * COMMITTING has FLUSH_MS: the disk may delay a commit for much longer. RUNNING is a work item of libuv that uses a
 * slot. QUERY_MS bounds WAITING and RUNNING together. An interrupt may come before the query has begun to read and be
 * lost, so it is repeated with every tick.
 *
 * A long result stays in memory until its client has read the text: above HELD_MAX no further query starts. The control
 * socket and TCP are counted separately, so that readers over TCP do not delay operators.
 *
 * Failures:  no memory (500); the commit is late or fails, the reader cannot be opened (503 store_unavailable); too
 * many requests (503 busy); the query itself; QUERY_MS exceeded (503 timeout). On close:  COMMITTING and WAITING get a
 * 503, RUNNING is interrupted; when the writer has called back for the last commit and the last work item is done,
 * readers and handles are closed.
 */
#include "daemon/control/queries.h"

#include "daemon/control/commits.h"
#include "daemon/control/result.h"
#include "daemon/control/slot.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FLUSH_MS = 1800,
    COMMITS_MAX = 512, /* that the writer has not called back for */
    QUERY_MS = 30 * 1000,
    TICK_MS = 50,
    HELD_MAX = 32 * 1024 * 1024,
    RUNNING_TCP_MAX = TSD_QUERIES_RUNNING - 1
};

enum stage { COMMITTING, WAITING, RUNNING };

struct request {
    struct tsd_job job; /* first: a job is a request */
    struct tsd_queries *queries;
    TAILQ_ENTRY(request) entry;
    enum stage stage;
    enum tsd_query_source source;
    uint64_t since; /* the loop's ms: of the creation, then of the end of COMMITTING */
    struct tsd_commit_wait commit;
    struct ts_query *query; /* NULL: a flush only */

    /* While RUNNING the worker's, except `canceled`. */
    uv_work_t work;
    struct tsd_slot *slot;
    struct tsd_result result;
    int rc;
    struct ts_query_error error;
    atomic_bool canceled;
    bool timed_out; /* the loop's */
};

/* What the requests of one source use. */
struct usage {
    unsigned n_pending; /* COMMITTING and WAITING */
    unsigned n_running;
    size_t held; /* bytes of results that are being sent in pieces */
};

struct tsd_queries {
    uv_loop_t *loop;
    struct tsd_state *state;
    struct tsd_completions completions;
    struct tsd_commits commits;
    TAILQ_HEAD(requests, request) requests; /* in order of arrival */
    struct usage usage[TSD_QUERY_SOURCES];
    struct tsd_slot slots[TSD_QUERIES_RUNNING];
    uv_timer_t tick; /* while there are requests */

    bool closing;
    unsigned handles;
    void (*on_closed)(void *data);
    void *closed_data;
};

static void start_waiting(struct tsd_queries *queries);
static void check_closed(struct tsd_queries *queries);

/* ---- Requests ---- */

static void on_tick(uv_timer_t *timer);
static void on_cancel(struct tsd_job *job);

static struct request *request_new(struct tsd_queries *queries, struct ts_query *query, enum tsd_query_source source,
                                   tsd_reply_cb cb, void *data)
{
    struct request *request = calloc(1, sizeof(*request));
    if (!request)
        return NULL;
    *request = (struct request){.queries = queries, .stage = WAITING, .source = source, .query = query};
    tsd_job_init(&request->job, cb, data, on_cancel);
    request->since = uv_now(queries->loop);
    request->work.data = request;
    tsd_result_init(&request->result);
    atomic_init(&request->canceled, false);
    TAILQ_INSERT_TAIL(&queries->requests, request, entry);
    queries->usage[source].n_pending++;
    if (!uv_is_active((uv_handle_t *)&queries->tick))
        uv_timer_start(&queries->tick, on_tick, TICK_MS, TICK_MS);
    return request;
}

static void request_free(struct request *request)
{
    struct tsd_queries *queries = request->queries;
    struct usage *usage = &queries->usage[request->source];
    unsigned *n = request->stage == RUNNING ? &usage->n_running : &usage->n_pending;
    assert(*n > 0);
    --*n;
    TAILQ_REMOVE(&queries->requests, request, entry);
    tsd_commit_forget(&request->commit);
    tsd_result_deinit(&request->result);
    ts_query_free(request->query);
    free(request);
}

static void finish(struct request *request, struct tsd_reply *reply)
{
    struct tsd_job job = request->job;
    request_free(request);
    tsd_job_finish(&job, reply);
}

static void fail(struct request *request, unsigned status, const char *code, const char *message)
{
    struct tsd_reply reply;
    tsd_reply_error(status, code, NULL, message, &reply);
    finish(request, &reply);
}

static void fail_stopping(struct request *request)
{
    struct tsd_reply reply;
    tsd_reply_stopping(&reply);
    finish(request, &reply);
}

/* ---- Queries ---- */

/* On a worker thread. */
static void on_work(uv_work_t *work)
{
    struct request *request = work->data;
    struct ts_reader *reader = NULL;
    struct ts_store_error error = {""};
    request->error = (struct ts_query_error){.kind = TS_QUERY_INTERNAL, .message = "the query failed"};
    request->rc = atomic_load(&request->canceled) ? TS_ECANCELED : 0;
    if (request->rc)
        return;
    struct tsd_state *state = request->queries->state;
    tsd_gate_enter(&state->readers);
    request->rc = tsd_slot_reader(request->slot, state->store_path, &reader, &error);
    bool opened = !request->rc;
    if (opened)
        request->rc = tsd_result_run(&request->result, request->query, reader, &request->error);
    tsd_gate_leave(&state->readers);
    if (!opened) {
        request->error.kind = TS_QUERY_STORE_UNAVAILABLE;
        snprintf(request->error.message, sizeof(request->error.message), "%.255s", error.message);
    }
    if (request->rc == TS_ESTORE)
        tsd_slot_close_reader(request->slot);
}

static void make_reply(struct request *request, struct tsd_reply *ret_reply)
{
    struct ts_query *query = request->query;
    if (!request->rc) {
        request->query = NULL;
        tsd_result_reply(&request->result, query, &request->queries->usage[request->source].held, ret_reply);
    } else if (request->timed_out) {
        tsd_reply_error(503, "timeout", NULL, "the query took over 30 s; use a shorter range or a wider time_slice",
                        ret_reply);
    } else if (request->queries->closing) {
        tsd_reply_stopping(ret_reply);
    } else {
        tsd_reply_query_error(&request->error, ret_reply);
    }
}

static void on_worked(uv_work_t *work, int status)
{
    (void)status; /* work items are not cancelled */
    struct request *request = work->data;
    struct tsd_queries *queries = request->queries;
    struct tsd_reply reply;
    assert(request->stage == RUNNING && request->slot->used);
    request->slot->used = false;
    make_reply(request, &reply);
    finish(request, &reply);
    start_waiting(queries);
    check_closed(queries);
}

static struct tsd_slot *free_slot(struct tsd_queries *queries)
{
    for (unsigned i = 0; i < TSD_QUERIES_RUNNING; i++) {
        if (!queries->slots[i].used)
            return &queries->slots[i];
    }
    return NULL;
}

static bool may_start(const struct request *request)
{
    const struct usage *usage = &request->queries->usage[request->source];
    return request->stage == WAITING && usage->held <= HELD_MAX &&
           (request->source == TSD_FROM_UNIX || usage->n_running < RUNNING_TCP_MAX);
}

static void start_waiting(struct tsd_queries *queries)
{
    struct request *request;
    TAILQ_FOREACH(request, &queries->requests, entry)
    {
        struct tsd_slot *slot = free_slot(queries);
        if (!slot || queries->closing)
            return;
        if (!may_start(request))
            continue;
        request->stage = RUNNING;
        queries->usage[request->source].n_pending--;
        queries->usage[request->source].n_running++;
        request->slot = slot;
        slot->used = true;
        uv_queue_work(queries->loop, &request->work, on_work, on_worked); /* fails only without a function */
    }
}

static void interrupt(struct request *request)
{
    atomic_store(&request->canceled, true);
    tsd_slot_interrupt(request->slot);
}

/* ---- Commits ---- */

static void fail_commit(struct request *request, int status)
{
    if (status == TS_ECANCELED) {
        fail_stopping(request);
        return;
    }
    struct tsd_state *state = request->queries->state;
    char reason[sizeof(state->store_error)];
    char message[sizeof(reason) + 128];
    tsd_state_store_error(state, reason, sizeof(reason));
    if (!*reason)
        snprintf(reason, sizeof(reason), "the store did not commit within %d.%d s", FLUSH_MS / 1000,
                 FLUSH_MS % 1000 / 100);
    snprintf(message, sizeof(message), "%s%s", reason,
             request->query ? "; with fresh=false the query reads what is stored" : "");
    fail(request, 503, "store_unavailable", message);
}

static void reply_flushed(struct request *request)
{
    struct ts_buf out;
    struct tsd_reply reply;
    ts_buf_init(&out);
    ts_buf_printf(&out, "{\"flushed\": true, \"committed\": %" PRIu64 "}\n",
                  tsd_get(&request->queries->state->writer.committed));
    tsd_reply_from_buf(&out, 200, TSD_TYPE_JSON, &reply);
    finish(request, &reply);
}

static void on_committed(struct tsd_commit_wait *wait, int status)
{
    struct request *request = wait->data;
    assert(request->stage == COMMITTING);
    if (status) {
        fail_commit(request, status);
    } else if (!request->query) {
        reply_flushed(request);
    } else {
        request->stage = WAITING;
        request->since = uv_now(request->queries->loop);
    }
}

static void on_called_back(void *data)
{
    start_waiting(data);
    check_closed(data);
}

static int await_commit(struct request *request)
{
    request->commit = (struct tsd_commit_wait){.cb = on_committed, .data = request};
    request->stage = COMMITTING;
    return tsd_commit_await(&request->queries->commits, !request->query, &request->commit);
}

/* ---- Calls ---- */

static struct tsd_job *reject(struct ts_query *query, unsigned status, const char *code, const char *message,
                              struct tsd_reply *ret_reply)
{
    ts_query_free(query);
    tsd_reply_error(status, code, NULL, message, ret_reply);
    return NULL;
}

static struct tsd_job *begin(struct tsd_queries *queries, struct ts_query *query,
                             const struct tsd_query_options *options, tsd_reply_cb cb, void *data,
                             struct tsd_reply *ret_reply)
{
    if (queries->closing)
        return reject(query, 503, "stopping", "the daemon is stopping", ret_reply);
    if (queries->usage[options->source].n_pending >= TSD_QUERIES_WAITING)
        return reject(query, 503, "busy", "too many requests are waiting; try again", ret_reply);
    if (options->fresh && queries->commits.n >= COMMITS_MAX)
        return reject(query, 503, "store_unavailable", "too many requests are waiting for a commit", ret_reply);
    struct request *request = request_new(queries, query, options->source, cb, data);
    if (!request)
        return reject(query, 500, "internal", "out of memory", ret_reply);
    if (!options->fresh) {
        start_waiting(queries);
    } else if (await_commit(request)) {
        request->query = NULL;
        request_free(request);
        return reject(query, 500, "internal", "out of memory", ret_reply);
    }
    return &request->job;
}

struct tsd_job *tsd_queries_flush(struct tsd_queries *queries, tsd_reply_cb cb, void *data, struct tsd_reply *ret_reply)
{
    static const struct tsd_query_options options = {.source = TSD_FROM_UNIX, .fresh = true};
    return begin(queries, NULL, &options, cb, data, ret_reply);
}

struct tsd_job *tsd_queries_query(struct tsd_queries *queries, struct ts_query *query,
                                  const struct tsd_query_options *options, tsd_reply_cb cb, void *data,
                                  struct tsd_reply *ret_reply)
{
    return begin(queries, query, options, cb, data, ret_reply);
}

static void on_cancel(struct tsd_job *job)
{
    struct request *request = (struct request *)job;
    if (request->stage == RUNNING)
        interrupt(request);
    else
        request_free(request);
}

static void check_deadline(struct request *request, uint64_t age)
{
    if (request->stage == COMMITTING && age >= FLUSH_MS) {
        fail_commit(request, TS_ESTORE);
    } else if (request->stage == WAITING && age >= QUERY_MS) {
        fail(request, 503, "busy", "other queries have taken over 30 s; try again");
    } else if (request->stage == RUNNING &&
               (age >= QUERY_MS || tsd_job_cancelled(&request->job) || request->queries->closing)) {
        request->timed_out = age >= QUERY_MS;
        interrupt(request);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct tsd_queries *queries = timer->data;
    uint64_t now = uv_now(queries->loop);
    for (struct request *request = TAILQ_FIRST(&queries->requests), *next; request; request = next) {
        next = TAILQ_NEXT(request, entry);
        check_deadline(request, now - request->since);
    }
    start_waiting(queries);
    if (TAILQ_EMPTY(&queries->requests))
        uv_timer_stop(timer);
}

/* ---- Start and close ---- */

static int init_slots(struct tsd_queries *queries)
{
    for (unsigned i = 0; i < TSD_QUERIES_RUNNING; i++) {
        if (!tsd_slot_init(&queries->slots[i]))
            continue;
        while (i-- > 0)
            tsd_slot_deinit(&queries->slots[i]);
        return TS_ENOMEM;
    }
    return 0;
}

static void deinit_slots(struct tsd_queries *queries)
{
    for (unsigned i = 0; i < TSD_QUERIES_RUNNING; i++)
        tsd_slot_deinit(&queries->slots[i]);
}

int tsd_queries_start(uv_loop_t *loop, struct tsd_state *state, struct tsd_writer *writer,
                      struct tsd_queries **ret_queries)
{
    struct tsd_queries *queries = calloc(1, sizeof(*queries));
    if (!queries)
        return TS_ENOMEM;
    queries->loop = loop;
    queries->state = state;
    queries->commits = (struct tsd_commits){
        .writer = writer, .completions = &queries->completions, .on_called_back = on_called_back, .data = queries};
    TAILQ_INIT(&queries->requests);
    int rc = init_slots(queries);
    if (!rc && (rc = tsd_completions_init(&queries->completions, loop)))
        deinit_slots(queries);
    if (rc) {
        free(queries);
        return rc;
    }
    uv_timer_init(loop, &queries->tick);
    queries->tick.data = queries;
    queries->handles = 2;
    *ret_queries = queries;
    return 0;
}

static void on_handle_closed(void *data)
{
    struct tsd_queries *queries = data;
    if (!--queries->handles)
        queries->on_closed(queries->closed_data);
}

static void on_tick_closed(uv_handle_t *handle)
{
    on_handle_closed(handle->data);
}

static void check_closed(struct tsd_queries *queries)
{
    unsigned running = queries->usage[TSD_FROM_UNIX].n_running + queries->usage[TSD_FROM_TCP].n_running;
    if (!queries->closing || running || queries->commits.n || tsd_completions_closing(&queries->completions))
        return;
    assert(TAILQ_EMPTY(&queries->requests));
    for (unsigned i = 0; i < TSD_QUERIES_RUNNING; i++)
        tsd_slot_close_reader(&queries->slots[i]);
    tsd_completions_close(&queries->completions, on_handle_closed, queries);
    uv_close((uv_handle_t *)&queries->tick, on_tick_closed);
}

void tsd_queries_close(struct tsd_queries *queries, void (*cb)(void *data), void *data)
{
    queries->closing = true;
    queries->on_closed = cb;
    queries->closed_data = data;
    for (struct request *request = TAILQ_FIRST(&queries->requests), *next; request; request = next) {
        next = TAILQ_NEXT(request, entry);
        if (request->stage == RUNNING)
            interrupt(request);
        else
            fail_stopping(request);
    }
    check_closed(queries);
}

struct tsd_queries *tsd_queries_free(struct tsd_queries *queries)
{
    if (!queries)
        return NULL;
    deinit_slots(queries);
    free(queries);
    return NULL;
}
