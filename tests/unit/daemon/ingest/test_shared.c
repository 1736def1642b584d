/*
 * The memory limit and the commit budget, compared with the bytes that wait on all threads.
 */
#include "tests/unit/daemon/ingest/ingest_fixture.h"

static void the_parts_of_threads_and_writer_are_added(void **state)
{
    struct fixture *f = *state;
    f->shared.waiting_bytes = 500;
    tsd_set(&f->writer_waiting, 300);
    assert_int_equal(tsd_shared_waiting(&f->shared), 800);
}

static void over_the_limit_means_more_than_the_percentage(void **state)
{
    struct fixture *f = *state;
    f->shared.memory_limit = 1000;
    f->shared.waiting_bytes = 800;
    assert_false(tsd_shared_over_limit(&f->shared, 80));
    tsd_set(&f->writer_waiting, 1);
    assert_true(tsd_shared_over_limit(&f->shared, 80));
    assert_false(tsd_shared_over_limit(&f->shared, 81));
}

static void without_a_measured_budget_nothing_is_over_it(void **state)
{
    struct fixture *f = *state;
    f->shared.waiting_bytes = 1000 * 1000;
    assert_false(tsd_shared_over_budget(&f->shared, 1));
    f->shared.commit_budget = 1000 * 1000;
    assert_false(tsd_shared_over_budget(&f->shared, 100));
    assert_true(tsd_shared_over_budget(&f->shared, 99));
}

static void partial_lines_are_in_no_commit(void **state)
{
    struct fixture *f = *state;
    f->shared.commit_budget = 1000;
    f->shared.waiting_bytes = 1500;
    f->shared.partial_bytes = 600;
    assert_false(tsd_shared_over_budget(&f->shared, 100));
    f->shared.partial_bytes = 400;
    assert_true(tsd_shared_over_budget(&f->shared, 100));
    f->shared.partial_bytes = 2000; /* read a moment apart, they need not agree */
    assert_false(tsd_shared_over_budget(&f->shared, 100));
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_parts_of_threads_and_writer_are_added),
        T(over_the_limit_means_more_than_the_percentage),
        T(without_a_measured_budget_nothing_is_over_it),
        T(partial_lines_are_in_no_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
