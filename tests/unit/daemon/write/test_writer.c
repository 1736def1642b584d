/*
 * The writer's thread: when it commits, flush requests, tasks, its end.
 */
#include "daemon/write/writer.h"

#include "tests/unit/daemon/daemon_fixture.h"

struct writing {
    struct fixture *f;
    struct tsd_writer *writer;
    atomic_int stopped;
};

static void on_fatal(void *data)
{
    (void)data;
    abort();
}

static void on_stopped(void *data)
{
    struct writing *w = data;
    atomic_fetch_add(&w->stopped, 1);
}

static struct tsd_writer_config config(struct writing *w)
{
    return (struct tsd_writer_config){.store = w->f->store,
                                      .state = &w->f->state,
                                      .threads = w->f->threads,
                                      .n_threads = THREADS,
                                      .max_locations = 1000,
                                      .max_label_sets = 100,
                                      .commit_budget = &w->f->shared.commit_budget,
                                      .clients = &w->f->clients,
                                      .clock = &w->f->shared.limits.clock,
                                      .flush_interval = 3600 * S,
                                      .ack_interval = S / 100,
                                      .client_expiry = 3600 * S,
                                      .on_fatal = on_fatal,
                                      .on_stopped = on_stopped,
                                      .data = w};
}

static int start(void **state)
{
    struct writing *w = calloc(1, sizeof(*w));
    struct ts_store_error error;
    void *fixture;
    if (!w || setup(&fixture))
        return -1;
    w->f = fixture;
    open_store(w->f);
    for (unsigned i = 0; i < THREADS; i++)
        start_thread(w->f, i);
    w->f->state.n_threads = THREADS;
    const struct tsd_writer_config writer_config = config(w);
    if (tsd_writer_start(&writer_config, &w->writer, &error))
        return -1;
    w->f->store = NULL; /* the writer's */
    *state = w;
    return 0;
}

static bool stop(struct writing *w)
{
    tsd_writer_stop(w->writer);
    bool committed = tsd_writer_join(w->writer);
    assert_int_equal(w->stopped, 1);
    return committed;
}

static int end(void **state)
{
    struct writing *w = *state;
    void *fixture = w->f;
    if (!w->stopped)
        stop(w);
    for (unsigned i = 0; i < THREADS; i++)
        stop_thread(w->f, i);
    tsd_writer_free(w->writer);
    free(w);
    return teardown(&fixture);
}

/* ---- Flush requests ---- */

struct flushing {
    struct tsd_flush flush;
    uv_sem_t done;
    int status;
};

static void on_flushed(struct tsd_flush *flush, int status)
{
    struct flushing *flushing = flush->data;
    flushing->status = status;
    uv_sem_post(&flushing->done);
}

static void begin_flush(struct writing *w, struct flushing *flushing, bool at_once)
{
    *flushing = (struct flushing){.flush = {.data = flushing, .cb = on_flushed, .at_once = at_once}};
    assert_int_equal(uv_sem_init(&flushing->done, 0), 0);
    tsd_writer_flush(w->writer, &flushing->flush);
}

static int end_flush(struct flushing *flushing)
{
    uv_sem_wait(&flushing->done);
    uv_sem_destroy(&flushing->done);
    return flushing->status;
}

static int flush(struct writing *w, bool at_once)
{
    struct flushing flushing;
    begin_flush(w, &flushing, at_once);
    return end_flush(&flushing);
}

static uint64_t commits(struct writing *w)
{
    return tsd_get(&w->f->state.writer.commits);
}

static void a_flush_commits_what_was_sent_before_it(void **state)
{
    struct writing *w = *state;
    for (int round = 1; round <= 10; round++) {
        assert_true(send_profile(w->f, 0, "f", 99990));
        assert_true(send_profile(w->f, 1, "f", 99990));
        assert_int_equal(flush(w, round % 2), 0);
        assert_int_equal(query_integer(w->f, "SELECT cumtime FROM sums"), 2 * round * S);
    }
    uint64_t before = commits(w);
    assert_int_equal(flush(w, false), 0); /* nothing to commit */
    assert_int_equal(commits(w), before);
}

static void requests_that_wait_share_a_commit(void **state)
{
    struct writing *w = *state;
    enum { N = 20 };
    struct flushing flushing[N];
    assert_true(send_profile(w->f, 0, "f", 99990));
    assert_int_equal(flush(w, false), 0);
    uint64_t before = commits(w);
    for (int i = 0; i < N; i++) {
        assert_true(send_profile(w->f, 0, "f", 99990));
        begin_flush(w, &flushing[i], false);
    }
    for (int i = 0; i < N; i++)
        assert_int_equal(end_flush(&flushing[i]), 0);
    assert_in_range(commits(w) - before, 1, N / 2); /* one, if the machine is not slow */
    assert_int_equal(query_integer(w->f, "SELECT profiles FROM profiles"), N + 1);
}

static void a_flush_fails_with_the_store(void **state)
{
    struct writing *w = *state;
    sqlite3 *lock = lock_database(w->f);
    assert_true(send_profile(w->f, 0, "f", 99990));
    assert_int_equal(flush(w, true), TS_ESTORE);
    sqlite3_close(lock);
    WAIT_UNTIL(commits(w) == 1); /* by itself, after a pause */
    assert_int_equal(flush(w, true), 0);
}

/* ---- Other reasons to commit ---- */

