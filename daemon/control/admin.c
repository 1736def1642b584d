/*
 * A chore:
 *
 *     FLUSH -> COPY ----------------> answered      backup
 *     FLUSH -> COPY -> WORK --------> answered      regrid
 *     FLUSH -> WORK -> DELETE ------> answered      delete
 *
 * FLUSH: the writer commits what was received, so that it is in the copy, or can be deleted. COPY and DELETE are tasks
 * of the writer (maintenance), a step at a time between its commits. WORK is a work item of libuv: it puts the copy
 * onto its grid, or reads which names are meant. What comes back from the writer's thread is handed to the loop by an
 * async handle.
 *
 * What happens:   the stages above, one at a time; then the reply.
 * What may fail:  no memory (500); no commit, no room for the copy (503 store_unavailable); another one is under way
 *                 (503 busy); what was asked for does not fit (400); the client leaves (the next step ends it).
 * On close:       the writer has ended, so its callbacks have come; a work item is waited for.
 */
#include "daemon/control/admin.h"

#include "daemon/base/log.h"
#include "lib/query/delete.h"
#include "lib/store/copy.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGES = 256, ROWS = 2000, BLOCK = 64 * 1024 };

enum kind { BACKUP, REGRID, DELETE };

struct chore {
    enum kind kind;
    struct tsd_chores *chores;
    tsd_answer_cb cb; /* NULL: abandoned */
    void *data;
    atomic_bool canceled;
    struct tsd_flush flush;
    struct tsd_task task;
    uv_work_t work;
    int64_t time_slice;
    struct ts_query *query;
    struct ts_copy *copy;
    struct ts_deletion *deletion;
    int rc; /* of the last stage */
    struct ts_store_error error;
    struct ts_query_error refusal;     /* of kind TS_QUERY_NO_ERROR: none */
    void (*next)(struct chore *chore); /* on the loop, once the stage under way has ended */
};

struct tsd_chores {
    uv_loop_t *loop;
    struct tsd_state *state;
    struct tsd_writer *writer;
    struct chore *chore; /* under way */
    uv_async_t async;
    atomic_bool ended; /* a stage on the writer's thread */
    bool closing;
    void (*on_closed)(void *data);
    void *closed_data;
};

/* ---- The end of a chore ---- */

static void check_closed(struct tsd_chores *chores);

static void free_chore(struct chore *chore)
{
    ts_copy_free(chore->copy);
    ts_deletion_free(chore->deletion);
    ts_query_free(chore->query);
    free(chore);
}

/* Takes the reply, which is dropped where nobody waits for it. */
static void end(struct chore *chore, struct tsd_reply *reply)
{
    struct tsd_chores *chores = chore->chores;
    tsd_answer_cb cb = chore->cb;
    void *data = chore->data;
    chores->chore = NULL;
    free_chore(chore);
    if (cb) {
        cb(data, reply);
    } else {
        if (reply->stream.next)
            reply->stream.free(reply->stream.data);
        free(reply->body);
    }
    check_closed(chores);
}

static void fail(struct chore *chore)
{
    struct tsd_reply reply;
    if (chore->chores->closing || chore->rc == TS_ECANCELED)
        tsd_reply_error(503, "stopping", NULL, "the daemon is stopping", &reply);
    else if (chore->refusal.kind)
        tsd_reply_query_error(&chore->refusal, &reply);
    else if (chore->rc == TS_EINVAL)
        tsd_reply_error(400, "bad_parameter", "time_slice", chore->error.message, &reply);
    else if (chore->rc == TS_ENOMEM)
        tsd_reply_error(500, "internal", NULL, "out of memory", &reply);
    else
        tsd_reply_error(503, "store_unavailable", NULL, chore->error.message, &reply);
    end(chore, &reply);
}

/* ---- Stages ---- */

static void on_async(uv_async_t *async)
{
    struct tsd_chores *chores = async->data;
    if (atomic_exchange(&chores->ended, false) && chores->chore)
        chores->chore->next(chores->chore);
}

/* On the writer's thread. */
static void stage_ended(struct chore *chore, int rc)
{
    struct tsd_chores *chores = chore->chores;
    chore->rc = rc;
    atomic_store(&chores->ended, true);
    uv_async_send(&chores->async);
}

static void on_flushed(struct tsd_flush *flush, int status)
{
    struct chore *chore = flush->data;
    if (status == TS_ESTORE)
        tsd_state_store_error(chore->chores->state, chore->error.message, sizeof(chore->error.message));
    stage_ended(chore, status);
}

