/*
 * One cycle of the writer, with real ingest threads and a real database: collect, merge, commit; a store that rejects
 * commits; clients that expire; new name tables.
 */
#include "daemon/write/cycle.h"

#include "tests/unit/daemon/daemon_fixture.h"

struct cycling {
    struct fixture *f;
    struct tsd_cycle cycle;
};

static int start(void **state)
{
    struct cycling *c = calloc(1, sizeof(*c));
    void *fixture;
    if (!c || setup(&fixture))
        return -1;
    c->f = fixture;
    open_store(c->f);
    for (unsigned i = 0; i < THREADS; i++)
        start_thread(c->f, i);
    c->f->state.n_threads = THREADS;
    c->cycle = (struct tsd_cycle){.store = c->f->store,
                                  .state = &c->f->state,
                                  .threads = c->f->threads,
                                  .n_threads = THREADS,
                                  .clients = &c->f->clients,
                                  .clock = &c->f->shared.limits.clock,
                                  .commit_budget = &c->f->shared.commit_budget};
    *state = c;
    return tsd_cycle_init(&c->cycle, 1000, 100);
}

static int end(void **state)
{
    struct cycling *c = *state;
    void *fixture = c->f;
    tsd_cycle_deinit(&c->cycle);
    free(c);
    return teardown(&fixture);
}

static int run(struct cycling *c)
{
    const struct tsd_cycle_options options = {.client_expiry = 3600 * S};
    return tsd_cycle_run(&c->cycle, &options);
}

static void a_cycle_commits_what_all_threads_have(void **state)
{
    struct cycling *c = *state;
    struct tsd_writer_stats *stats = &c->f->state.writer;
    for (unsigned i = 0; i < 10; i++)
        assert_true(send_profile(c->f, i % THREADS, "f", 99990));
    assert_int_equal(run(c), 0);
    assert_true(tsd_cycle_is_clean(&c->cycle));
    assert_int_equal(tsd_get(&stats->commits), 1);
    assert_int_equal(tsd_get(&stats->committed), 10);
    assert_int_equal(tsd_get(&stats->rows), 1); /* the same key on both threads */
    assert_int_equal(tsd_get(&stats->locations), 1);
    assert_int_equal(tsd_get(&stats->functions), 1);
    assert_int_equal(tsd_get(&stats->waiting_bytes), 0);
    assert_int_equal(query_integer(c->f, "SELECT cumtime FROM sums WHERE level = 0"), 10 * S);
    assert_int_equal(query_integer(c->f, "SELECT profiles FROM profiles WHERE level = 0"), 10);
    assert_int_equal(tsd_state_pending(&c->f->state), 0);
    assert_int_equal(run(c), 0); /* nothing to commit */
    assert_int_equal(tsd_get(&stats->commits), 1);
}

static void the_budget_of_a_commit_is_known_from_the_start(void **state)
{
    struct cycling *c = *state;
    assert_true(c->f->shared.commit_budget > 1000 * 1000);
}

/* Rejected data stays pending, and is committed once, together with data collected later. */
static void a_rejected_commit_is_retried(void **state)
{
    struct cycling *c = *state;
    char message[512];
    sqlite3 *lock = lock_database(c->f);
    assert_true(send_profile(c->f, 0, "f", 99990));
    assert_int_equal(run(c), TS_ESTORE);
    int64_t pause = c->cycle.retry_pause;
    assert_true(pause > 0);
    tsd_state_store_error(&c->f->state, message, sizeof(message));
    assert_true(message[0]);
    assert_int_equal(tsd_get(&c->f->state.writer.commits_failed), 1);
    assert_false(tsd_cycle_is_clean(&c->cycle));
    assert_true(tsd_get(&c->f->state.writer.waiting_bytes) > 0);
    assert_true(send_profile(c->f, 1, "f", 99990));
    assert_int_equal(run(c), TS_ESTORE);
    assert_int_equal(c->cycle.retry_pause, 2 * pause);
    for (int i = 0; i < 6; i++)
        assert_int_equal(run(c), TS_ESTORE);
    assert_true(c->cycle.retry_pause == 2 * S); /* no longer */
    sqlite3_close(lock);
    assert_int_equal(run(c), 0);
    assert_int_equal(c->cycle.retry_pause, 0);
    tsd_state_store_error(&c->f->state, message, sizeof(message));
    assert_string_equal(message, "");
    assert_int_equal(query_integer(c->f, "SELECT cumtime FROM sums"), 2 * S);
    assert_int_equal(tsd_get(&c->f->state.writer.waiting_bytes), 0);
}