static void short_memory_and_marks_commit_at_once(void **state)
{
    struct writing *w = *state;
    assert_true(send_profile(w->f, 0, "f", 99990));
    WAIT_UNTIL(tsd_get(&w->f->state.threads[0]->accepted) == 1);
    tsd_writer_hurry(w->writer);
    WAIT_UNTIL(commits(w) == 1);
    assert_true(send_profile(w->f, 0, "f", 99990));
    WAIT_UNTIL(tsd_get(&w->f->state.threads[0]->accepted) == 2);
    tsd_writer_ack(w->writer);
    WAIT_UNTIL(commits(w) == 2);
}

static void a_reload_changes_the_interval(void **state)
{
    struct writing *w = *state;
    tsd_writer_reconfigure(w->writer, 1000, 100, S / 100, S, 3600 * S);
    assert_true(send_profile(w->f, 0, "f", 99990));
    WAIT_UNTIL(commits(w) == 1);
    assert_true(send_profile(w->f, 0, "f", 99990));
    WAIT_UNTIL(commits(w) == 2);
}

static void a_reload_changes_the_bounds(void **state)
{
    struct writing *w = *state;
    tsd_writer_reconfigure(w->writer, 1, 100, 3600 * S, S, 3600 * S);
    assert_true(send_profile(w->f, 0, "a", 99990));
    assert_true(send_profile(w->f, 0, "b", 99990));
    assert_int_equal(flush(w, true), 0);
    assert_int_equal(query_integer(w->f, "SELECT count(*) FROM locations WHERE raw_name = '(overflow)'"), 1);
}

/* ---- Tasks ---- */

struct counting {
    struct tsd_task task;
    int steps;
    int until;
    int result; /* of the last step */
    struct counting *previous;
    uv_sem_t done;
    int status;
};

static int step(struct tsd_task *task, struct ts_store *store, bool *ret_more)
{
    struct counting *counting = task->data;
    assert_non_null(ts_store_levels(store));
    assert_true(!counting->previous || counting->previous->steps == counting->previous->until); /* one by one */
    *ret_more = ++counting->steps < counting->until;
    return *ret_more ? 0 : counting->result;
}

static void on_done(struct tsd_task *task, int status)
{
    struct counting *counting = task->data;
    counting->status = status;
    uv_sem_post(&counting->done);
}

static void begin_task(struct writing *w, struct counting *counting, int until, int result, struct counting *previous)
{
    *counting = (struct counting){.task = {.data = counting, .step = step, .done = on_done},
                                  .until = until,
                                  .result = result,
                                  .previous = previous};
    assert_int_equal(uv_sem_init(&counting->done, 0), 0);
    tsd_writer_task(w->writer, &counting->task);
}

static int end_task(struct counting *counting)
{
    uv_sem_wait(&counting->done);
    uv_sem_destroy(&counting->done);
    return counting->status;
}

static void tasks_run_one_after_the_other(void **state)
{
    struct writing *w = *state;
    struct counting first;
    struct counting second;
    begin_task(w, &first, 10, 0, NULL);
    begin_task(w, &second, 3, TS_ESTORE, &first);
    assert_int_equal(end_task(&first), 0);
    assert_int_equal(end_task(&second), TS_ESTORE);
    assert_int_equal(first.steps, 10);
    assert_int_equal(second.steps, 3);
}

static void commits_come_between_the_steps_of_a_task(void **state)
{
    struct writing *w = *state;
    struct counting long_task;
    begin_task(w, &long_task, INT32_MAX, 0, NULL);
    assert_true(send_profile(w->f, 0, "f", 99990));
    assert_int_equal(flush(w, true), 0);
    assert_int_equal(commits(w), 1);
    stop(w);
    assert_int_equal(end_task(&long_task), TS_ECANCELED);
}

/* ---- The end ---- */

static void the_last_cycle_commits_everything(void **state)
{
    struct writing *w = *state;
    for (int i = 0; i < 10; i++)
        assert_true(send_profile(w->f, i % THREADS, "f", 99990));
    assert_true(stop(w));
    assert_int_equal(query_integer(w->f, "SELECT cumtime FROM sums"), 10 * S);
}

static void after_the_end_requests_are_cancelled(void **state)
{
    struct writing *w = *state;
    struct counting task;
    stop(w);
    assert_int_equal(flush(w, true), TS_ECANCELED);
    begin_task(w, &task, 1, 0, NULL);
    assert_int_equal(end_task(&task), TS_ECANCELED);
    assert_int_equal(task.steps, 0);
    tsd_writer_hurry(w->writer); /* an ingest thread may still call it */
}

static void the_pulse_is_the_time_until_which_it_waits(void **state)
{
    struct writing *w = *state;
    WAIT_UNTIL(tsd_writer_pulse(w->writer) > tsd_clock_mono());
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, start, end)
    const struct CMUnitTest tests[] = {
        T(a_flush_commits_what_was_sent_before_it),
        T(requests_that_wait_share_a_commit),
        T(a_flush_fails_with_the_store),
        T(short_memory_and_marks_commit_at_once),
        T(a_reload_changes_the_interval),
        T(a_reload_changes_the_bounds),
        T(tasks_run_one_after_the_other),
        T(commits_come_between_the_steps_of_a_task),
        T(the_last_cycle_commits_everything),
        T(after_the_end_requests_are_cancelled),
        T(the_pulse_is_the_time_until_which_it_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
