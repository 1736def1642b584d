/*
 * A task:
 *
 *     COMMIT -> COPY ----------------> reply      backup
 *     COMMIT -> COPY -> WORK --------> reply      regrid
 *     COMMIT -> WORK -> DELETE ------> reply      delete
 *
 * COMMIT: the writer commits what was received, so that it is in the copy or can be deleted. COPY and DELETE are tasks
 * of the writer, which runs a step at a time between its commits. WORK is a work item of libuv: it moves the copy to
 * its grid, or selects the names to delete. The completions pass what the writer's thread has done back to the loop.
 *
 * What happens:  the stages above, one at a time; then the reply.
 * Failures:      no memory (500); no commit, no space for the copy (503 store_unavailable); another task is running
 *                (503 busy), or a copy is being sent and another one is requested; the parameters do not fit the
 * database (400); the client leaves (the next step ends the task). On close:      the writer has ended, so its
 * callbacks have come; a work item is waited for.
 */
#include "daemon/control/admin.h"

#include "daemon/base/log.h"
#include "daemon/control/completions.h"
#include "lib/query/delete.h"
#include "lib/store/copy.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGES = 256, ROWS = 2000 /* of a step */ };

enum kind { BACKUP, REGRID, DELETE };

struct background_task {
    struct tsd_job job; /* first: a job is a task */
    enum kind kind;
    struct tsd_admin *admin;
    struct tsd_completion completion;
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
    void (*next)(struct background_task *task); /* on the loop, when the current stage has ended */
};