static int step_copy(struct tsd_task *task, struct ts_store *store, bool *ret_more)
{
    struct chore *chore = task->data;
    *ret_more = true;
    if (atomic_load(&chore->canceled))
        return TS_ECANCELED;
    int rc = chore->copy ? 0 : ts_copy_start(store, &chore->copy, &chore->error);
    return rc ? rc : ts_copy_step(chore->copy, PAGES, ret_more, &chore->error);
}

static int step_delete(struct tsd_task *task, struct ts_store *store, bool *ret_more)
{
    struct chore *chore = task->data;
    if (atomic_load(&chore->canceled))
        return TS_ECANCELED;
    return ts_deletion_step(chore->deletion, store, ROWS, ret_more, &chore->error);
}

/* On the writer's thread: the source of the copy is closed with the writer. */
static void on_task_done(struct tsd_task *task, int status)
{
    struct chore *chore = task->data;
    if (status)
        chore->copy = ts_copy_free(chore->copy);
    stage_ended(chore, status);
}

static void run_task(struct chore *chore, int (*step)(struct tsd_task *, struct ts_store *, bool *),
                     void (*next)(struct chore *))
{
    chore->task = (struct tsd_task){.data = chore, .step = step, .done = on_task_done};
    chore->next = next;
    tsd_writer_task(chore->chores->writer, &chore->task);
}

/* On a worker thread. */
static void on_work(uv_work_t *work)
{
    struct chore *chore = work->data;
    struct ts_reader *reader = NULL;
    if (chore->kind == REGRID) {
        chore->rc = ts_copy_regrid(chore->copy, chore->time_slice, &chore->error);
        return;
    }
    chore->rc = ts_reader_open(chore->chores->state->store_path, &reader, &chore->error);
    if (!chore->rc) {
        chore->refusal.kind = TS_QUERY_NO_ERROR;
        chore->rc = ts_query_deletion(chore->query, reader, &chore->deletion, &chore->refusal);
    }
    ts_reader_close(reader);
}

static void on_worked(uv_work_t *work, int status)
{
    struct chore *chore = work->data;
    (void)status;
    chore->next(chore);
}

static void run_work(struct chore *chore, void (*next)(struct chore *))
{
    chore->next = next;
    chore->work.data = chore;
    uv_queue_work(chore->chores->loop, &chore->work, on_work, on_worked); /* fails only without a function */
}

/* ---- A copy on its way ---- */

struct sending {
    int fd;
    int64_t left;
};

static int send_next(void *data, struct ts_buf *out)
{
    struct sending *sending = data;
    size_t n = sending->left < BLOCK ? (size_t)sending->left : BLOCK;
    if (!n)
        return 0;
    if (ts_buf_reserve(out, n))
        return TS_ENOMEM;
    ssize_t got = read(sending->fd, out->data, n);
    if (got <= 0)
        return TS_ESTORE;
    out->len = (size_t)got;
    sending->left -= got;
    return 1;
}

static void free_sending(void *data)
{
    struct sending *sending = data;
    close(sending->fd);
    free(sending);
}

static void send_copy(struct chore *chore)
{
    struct sending *sending = chore->rc ? NULL : malloc(sizeof(*sending));
    int64_t len = 0;
    if (!chore->rc && !sending)
        chore->rc = TS_ENOMEM;
    if (!chore->rc)
        chore->rc = ts_copy_open(chore->copy, &sending->fd, &len, &chore->error);
    if (chore->rc) {
        free(sending);
        fail(chore);
        return;
    }
    sending->left = len;
    struct tsd_reply reply = {
        .status = 200, .type = TSD_TYPE_SQLITE, .stream = {send_next, free_sending, sending, len}};
    end(chore, &reply);
}

/* ---- From stage to stage ---- */

static void send_deleted(struct chore *chore)
{
    if (chore->rc) {
        fail(chore);
        return;
    }
    struct ts_buf out;
    struct tsd_reply reply;
    const struct ts_deletion_counts *deleted = ts_deletion_result(chore->deletion);
    if (!ts_query_dry_run(chore->query))
        tsd_log_info("deleted by an operator: %llu rows of %llu functions in %llu buckets",
                     (unsigned long long)deleted->rows, (unsigned long long)deleted->functions,
                     (unsigned long long)deleted->buckets);
    ts_buf_init(&out);
    ts_query_put_deletion(chore->query, chore->deletion, &out);
    tsd_reply_take(&out, 200, TSD_TYPE_JSON, &reply);
    end(chore, &reply);
}

