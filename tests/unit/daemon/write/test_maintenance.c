/*
 * Background maintenance: its steps and their pauses, tasks, errors; names that lose their last row.
 */
#include "daemon/write/maintenance.h"

#include "daemon/base/clock.h"
#include "daemon/write/cycle.h"
#include "tests/unit/daemon/daemon_fixture.h"

struct maintaining {
    struct fixture *f;
    struct tsd_cycle cycle;
    struct tsd_maintenance maintenance;
    int64_t horizon;
};

/* One thread; level 0 is the only one, and kept for 100 s. */
static int start(void **state)
{
    struct maintaining *m = calloc(1, sizeof(*m));
    void *fixture;
    if (!m || setup(&fixture))
        return -1;
    m->f = fixture;
    m->f->retention[0].keep = 100 * S;
    m->horizon = 100000 * S;
    open_store(m->f);
    start_thread(m->f, 0);
    m->f->state.n_threads = 1;
    m->f->state.n_levels = 1;
    m->f->state.levels[0] = (struct tsd_level_stats){.width = 10 * S, .keep = 100 * S};
    m->cycle = (struct tsd_cycle){.store = m->f->store,
                                  .state = &m->f->state,
                                  .threads = m->f->threads,
                                  .n_threads = 1,
                                  .clients = &m->f->clients,
                                  .clock = &m->f->shared.limits.clock,
                                  .commit_budget = &m->f->shared.commit_budget};
    if (tsd_cycle_init(&m->cycle, 1000, 100))
        return -1;
    tsd_maintenance_init(&m->maintenance, m->f->store, &m->f->state, &m->cycle.pending);
    *state = m;
    return 0;
}

static int end(void **state)
{
    struct maintaining *m = *state;
    void *fixture = m->f;
    tsd_maintenance_deinit(&m->maintenance);
    tsd_maintenance_deinit(&m->maintenance);
    tsd_cycle_deinit(&m->cycle);
    free(m);
    return teardown(&fixture);
}

static void commit(struct maintaining *m, const char *name, int64_t seconds)
{
    const struct tsd_cycle_options options = {.renew = tsd_sweep_wants_renewal(&m->maintenance.sweep),
                                              .client_expiry = 3600 * S};
    if (name)
        assert_true(send_profile(m->f, 0, name, seconds));
    assert_int_equal(tsd_cycle_run(&m->cycle, &options), 0);
    if (options.renew && tsd_cycle_is_renewed(&m->cycle))
        tsd_sweep_tables_renewed(&m->maintenance.sweep);
}

static int step(struct maintaining *m)
{
    bool done;
    int status;
    return tsd_maintenance_step(&m->maintenance, NULL, m->horizon, S, &done, &status);
}

/* Steps until nothing is left but the sweep of names. */
static void prune_all(struct maintaining *m)
{
    int64_t before = -1;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(step(m), 0);
        int64_t rows = query_integer(m->f, "SELECT (SELECT count(*) FROM sums) + (SELECT count(*) FROM profiles)");
        if (rows == before)
            return;
        before = rows;
    }
    fail();
}

/* ---- Steps ---- */

static void old_rows_are_pruned_and_the_oldest_is_published(void **state)
{
    struct maintaining *m = *state;
    commit(m, "old", 99910);
    commit(m, "new", 99990);
    assert_int_equal(step(m), 0);
    assert_int_equal(query_integer(m->f, "SELECT count(*) FROM sums"), 2);
    assert_int_equal((int64_t)tsd_get(&m->f->state.levels[0].oldest), 99910 * S);
    m->horizon = 100050 * S;
    prune_all(m);
    assert_int_equal(query_integer(m->f, "SELECT count(*) FROM sums"), 1);
    assert_int_equal(tsd_get(&m->f->state.writer.rows_pruned), 2); /* a sum and a profile */
    WAIT_UNTIL(!step(m) && (int64_t)tsd_get(&m->f->state.levels[0].oldest) == 99990 * S);
}

static void without_work_the_next_step_is_a_second_away(void **state)
{
    struct maintaining *m = *state;
    int64_t now = tsd_clock_mono();
    assert_int_equal(step(m), 0);
    assert_true(m->maintenance.due >= now + S);
}

