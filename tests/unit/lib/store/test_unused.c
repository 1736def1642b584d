/*
 * Names that no row refers to.
 */
#include "lib/store/unused.h"
#include "tests/unit/failing_alloc.h"
#include "tests/unit/lib/store/store_model.h"

static const int retention[] = {10, 100, 60, 1000, 0};

/* "1 4 | 2": locations, then label sets. */
static char *text_of(const struct ts_unused *unused)
{
    static char text[256];
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < unused->n_locations; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%u ", unused->locations[i]);
    len += (size_t)snprintf(text + len, sizeof(text) - len, "|");
    for (size_t i = 0; i < unused->n_label_sets; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, " %u", unused->label_sets[i]);
    return text;
}

static void expect_unused(struct fixture *f, const char *expected)
{
    struct ts_reader *reader = NULL;
    struct ts_unused unused;
    assert_int_equal(ts_reader_open(f->path, &reader, &f->error), 0);
    assert_int_equal(ts_reader_unused(reader, &unused), 0);
    assert_string_equal(text_of(&unused), expected);
    ts_unused_deinit(&unused);
    ts_unused_deinit(&unused); /* twice is safe */
    ts_reader_close(reader);
}

static void names_without_rows(void **state)
{
    struct model m;
    model_start(&m, *state, retention, 10000 * S, 21);
    model_commit(&m);
    expect_unused(m.f, "1 2 3 4 | 1 2 3");
    add(m.f, 999, 2, 3, 0, 0, 0, 0); /* a row of zeros is a row */
    commit_ok(m.f, m.store, NULL, 0, 0);
    expect_unused(m.f, "1 2 4 | 1 3");
    add_profile(m.f, 999, 3, (struct ts_profile_sums){1, 0, 0, 0, 0}); /* a label set without sums */
    commit_ok(m.f, m.store, NULL, 0, 0);
    expect_unused(m.f, "1 2 4 | 1");
    /* Pruned at level 0, kept at a wider level. */
    m.horizon += 500 * S;
    while (model_maintain(&m, 10).more)
        ;
    expect_sql(m.f, "SELECT count(*) FROM sums WHERE level = 0", "0");
    expect_unused(m.f, "1 2 4 | 1");
    m.horizon += 5000 * S;
    while (model_maintain(&m, 10).more)
        ;
    expect_unused(m.f, "1 2 3 4 | 1 2 3");
    model_end(&m);
}

static void deleted_names_are_not_found_again(void **state)
{
    struct model m;
    model_start(&m, *state, retention, 10000 * S, 22);
    model_add(&m, 999, 1, 1, 5);
    model_commit(&m);
    const uint32_t locations[] = {2, 4};
    const uint32_t label_sets[] = {3};
    assert_int_equal(ts_store_delete_names(m.store, locations, 2, label_sets, 1, &m.f->error), 0);
    expect_unused(m.f, "3 | 2");
    expect_sql(m.f, "SELECT id FROM locations", "1\n3");
    model_end(&m);
}

static void each_allocation_fails_once(void **state)
{
    struct model m;
    model_start(&m, *state, retention, 10000 * S, 23);
    struct ts_location many[500];
    char names[500][16];
    for (int i = 0; i < 500; i++) {
        snprintf(names[i], sizeof(names[i]), "n%d", i);
        many[i] = name(names[i], NULL, -1);
    }
    model_add(&m, 999, 1, 1, 5);
    model_commit(&m);
    commit_ok(m.f, m.store, many, 500, MODEL_LOCATIONS + 1);
    struct ts_reader *reader = NULL;
    assert_int_equal(ts_reader_open(m.f->path, &reader, &m.f->error), 0);
    int failed = 0;
    for (int r = TS_ENOMEM; r; failed++) {
        struct ts_unused unused = {.n_locations = 77};
        assert_true(failed < 1000);
        alloc_fail_at = failed;
        r = ts_reader_unused(reader, &unused);
        alloc_fail_at = -1;
        if (r) {
            assert_int_equal(r, TS_ENOMEM);
            assert_int_equal(unused.n_locations, 77);
        } else {
            assert_int_equal(unused.n_locations, 503);
            assert_int_equal(unused.n_label_sets, 2);
            ts_unused_deinit(&unused);
        }
    }
    assert_true(failed > 3);
    ts_reader_close(reader);
    model_end(&m);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(names_without_rows),
        T(deleted_names_are_not_found_again),
        T(each_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