struct tsd_admin {
    uv_loop_t *loop;
    struct tsd_state *state;
    struct tsd_writer *writer;
    struct background_task *task; /* running; NULL: none */
    bool sending;                 /* a copy, which exists until its body is freed */
    struct tsd_completions completions;
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

/* Takes the reply. */
static void end(struct background_task *task, struct tsd_reply *reply)
{
    struct tsd_admin *admin = task->admin;
    struct tsd_job job = task->job;
    assert(admin->task == task);
    admin->task = NULL;
    free_task(task);
    tsd_job_finish(&job, reply);
    check_closed(admin);
}

static void fail(struct background_task *task)
{
    struct tsd_reply reply;
    if (task->admin->closing || task->rc == TS_ECANCELED)
        tsd_reply_stopping(&reply);
    else if (task->refusal.kind)
        tsd_reply_query_error(&task->refusal, &reply);
    else if (task->rc == TS_EINVAL)
        tsd_reply_error(400, "bad_parameter", "time_slice", task->error.message, &reply);
    else if (task->rc == TS_ENOMEM)
        tsd_reply_no_memory(&reply);
    else
        tsd_reply_error(503, "store_unavailable", NULL, task->error.message, &reply);
    end(task, &reply);
}

/* ---- Stages ---- */

static void on_completed(struct tsd_completion *completion)
{
    struct background_task *task =
        (struct background_task *)((char *)completion - offsetof(struct background_task, completion));
    task->next(task);
}

/* On the writer's thread. */
static void stage_ended(struct background_task *task, int rc)
{
    task->rc = rc;
    tsd_completions_post(&task->admin->completions, &task->completion);
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
    int rc = 0;
    if (!task->copy)
        rc = ts_copy_check_space(store, task->kind == REGRID ? 2 : 1, &task->error);
    if (!rc && !task->copy)
        rc = ts_copy_start(store, &task->copy, &task->error);
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
    struct tsd_state *state = task->admin->state;
    tsd_gate_enter(&state->readers);
    task->rc = ts_reader_open(state->store_path, &reader, &task->error);
    if (!task->rc) {
        task->refusal.kind = TS_QUERY_NO_ERROR;
        task->rc = ts_query_deletion(task->query, reader, &task->deletion, &task->refusal);
    }
    ts_reader_close(reader);
    tsd_gate_leave(&state->readers);
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

/* ---- From stage to stage ---- */

/* The body of a copy: a file, and its end is noted. */
struct copy_body {
    struct tsd_body file;
    struct tsd_admin *admin;
};

static int next_of_copy(void *data, struct ts_buf *out)
{
    struct copy_body *copy = data;
    return copy->file.next(copy->file.data, out);
}

static void free_copy_body(void *data)
{
    struct copy_body *copy = data;
    assert(copy->admin->sending);
    copy->admin->sending = false;
    tsd_body_deinit(&copy->file);
    free(copy);
}

/* Owns fd on success. */
static int body_from_copy(struct tsd_admin *admin, int fd, int64_t len, struct tsd_body *ret_body)
{
    struct copy_body *copy = calloc(1, sizeof(*copy));
    if (!copy)
        return TS_ENOMEM;
    int rc = tsd_body_from_file(fd, len, &copy->file);
    if (rc) {
        free(copy);
        return rc;
    }
    copy->admin = admin;
    assert(!admin->sending);
    admin->sending = true;
    *ret_body = (struct tsd_body){.next = next_of_copy, .free = free_copy_body, .data = copy, .len = len};
    return 0;
}

static void send_copy(struct background_task *task)
{
    struct tsd_reply reply = {.status = 200, .type = TSD_TYPE_SQLITE};
    int64_t len = 0;
    int fd = -1;
    if (!task->rc)
        task->rc = ts_copy_open(task->copy, &fd, &len, &task->error);
    if (!task->rc) {
        task->rc = body_from_copy(task->admin, fd, len, &reply.body);
        if (task->rc)
            close(fd);
    }
    if (task->rc)
        fail(task);
    else
        end(task, &reply);
}

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
        tsd_log_info("an operator deleted %llu rows of %llu functions in %llu buckets",
                     (unsigned long long)deleted->rows, (unsigned long long)deleted->functions,
                     (unsigned long long)deleted->buckets);
    ts_buf_init(&out);
    ts_query_put_deletion(task->query, task->deletion, &out);
    tsd_reply_from_buf(&out, 200, TSD_TYPE_JSON, &reply);
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

static void on_cancel(struct tsd_job *job)
{
    struct background_task *task = (struct background_task *)job;
    atomic_store(&task->canceled, true);
}

static bool is_blocked(const struct tsd_admin *admin, enum kind kind)
{
    return admin->closing || admin->task || (admin->sending && kind != DELETE);
}

static struct tsd_job *reject(struct tsd_admin *admin, enum kind kind, struct ts_query *query,
                              struct tsd_reply *ret_reply)
{
    ts_query_free(query);
    if (admin->closing)
        tsd_reply_stopping(ret_reply);
    else if (admin->task)
        tsd_reply_error(503, "busy", NULL, "another backup, regrid or deletion is running; try again", ret_reply);
    else if (is_blocked(admin, kind))
        tsd_reply_error(503, "busy", NULL, "another backup or regrid is still being sent; try again", ret_reply);
    else
        tsd_reply_no_memory(ret_reply);
    return NULL;
}

static struct tsd_job *begin(struct tsd_admin *admin, enum kind kind, struct ts_query *query, int64_t time_slice,
                             tsd_reply_cb cb, void *data, struct tsd_reply *ret_reply)
{
    struct background_task *task = is_blocked(admin, kind) ? NULL : calloc(1, sizeof(*task));
    if (!task)
        return reject(admin, kind, query, ret_reply);
    tsd_job_init(&task->job, cb, data, on_cancel);
    task->kind = kind;
    task->admin = admin;
    task->completion.cb = on_completed;
    task->query = query;
    task->time_slice = time_slice;
    atomic_init(&task->canceled, false);
    snprintf(task->error.message, sizeof(task->error.message), "the store did not commit");
    task->flush = (struct tsd_flush){.data = task, .cb = on_flushed, .at_once = true};
    task->next = after_flush;
    admin->task = task;
    tsd_writer_flush(admin->writer, &task->flush);
    return &task->job;
}

struct tsd_job *tsd_admin_backup(struct tsd_admin *admin, tsd_reply_cb cb, void *data, struct tsd_reply *ret_reply)
{
    return begin(admin, BACKUP, NULL, 0, cb, data, ret_reply);
}

struct tsd_job *tsd_admin_regrid(struct tsd_admin *admin, int64_t time_slice, tsd_reply_cb cb, void *data,
                                 struct tsd_reply *ret_reply)
{
    return begin(admin, REGRID, NULL, time_slice, cb, data, ret_reply);
}

struct tsd_job *tsd_admin_delete(struct tsd_admin *admin, struct ts_query *query, tsd_reply_cb cb, void *data,
                                 struct tsd_reply *ret_reply)
{
    return begin(admin, DELETE, query, 0, cb, data, ret_reply);
}

/* ---- Start and close ---- */

int tsd_admin_start(uv_loop_t *loop, struct tsd_state *state, struct tsd_writer *writer, struct tsd_admin **ret_admin)
{
    struct tsd_admin *admin = calloc(1, sizeof(*admin));
    if (!admin)
        return TS_ENOMEM;
    *admin = (struct tsd_admin){.loop = loop, .state = state, .writer = writer};
    if (tsd_completions_init(&admin->completions, loop)) {
        free(admin);
        return TS_ENOMEM;
    }
    *ret_admin = admin;
    return 0;
}

static void on_completions_closed(void *data)
{
    struct tsd_admin *admin = data;
    admin->on_closed(admin->closed_data);
}

static void check_closed(struct tsd_admin *admin)
{
    if (admin->closing && !admin->task && !tsd_completions_closing(&admin->completions))
        tsd_completions_close(&admin->completions, on_completions_closed, admin);
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