static void a_failed_step_is_retried(void **state)
{
    struct maintaining *m = *state;
    commit(m, "old", 99910);
    m->horizon = 100100 * S;
    sqlite3 *lock = lock_database(m->f);
    assert_int_equal(step(m), 0); /* not fatal */
    assert_true(m->maintenance.failing);
    assert_int_equal(step(m), 0);
    sqlite3_close(lock);
    prune_all(m);
    assert_false(m->maintenance.failing);
    assert_int_equal(query_integer(m->f, "SELECT count(*) FROM sums"), 0);
}

static void the_number_of_rows_follows_the_time_of_a_step(void **state)
{
    struct maintaining *m = *state;
    for (int i = 0; i < 30; i++) /* one commit, so that there is something to prune in many steps */
        assert_true(send_profile(m->f, 0, (char[]){(char)('a' + i % 26), 0}, 99910 + i));
    commit(m, NULL, 0);
    m->maintenance.rows = 64;
    m->horizon = 100200 * S;
    assert_int_equal(step(m), 0);
    assert_in_range(m->maintenance.rows, 64, 128); /* a fast step doubles them, a slow one cannot halve the least */
    m->maintenance.rows = 8192;
    prune_all(m);
    assert_true(m->maintenance.rows <= 8192);
}

static void times_are_saved_at_the_end(void **state)
{
    struct maintaining *m = *state;
    tsd_maintenance_save_times(&m->maintenance, 100001 * S, 77);
    assert_int_equal(query_integer(m->f, "SELECT horizon FROM uptime"), 100001 * S);
    assert_int_equal(query_integer(m->f, "SELECT uptime FROM uptime"), 77);
}

/* ---- Tasks ---- */

static int task_step(struct tsd_task *task, struct ts_store *store, bool *ret_more)
{
    int *left = task->data;
    (void)store;
    *ret_more = --*left > 0;
    return *left < 0 ? TS_ESYNC : 0;
}

static void a_task_has_steps_until_it_is_done(void **state)
{
    struct maintaining *m = *state;
    int left = 3;
    struct tsd_task task = {.data = &left, .step = task_step};
    bool done = false;
    int status = 99;
    int steps = 0;
    while (!done && steps++ < 10)
        assert_int_equal(tsd_maintenance_step(&m->maintenance, &task, m->horizon, S, &done, &status), 0);
    assert_int_equal(steps, 3);
    assert_int_equal(status, 0);
    left = 0; /* the next step fails to sync: fatal */
    assert_int_equal(tsd_maintenance_step(&m->maintenance, &task, m->horizon, S, &done, &status), TS_ESYNC);
    assert_true(done);
    assert_int_equal(status, TS_ESYNC);
}

/* ---- The sweep of names ---- */

static enum tsd_sweep_state sweep_until(struct maintaining *m, enum tsd_sweep_state wanted)
{
    for (int i = 0; i < PATIENCE_MS && m->maintenance.sweep.state != wanted; i++) {
        assert_int_equal(step(m), 0);
        uv_sleep(1);
    }
    return m->maintenance.sweep.state;
}

/* Nothing refers to "old" any more. The next scan may begin at once. */
static void lose_rows(struct maintaining *m)
{
    commit(m, "old", 99910);
    commit(m, "new", 99990);
    m->horizon = 100050 * S;
    prune_all(m);
    assert_int_equal(query_integer(m->f, "SELECT count(*) FROM locations"), 2);
    if (m->maintenance.sweep.state == TSD_SWEEP_IDLE) {
        tsd_sweep_request(&m->maintenance.sweep);
        m->maintenance.sweep.scanned -= 3600 * S;
    }
}

