/*
 * Flushes, queries and administrative tasks in their stages: what they include, that a client leaves, that the store
 * does not commit, that the daemon stops.
 */
#include "tests/unit/daemon/control/control_fixture.h"

static char text[1 << 20];

static void query_includes_what_was_sent_before_it(void **state)
{
    struct controlling *c = *state;
    for (int i = 1; i <= 10; i++) {
        char expected[64];
        assert_true(send_profile(c->f, (unsigned)i % THREADS, "f", 99990));
        assert_int_equal(request(c, false, "GET", "/v1/top?metric=ncalls", text, sizeof(text)), 200);
        snprintf(expected, sizeof(expected), "\"profiles\": %d", i);
        if (!strstr(text, expected))
            fail_msg("%s is missing in %s", expected, text);
    }
    /* Over TCP what is stored, unless asked otherwise. */
    assert_true(send_profile(c->f, 0, "f", 99990));
    WAIT_UNTIL(tsd_state_sum(&c->f->state, offsetof(struct tsd_stats, received)) == 11);
    assert_int_equal(request(c, true, "GET", "/v1/top", text, sizeof(text)), 200);
    assert_non_null(strstr(text, "\"profiles\": 10"));
    assert_int_equal(request(c, true, "GET", "/v1/top?fresh=true", text, sizeof(text)), 200);
    assert_non_null(strstr(text, "\"profiles\": 11"));
}

static void store_that_does_not_commit(void **state)
{
    struct controlling *c = *state;
    sqlite3 *lock = lock_database(c->f);
    assert_true(send_profile(c->f, 0, "f", 99990));
    assert_int_equal(request(c, false, "POST", "/v1/flush", text, sizeof(text)), 503);
    assert_non_null(strstr(text, "store_unavailable"));
    assert_non_null(strstr(text, "Retry-After: 1"));
    assert_int_equal(request(c, false, "GET", "/v1/top", text, sizeof(text)), 503);
    assert_non_null(strstr(text, "fresh=false"));
    assert_int_equal(request(c, false, "GET", "/v1/top?fresh=false", text, sizeof(text)), 200);
    assert_int_equal(request(c, false, "GET", "/healthz", text, sizeof(text)), 503);
    assert_int_equal(request(c, false, "GET", "/v1/status", text, sizeof(text)), 200);
    sqlite3_close(lock);
    WAIT_UNTIL(request(c, false, "POST", "/v1/flush", text, sizeof(text)) == 200);
    assert_int_equal(request(c, false, "GET", "/healthz", text, sizeof(text)), 200);
}

/* Clients that leave while their requests wait for a commit, run, or are a background task: later requests succeed. */
static void clients_that_leave(void **state)
{
    static const char *const targets[][2] = {{"POST", "/v1/flush"},
                                             {"GET", "/v1/top"},
                                             {"POST", "/v1/backup"},
                                             {"POST", "/v1/delete?function=*"},
                                             {"GET", "/v1/buckets?fresh=false"}};
    struct controlling *c = *state;
    for (int round = 0; round < 3; round++) {
        sqlite3 *lock = round ? NULL : lock_database(c->f); /* in the first round they wait */
        assert_true(send_profile(c->f, 0, "f", 99990));
        for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
            int fd = begin_request(c, false, targets[i][0], targets[i][1], "a");
            uv_sleep((unsigned)(round * 2));
            close(fd);
        }
        sqlite3_close(lock);
    }
    WAIT_UNTIL(request(c, false, "POST", "/v1/flush", text, sizeof(text)) == 200);
    WAIT_UNTIL(request(c, false, "POST", "/v1/backup", text, sizeof(text)) == 200); /* the task of who left has ended */
    assert_non_null(strstr(text, "application/vnd.sqlite3"));
}

/* Of two tasks that are requested together, one may be rejected; never both. */
static void one_task_at_a_time(void **state)
{
    struct controlling *c = *state;
    int busy = 0;
    for (int i = 0; i < 200 && !busy; i++) {
        assert_true(send_profile(c->f, 0, "f", 99990));
        int fds[] = {begin_request(c, false, "POST", "/v1/delete?function=f&dry_run=false", "a"),
                     begin_request(c, false, "POST", "/v1/backup", "a")};
        for (int k = 0; k < 2; k++) {
            int status = end_request(fds[k], text, sizeof(text));
            assert_true(status == 200 || (status == 503 && strstr(text, "\"busy\"")));
            busy += status == 503;
        }
        assert_true(busy < 2);
    }
    assert_int_equal(busy, 1);
    assert_int_equal(request(c, false, "POST", "/v1/delete?function=f&dry_run=false", text, sizeof(text)), 200);
    assert_int_equal(request(c, false, "GET", "/v1/functions", text, sizeof(text)), 200);
    assert_non_null(strstr(text, "{\"function\": \"f\", \"first_bucket\": null")); /* known, without data */
}

/* Requests in every stage get a response or the end of their connection, and nothing is left. */
static void stop_with_requests_in_every_stage(void **state)
{
    struct controlling *c = *state;
    sqlite3 *lock = lock_database(c->f);
    assert_true(send_profile(c->f, 0, "f", 99990));
    int waiting[] = {begin_request(c, false, "POST", "/v1/flush", "a"), begin_request(c, false, "GET", "/v1/top", "a"),
                     begin_request(c, false, "POST", "/v1/backup", "a"),
                     begin_request(c, true, "GET", "/v1/top", "localhost")};
    int silent = connect_control(c, false);
    uv_sleep(50);
    sqlite3_close(lock);
    close_control(c);
    for (size_t i = 0; i < sizeof(waiting) / sizeof(*waiting); i++) {
        int status = end_request(waiting[i], text, sizeof(text));
        assert_true(status == 200 || status == 503 || status == 0);
    }
    assert_int_equal(end_request(silent, text, sizeof(text)), 0);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, start_control, end_control)
    const struct CMUnitTest tests[] = {
        T(query_includes_what_was_sent_before_it),
        T(store_that_does_not_commit),
        T(clients_that_leave),
        T(one_task_at_a_time),
        T(stop_with_requests_in_every_stage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
