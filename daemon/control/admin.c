/*
 * A task:
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

struct background_task {
    enum kind kind;
    struct tsd_admin *admin;
    tsd_reply_cb cb; /* NULL: abandoned */
    void *data;
    atomic_bool canceled;
    struct tsd_flush flush;
    struct tsd_task step;
    uv_work_t work;
    int64_t time_slice;
    struct ts_query *query;
    struct ts_copy *copy;
    struct ts_deletion *deletion;
    int rc; /* of the last stage */
    struct ts_store_error error;
    struct ts_query_error refusal;              /* of kind TS_QUERY_NO_ERROR: none */
    void (*next)(struct background_task *task); /* on the loop, once the stage under way has ended */
};

struct tsd_admin {
    uv_loop_t *loop;
    struct tsd_state *state;
    struct tsd_writer *writer;
    struct background_task *task; /* under way */
    uv_async_t async;
    atomic_bool ended; /* a stage on the writer's thread */
    bool closing;
    void (*on_closed)(void *data);
    void *closed_data;
};

/* ---- The end of a task ---- */

static void check_closed(struct tsd_admin *admin);

static void free_task(struct background_task *task)
{
    ts_copy_free(task->copy);
    ts_deletion_free(task->deletion);
    ts_query_free(task->query);
    free(task);
}

/* Takes the reply, which is dropped where nobody waits for it. */
static void end(struct background_task *task, struct tsd_reply *reply)
{
    struct tsd_admin *admin = task->admin;
    tsd_reply_cb cb = task->cb;
    void *data = task->data;
    admin->task = NULL;
    free_task(task);
    if (cb) {
        cb(data, reply);
    } else {
        if (reply->stream.next)
            reply->stream.free(reply->stream.data);
        free(reply->body);
    }
    check_closed(admin);
}

static void fail(struct background_task *task)
{
    struct tsd_reply reply;
    if (task->admin->closing || task->rc == TS_ECANCELED)
        tsd_reply_error(503, "stopping", NULL, "the daemon is stopping", &reply);
    else if (task->refusal.kind)
        tsd_reply_query_error(&task->refusal, &reply);
    else if (task->rc == TS_EINVAL)
        tsd_reply_error(400, "bad_parameter", "time_slice", task->error.message, &reply);
    else if (task->rc == TS_ENOMEM)
        tsd_reply_error(500, "internal", NULL, "out of memory", &reply);
    else
        tsd_reply_error(503, "store_unavailable", NULL, task->error.message, &reply);
    end(task, &reply);
}

/* ---- Stages ---- */

static void on_async(uv_async_t *async)
{
    struct tsd_admin *admin = async->data;
    if (atomic_exchange(&admin->ended, false) && admin->task)
        admin->task->next(admin->task);
}

/* On the writer's thread. */
static void stage_ended(struct background_task *task, int rc)
{
    struct tsd_admin *admin = task->admin;
    task->rc = rc;
    atomic_store(&admin->ended, true);
    uv_async_send(&admin->async);
}

static void on_flushed(struct tsd_flush *flush, int status)
{
    struct background_task *task = flush->data;
    if (status == TS_ESTORE)
        tsd_state_store_error(task->admin->state, task->error.message, sizeof(task->error.message));
    stage_ended(task, status);
}

static int step_copy(struct tsd_task *step, struct ts_store *store, bool *ret_more)
{
    struct background_task *task = step->data;
    *ret_more = true;
    if (atomic_load(&task->canceled))
        return TS_ECANCELED;
    int rc = task->copy ? 0 : ts_copy_start(store, &task->copy, &task->error);
    return rc ? rc : ts_copy_step(task->copy, PAGES, ret_more, &task->error);
}

static int step_delete(struct tsd_task *step, struct ts_store *store, bool *ret_more)
{
    struct background_task *task = step->data;
    if (atomic_load(&task->canceled))
        return TS_ECANCELED;
    return ts_deletion_step(task->deletion, store, ROWS, ret_more, &task->error);
}

/* On the writer's thread: the source of the copy is closed with the writer. */
static void on_task_done(struct tsd_task *step, int status)
{
    struct background_task *task = step->data;
    if (status)
        task->copy = ts_copy_free(task->copy);
    stage_ended(task, status);
}

static void run_task(struct background_task *task, int (*step)(struct tsd_task *, struct ts_store *, bool *),
                     void (*next)(struct background_task *))
{
    task->step = (struct tsd_task){.data = task, .step = step, .done = on_task_done};
    task->next = next;
    tsd_writer_task(task->admin->writer, &task->step);
}

/* On a worker thread. */
static void on_work(uv_work_t *work)
{
    struct background_task *task = work->data;
    struct ts_reader *reader = NULL;
    if (task->kind == REGRID) {
        task->rc = ts_copy_regrid(task->copy, task->time_slice, &task->error);
        return;
    }
    task->rc = ts_reader_open(task->admin->state->store_path, &reader, &task->error);
    if (!task->rc) {
        task->refusal.kind = TS_QUERY_NO_ERROR;
        task->rc = ts_query_deletion(task->query, reader, &task->deletion, &task->refusal);
    }
    ts_reader_close(reader);
}

static void on_worked(uv_work_t *work, int status)
{
    struct background_task *task = work->data;
    (void)status;
    task->next(task);
}