static void a_name_without_rows_is_deleted(void **state)
{
    struct maintaining *m = *state;
    lose_rows(m);
    assert_int_equal(sweep_until(m, TSD_SWEEP_RENEWING), TSD_SWEEP_RENEWING);
    assert_true(tsd_sweep_wants_renewal(&m->maintenance.sweep));
    assert_int_equal(query_integer(m->f, "SELECT count(*) FROM locations"), 2); /* threads still know its number */
    commit(m, NULL, 0);
    assert_int_equal(m->maintenance.sweep.state, TSD_SWEEP_DELETING);
    assert_int_equal(m->cycle.pending.locations.known.table.n, 1);
    assert_int_equal(sweep_until(m, TSD_SWEEP_IDLE), TSD_SWEEP_IDLE);
    assert_int_equal(query_integer(m->f, "SELECT count(*) FROM locations"), 1);
    assert_int_equal(m->cycle.pending.locations.not_held, 0);
    commit(m, "old", 99990); /* a new number: numbers are not used twice */
    assert_int_equal(query_integer(m->f, "SELECT id FROM locations WHERE raw_name = 'old'"), 3);
}

static void a_name_used_since_the_scan_is_kept(void **state)
{
    struct maintaining *m = *state;
    lose_rows(m);
    assert_int_equal(sweep_until(m, TSD_SWEEP_RENEWING), TSD_SWEEP_RENEWING);
    commit(m, "old", 99990); /* by the cycle that renews the tables */
    assert_int_equal(sweep_until(m, TSD_SWEEP_IDLE), TSD_SWEEP_IDLE);
    assert_int_equal(query_integer(m->f, "SELECT count(*) FROM locations"), 2);
    assert_int_equal(query_integer(m->f, "SELECT count(*) FROM sums JOIN locations ON location = id"), 2);
}

static void a_name_that_returns_before_it_is_deleted_is_kept(void **state)
{
    struct maintaining *m = *state;
    lose_rows(m);
    assert_int_equal(sweep_until(m, TSD_SWEEP_RENEWING), TSD_SWEEP_RENEWING);
    commit(m, NULL, 0);
    assert_int_equal(m->maintenance.sweep.state, TSD_SWEEP_DELETING);
    commit(m, "old", 99990); /* found in the store by its text */
    assert_int_equal(sweep_until(m, TSD_SWEEP_IDLE), TSD_SWEEP_IDLE);
    assert_int_equal(query_integer(m->f, "SELECT id FROM locations WHERE raw_name = 'old'"), 1);
    assert_int_equal(query_integer(m->f, "SELECT count(*) FROM sums JOIN locations ON location = id"), 2);
    assert_int_equal(m->cycle.pending.locations.not_held, 0);
}

static void a_scan_that_runs_is_ended(void **state)
{
    struct maintaining *m = *state;
    lose_rows(m);
    sweep_until(m, TSD_SWEEP_SCANNING); /* or it has ended by now: deinit must work in any state */
}

static void a_full_table_makes_room_for_what_level_0_has(void **state)
{
    struct maintaining *m = *state;
    m->cycle.pending.locations.known.max = 2;
    lose_rows(m);
    m->maintenance.sweep.requested = false;
    if (m->maintenance.sweep.state == TSD_SWEEP_SCANNING)
        sweep_until(m, TSD_SWEEP_RENEWING);
    if (m->maintenance.sweep.state == TSD_SWEEP_IDLE)
        m->maintenance.sweep.renewed -= 3600 * S;
    commit(m, NULL, 0); /* the threads replace their tables */
    assert_int_equal(m->cycle.pending.locations.known.table.n, 1);
    commit(m, "next", 99990);
    assert_int_equal(query_integer(m->f, "SELECT count(*) FROM locations WHERE raw_name = 'next'"), 1);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, start, end)
    const struct CMUnitTest tests[] = {
        T(old_rows_are_pruned_and_the_oldest_is_published),
        T(without_work_the_next_step_is_a_second_away),
        T(a_failed_step_is_retried),
        T(the_number_of_rows_follows_the_time_of_a_step),
        T(times_are_saved_at_the_end),
        T(a_task_has_steps_until_it_is_done),
        T(a_name_without_rows_is_deleted),
        T(a_name_used_since_the_scan_is_kept),
        T(a_name_that_returns_before_it_is_deleted_is_kept),
        T(a_scan_that_runs_is_ended),
        T(a_full_table_makes_room_for_what_level_0_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
