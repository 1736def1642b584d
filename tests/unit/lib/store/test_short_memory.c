/*
 * Every allocation of a deletion, of maintenance, of a copy and of its regridding fails once, SQLite's too: the error
 * is reported, nothing is lost, and the next attempt succeeds.
 */
#include "lib/store/copy.h"
#include "lib/store/delete.h"
#include "tests/unit/failing_sqlite.h"
#include "tests/unit/lib/store/store_model.h"

static const int retention[] = {10, 300, 30, 1500, 180, 20000, 0};

static void fill(struct model *m)
{
    for (int i = 0; i < 60; i++)
        model_add(m, m->horizon / (10 * S) - (int64_t)model_random(m, 60), 1 + (uint32_t)model_random(m, 3),
                  1 + (uint32_t)model_random(m, 4), (int64_t)model_random(m, 1000) - 500);
    model_commit(m);
}

static int delete_all(struct model *m)
{
    static const uint32_t locations[] = {1, 2, 3, 4};
    static const uint32_t functions[] = {0, 0, 1, 2};
    static const uint32_t label_sets[] = {1, 2, 3};
    struct ts_deletion_selection selection = {.from = 9900,
                                              .to = 10080,
                                              .locations = locations,
                                              .functions = functions,
                                              .n_locations = 4,
                                              .n_functions = 3,
                                              .label_sets = label_sets,
                                              .n_label_sets = 3,
                                              .profiles = true};
    struct ts_deletion *deletion = NULL;
    bool more = true;
    int r = ts_deletion_new(&selection, &deletion);
    while (!r && more)
        r = ts_deletion_step(deletion, m->store, 40, &more, &m->f->error);
    ts_deletion_free(deletion);
    return r;
}

static void deletion(void **state)
{
    struct model m;
    model_start(&m, *state, retention, 100000 * S, 41);
    bool failed = true;
    int n = 0;
    for (; failed; n++) {
        assert_true(n < 5000);
        fill(&m);
        alloc_fail_at = n;
        int r = delete_all(&m);
        failed = alloc_fail_at < 0;
        alloc_fail_at = -1;
        assert_true(r == 0 || r == TS_ENOMEM || r == TS_ESTORE);
        if (r == TS_ESTORE && !strstr(m.f->error.message, "memory"))
            fail_msg("allocation %d: %s", n, m.f->error.message);
        if (r)
            assert_int_equal(delete_all(&m), 0);
        model_execute(&m, "DELETE FROM deltas WHERE position >= 9900; DELETE FROM heads WHERE position >= 9900");
        model_expect_equal(&m);
    }
    assert_true(n > 10);
    model_end(&m);
}

static void maintenance(void **state)
{
    static const int short_retention[] = {10, 200, 30, 900, 0};
    struct model m;
    model_start(&m, *state, short_retention, 100000 * S, 42);
    bool failed = true;
    int n = 0;
    for (; failed; n++) {
        assert_true(n < 5000);
        fill(&m);
        m.horizon += 100 * S; /* rows to prune, and buckets to build */
        struct ts_maintain_options options = {.horizon = m.horizon, .rows = 30};
        struct ts_maintain_result result = {.more = true};
        int r = 0;
        alloc_fail_at = n;
        while (!r && result.more)
            r = ts_store_maintain(m.store, &options, &result, &m.f->error);
        failed = alloc_fail_at < 0;
        alloc_fail_at = -1;
        assert_true(r == 0 || r == TS_ENOMEM || r == TS_ESTORE);
        while (model_maintain(&m, 30).more)
            ;
        model_forget_pruned(&m);
        model_expect_equal(&m);
    }
    assert_true(n > 5);
    model_end(&m);
}

static int copy_and_regrid(struct model *m)
{
    struct ts_copy *copy = NULL;
    bool more = true;
    int64_t len;
    int fd = -1;
    int r = ts_copy_start(m->store, &copy, &m->f->error);
    while (!r && more)
        r = ts_copy_step(copy, 5, &more, &m->f->error);
    if (!r)
        r = ts_copy_regrid(copy, 30 * S, &m->f->error);
    if (!r)
        r = ts_copy_open(copy, &fd, &len, &m->f->error);
    if (!r)
        close(fd);
    ts_copy_free(copy);
    return r;
}

static void copies(void **state)
{
    struct model m;
    model_start(&m, *state, retention, 100000 * S, 43);
    fill(&m);
    bool failed = true;
    int n = 0;
    for (; failed; n++) {
        assert_true(n < 20000);
        alloc_fail_at = n;
        int r = copy_and_regrid(&m);
        failed = alloc_fail_at < 0;
        alloc_fail_at = -1;
        assert_true(r == 0 || r == TS_ENOMEM || r == TS_ESTORE);
        assert_int_equal(count_temporaries(m.f), 0);
    }
    assert_true(n > 50);
    assert_int_equal(copy_and_regrid(&m), 0);
    model_expect_equal(&m);
    model_end(&m);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {T(deletion), T(maintenance), T(copies)};
    alloc_fail_once = true;
    fail_sqlite_too();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
