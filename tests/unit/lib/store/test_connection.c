/*
 * The write-ahead log: how long it is, and when it can be emptied.
 */
#include "lib/store/reader.h"
#include "tests/unit/lib/store/store_model.h"

static const int retention[] = {10, 3000, 60, 100000, 0};

static off_t log_size(struct model *m)
{
    char name[160];
    struct stat st;
    snprintf(name, sizeof(name), "%s-wal", m->f->path);
    assert_int_equal(stat(name, &st), 0);
    return st.st_size;
}

static void commit_something(struct model *m)
{
    for (int i = 0; i < 100; i++)
        model_add(m, 9900 + i, 1, 1, i);
    model_commit(m);
}

static void an_unused_log_is_emptied(void **state)
{
    struct model m;
    bool emptied = false;
    model_start(&m, *state, retention, 100000 * S, 31);
    commit_something(&m);
    assert_true(ts_store_log_pages(m.store) > 0);
    assert_true(log_size(&m) > 0);
    assert_int_equal(ts_store_truncate_log(m.store, &emptied, &m.f->error), 0);
    assert_true(emptied);
    assert_int_equal(ts_store_log_pages(m.store), 0);
    assert_int_equal(log_size(&m), 0);
    model_end(&m);
}

/* Although the connection otherwise waits for locks. */
static void a_log_in_use_stays(void **state)
{
    struct model m;
    struct ts_reader *reader = NULL;
    bool emptied = true;
    model_start(&m, *state, retention, 100000 * S, 31);
    commit_something(&m);
    assert_int_equal(ts_reader_open(m.f->path, &reader, &m.f->error), 0);
    assert_int_equal(ts_reader_begin(reader), 0);
    commit_something(&m);
    assert_int_equal(ts_store_truncate_log(m.store, &emptied, &m.f->error), 0);
    assert_false(emptied);
    assert_true(ts_store_log_pages(m.store) > 0);
    ts_reader_end(reader);
    assert_int_equal(ts_store_truncate_log(m.store, &emptied, &m.f->error), 0);
    assert_true(emptied);
    ts_reader_close(reader);
    commit_something(&m);
    model_end(&m);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(an_unused_log_is_emptied),
        T(a_log_in_use_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