static void run_work(struct background_task *task, void (*next)(struct background_task *))
{
    task->next = next;
    task->work.data = task;
    uv_queue_work(task->admin->loop, &task->work, on_work, on_worked); /* fails only without a function */
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

static void send_copy(struct background_task *task)
{
    struct sending *sending = task->rc ? NULL : malloc(sizeof(*sending));
    int64_t len = 0;
    if (!task->rc && !sending)
        task->rc = TS_ENOMEM;
    if (!task->rc)
        task->rc = ts_copy_open(task->copy, &sending->fd, &len, &task->error);
    if (task->rc) {
        free(sending);
        fail(task);
        return;
    }
    sending->left = len;
    struct tsd_reply reply = {
        .status = 200, .type = TSD_TYPE_SQLITE, .stream = {send_next, free_sending, sending, len}};
    end(task, &reply);
}

/* ---- From stage to stage ---- */

static void send_deleted(struct background_task *task)
{
    if (task->rc) {
        fail(task);
        return;
    }
    struct ts_buf out;
    struct tsd_reply reply;
    const struct ts_deletion_counts *deleted = ts_deletion_result(task->deletion);
    if (!ts_query_dry_run(task->query))
        tsd_log_info("deleted by an operator: %llu rows of %llu functions in %llu buckets",
                     (unsigned long long)deleted->rows, (unsigned long long)deleted->functions,
                     (unsigned long long)deleted->buckets);
    ts_buf_init(&out);
    ts_query_put_deletion(task->query, task->deletion, &out);
    tsd_reply_take(&out, 200, TSD_TYPE_JSON, &reply);
    end(task, &reply);
}

static void after_names(struct background_task *task)
{
    if (task->rc)
        fail(task);
    else
        run_task(task, step_delete, send_deleted);
}

static void after_copy(struct background_task *task)
{
    if (task->rc || task->kind == BACKUP)
        send_copy(task);
    else
        run_work(task, send_copy);
}

static void after_flush(struct background_task *task)
{
    if (task->rc)
        fail(task);
    else if (task->kind == DELETE)
        run_work(task, after_names);
    else
        run_task(task, step_copy, after_copy);
}

static bool begin(struct tsd_admin *admin, enum kind kind, struct ts_query *query, int64_t time_slice, tsd_reply_cb cb,
                  void *data, struct tsd_reply *ret_reply)
{
    struct background_task *task = admin->closing || admin->task ? NULL : calloc(1, sizeof(*task));
    if (!task) {
        ts_query_free(query);
        if (admin->closing)
            tsd_reply_error(503, "stopping", NULL, "the daemon is stopping", ret_reply);
        else if (admin->task)
            tsd_reply_error(503, "busy", NULL, "another backup, regrid or deletion is under way; try again", ret_reply);
        else
            tsd_reply_error(500, "internal", NULL, "out of memory", ret_reply);
        return false;
    }
    task->kind = kind;
    task->admin = admin;
    task->cb = cb;
    task->data = data;
    task->query = query;
    task->time_slice = time_slice;
    atomic_init(&task->canceled, false);
    snprintf(task->error.message, sizeof(task->error.message), "the store did not commit");
    task->flush = (struct tsd_flush){.data = task, .cb = on_flushed, .at_once = true};
    task->next = after_flush;
    admin->task = task;
    tsd_writer_flush(admin->writer, &task->flush);
    return true;
}

bool tsd_admin_backup(struct tsd_admin *admin, tsd_reply_cb cb, void *data, struct tsd_reply *ret_reply)
{
    return begin(admin, BACKUP, NULL, 0, cb, data, ret_reply);
}

bool tsd_admin_regrid(struct tsd_admin *admin, int64_t time_slice, tsd_reply_cb cb, void *data,
                      struct tsd_reply *ret_reply)
{
    return begin(admin, REGRID, NULL, time_slice, cb, data, ret_reply);
}

bool tsd_admin_delete(struct tsd_admin *admin, struct ts_query *query, tsd_reply_cb cb, void *data,
                      struct tsd_reply *ret_reply)
{
    return begin(admin, DELETE, query, 0, cb, data, ret_reply);
}

bool tsd_admin_cancel(struct tsd_admin *admin, const void *data)
{
    struct background_task *task = admin->task;
    if (!task || task->data != data || !task->cb)
        return false;
    task->cb = NULL;
    atomic_store(&task->canceled, true);
    return true;
}

/* ---- Start and close ---- */

int tsd_admin_start(uv_loop_t *loop, struct tsd_state *state, struct tsd_writer *writer, struct tsd_admin **ret_admin)
{
    struct tsd_admin *admin = calloc(1, sizeof(*admin));
    if (!admin)
        return TS_ENOMEM;
    *admin = (struct tsd_admin){.loop = loop, .state = state, .writer = writer};
    atomic_init(&admin->ended, false);
    if (uv_async_init(loop, &admin->async, on_async)) {
        free(admin);
        return TS_ENOMEM;
    }
    admin->async.data = admin;
    *ret_admin = admin;
    return 0;
}

static void on_async_closed(uv_handle_t *handle)
{
    struct tsd_admin *admin = handle->data;
    admin->on_closed(admin->closed_data);
}

static void check_closed(struct tsd_admin *admin)
{
    if (admin->closing && !admin->task && !uv_is_closing((uv_handle_t *)&admin->async))
        uv_close((uv_handle_t *)&admin->async, on_async_closed);
}

void tsd_admin_close(struct tsd_admin *admin, void (*cb)(void *data), void *data)
{
    admin->closing = true;
    admin->on_closed = cb;
    admin->closed_data = data;
    if (admin->task)
        atomic_store(&admin->task->canceled, true);
    check_closed(admin);
}

struct tsd_admin *tsd_admin_free(struct tsd_admin *admin)
{
    free(admin);
    return NULL;
}