static void marks_are_stored_with_the_sums(void **state)
{
    struct cycling *c = *state;
    char line[256];
    int fd = connect_stream(c->f, 1);
    write_text(fd, "{\"hello\": {\"protocol\": 1, \"client\": \"c1\"}}\n");
    expect_line(fd, "{\"hello\": {\"protocol\": 1, \"last_seq\": 0, \"max_message\": 100000}}");
    profile_text(line, sizeof(line) - 1, "f", 99990, "\"seq\": 1, ");
    write_text(fd, strcat(line, "\n"));
    assert_int_equal(run(c), 0);
    expect_line(fd, "{\"ack\": 1}");
    assert_int_equal(query_integer(c->f, "SELECT last_seq FROM clients WHERE client = 'c1'"), 1);
    assert_int_equal(query_integer(c->f, "SELECT cumtime FROM sums"), S);
    close(fd);
    WAIT_UNTIL(c->f->shared.connections == 0);
    assert_int_equal(run(c), 0); /* the mark of its end */
}

static void idle_clients_are_deleted(void **state)
{
    struct cycling *c = *state;
    assert_int_equal(tsd_clients_load(&c->f->clients, (struct ts_str){"old", 3}, 7, 0), 0);
    c->f->clients.previous_uptime = 1000 * S;
    const struct tsd_cycle_options options = {.client_expiry = 500 * S};
    assert_int_equal(tsd_cycle_run(&c->cycle, &options), 0);
    assert_int_equal(atomic_load(&c->f->clients.n), 0);
    assert_int_equal(tsd_get(&c->f->state.writer.clients), 0);
}

static void renewing_replaces_the_tables_of_all_threads(void **state)
{
    struct cycling *c = *state;
    assert_true(send_profile(c->f, 0, "a", 99990));
    assert_true(send_profile(c->f, 1, "b", 99990));
    assert_int_equal(run(c), 0);
    assert_false(tsd_cycle_is_renewed(&c->cycle)); /* the threads would use their numbers again */
    const struct tsd_cycle_options renew = {.renew = true, .client_expiry = 3600 * S};
    assert_int_equal(tsd_cycle_run(&c->cycle, &renew), 0);
    assert_true(tsd_cycle_is_renewed(&c->cycle));
    assert_true(send_profile(c->f, 0, "b", 99990));
    assert_int_equal(run(c), 0);
    assert_int_equal(query_integer(c->f, "SELECT count(*) FROM locations"), 2);
    assert_int_equal(query_integer(c->f, "SELECT max(cumtime) FROM sums"), 2 * S);
}

static void stored_names_are_loaded(void **state)
{
    struct cycling *c = *state;
    assert_true(send_profile(c->f, 0, "a", 99990));
    assert_int_equal(run(c), 0);
    tsd_cycle_deinit(&c->cycle);
    assert_int_equal(tsd_cycle_init(&c->cycle, 1000, 100), 0);
    assert_int_equal(c->cycle.pending.locations.known.table.n, 1);
    assert_int_equal(c->cycle.pending.locations.next, 2);
    assert_int_equal(c->cycle.pending.label_sets.known.table.n, 1);
    assert_int_equal(tsd_pending_bytes(&c->cycle.pending), 0);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, start, end)
    const struct CMUnitTest tests[] = {
        T(a_cycle_commits_what_all_threads_have),
        T(the_budget_of_a_commit_is_known_from_the_start),
        T(a_rejected_commit_is_retried),
        T(marks_are_stored_with_the_sums),
        T(idle_clients_are_deleted),
        T(renewing_replaces_the_tables_of_all_threads),
        T(stored_names_are_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