static void after_names(struct chore *chore)
{
    if (chore->rc)
        fail(chore);
    else
        run_task(chore, step_delete, send_deleted);
}

static void after_copy(struct chore *chore)
{
    if (chore->rc || chore->kind == BACKUP)
        send_copy(chore);
    else
        run_work(chore, send_copy);
}

static void after_flush(struct chore *chore)
{
    if (chore->rc)
        fail(chore);
    else if (chore->kind == DELETE)
        run_work(chore, after_names);
    else
        run_task(chore, step_copy, after_copy);
}

static bool begin(struct tsd_chores *chores, enum kind kind, struct ts_query *query, int64_t time_slice,
                  tsd_answer_cb cb, void *data, struct tsd_reply *ret_reply)
{
    struct chore *chore = chores->closing || chores->chore ? NULL : calloc(1, sizeof(*chore));
    if (!chore) {
        ts_query_free(query);
        if (chores->closing)
            tsd_reply_error(503, "stopping", NULL, "the daemon is stopping", ret_reply);
        else if (chores->chore)
            tsd_reply_error(503, "busy", NULL, "another backup, regrid or deletion is under way; try again", ret_reply);
        else
            tsd_reply_error(500, "internal", NULL, "out of memory", ret_reply);
        return false;
    }
    chore->kind = kind;
    chore->chores = chores;
    chore->cb = cb;
    chore->data = data;
    chore->query = query;
    chore->time_slice = time_slice;
    atomic_init(&chore->canceled, false);
    snprintf(chore->error.message, sizeof(chore->error.message), "the store did not commit");
    chore->flush = (struct tsd_flush){.data = chore, .cb = on_flushed, .at_once = true};
    chore->next = after_flush;
    chores->chore = chore;
    tsd_writer_flush(chores->writer, &chore->flush);
    return true;
}

bool tsd_chores_backup(struct tsd_chores *chores, tsd_answer_cb cb, void *data, struct tsd_reply *ret_reply)
{
    return begin(chores, BACKUP, NULL, 0, cb, data, ret_reply);
}

bool tsd_chores_regrid(struct tsd_chores *chores, int64_t time_slice, tsd_answer_cb cb, void *data,
                       struct tsd_reply *ret_reply)
{
    return begin(chores, REGRID, NULL, time_slice, cb, data, ret_reply);
}

bool tsd_chores_delete(struct tsd_chores *chores, struct ts_query *query, tsd_answer_cb cb, void *data,
                       struct tsd_reply *ret_reply)
{
    return begin(chores, DELETE, query, 0, cb, data, ret_reply);
}

bool tsd_chores_abandon(struct tsd_chores *chores, const void *data)
{
    struct chore *chore = chores->chore;
    if (!chore || chore->data != data || !chore->cb)
        return false;
    chore->cb = NULL;
    atomic_store(&chore->canceled, true);
    return true;
}

/* ---- Start and close ---- */

int tsd_chores_start(uv_loop_t *loop, struct tsd_state *state, struct tsd_writer *writer,
                     struct tsd_chores **ret_chores)
{
    struct tsd_chores *chores = calloc(1, sizeof(*chores));
    if (!chores)
        return TS_ENOMEM;
    *chores = (struct tsd_chores){.loop = loop, .state = state, .writer = writer};
    atomic_init(&chores->ended, false);
    if (uv_async_init(loop, &chores->async, on_async)) {
        free(chores);
        return TS_ENOMEM;
    }
    chores->async.data = chores;
    *ret_chores = chores;
    return 0;
}

static void on_async_closed(uv_handle_t *handle)
{
    struct tsd_chores *chores = handle->data;
    chores->on_closed(chores->closed_data);
}

static void check_closed(struct tsd_chores *chores)
{
    if (chores->closing && !chores->chore && !uv_is_closing((uv_handle_t *)&chores->async))
        uv_close((uv_handle_t *)&chores->async, on_async_closed);
}

void tsd_chores_close(struct tsd_chores *chores, void (*cb)(void *data), void *data)
{
    chores->closing = true;
    chores->on_closed = cb;
    chores->closed_data = data;
    if (chores->chore)
        atomic_store(&chores->chore->canceled, true);
    check_closed(chores);
}

struct tsd_chores *tsd_chores_free(struct tsd_chores *chores)
{
    free(chores);
    return NULL;
}
