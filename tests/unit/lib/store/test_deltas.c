/*
 * Deltas of one commit in levels of several widths.
 */
#include "tests/unit/lib/store/store_model.h"

static const int retention[] = {10, 100, 30, 1000, 0};

/* Many deltas meet in one row of a wider level, in an order that is not that of the wider level's keys. */
static void batch_spans_many_buckets(void **state)
{
    struct model m;
    model_start(&m, *state, retention, 0, 1);
    for (int i = 0; i < 2000; i++)
        model_add(&m, (int64_t)model_random(&m, 12) - 6, 1 + (uint32_t)model_random(&m, MODEL_LABEL_SETS),
                  1 + (uint32_t)model_random(&m, MODEL_LOCATIONS), (int64_t)model_random(&m, 100));
    model_commit(&m);
    model_expect_equal(&m);
    assert_int_equal(model_count(&m, "SELECT count(DISTINCT bucket) FROM s.sums WHERE level = 0"), 12);
    assert_int_equal(model_count(&m, "SELECT count(DISTINCT bucket) FROM s.sums WHERE level = 1"), 4);
    model_end(&m);
}

/* A delta that is too old for level 0, which still has rows of its time: it is added to the wider level only, and
   level 0 no longer counts as complete there. */
static void old_delta_moves_since(void **state)
{
    struct model m;
    model_start(&m, *state, retention, 10000 * S, 2);
    model_add(&m, 999, 1, 1, 5);
    model_commit(&m);
    m.horizon += 500 * S;
    model_add(&m, 999, 1, 1, 7);
    model_add(&m, 1049, 1, 1, 9);
    model_commit(&m);
    const struct ts_levels *levels = ts_store_levels(m.store);
    assert_true(levels->items[0].since > 999 && levels->items[0].since <= 1049);
    assert_int_equal(levels->items[0].since, ts_level_first_kept(levels, &levels->items[0], m.horizon));
    expect_sql(m.f, "SELECT level, bucket, cumtime FROM sums WHERE level < 2", "0|999|5\n0|1049|9\n1|333|12\n1|349|9");
    assert_int_equal(model_count(&m, "SELECT since FROM s.levels WHERE level = 0"), levels->items[0].since);
    model_expect_equal(&m);
    /* The longest level accepts deltas of any age. */
    m.horizon += 5000 * S;
    model_add(&m, 1000, 1, 1, 11);
    model_commit(&m);
    expect_sql(m.f, "SELECT cumtime FROM sums WHERE level = 1 AND bucket = 333", "23");
    model_end(&m);
}

/* If a commit fails after `since` has moved, it has not moved. */
static void failed_commit_moves_nothing(void **state)
{
    struct model m;
    model_start(&m, *state, retention, 10000 * S, 3);
    model_add(&m, 999, 1, 1, 5);
    model_commit(&m);
    struct ts_levels before = *ts_store_levels(m.store);
    sqlite3 *db = shell(m.f);
    execute(db, "CREATE TRIGGER bad BEFORE INSERT ON sums WHEN new.level = 1 BEGIN SELECT RAISE(ABORT, 'test'); END");
    add(m.f, 999, 1, 1, 7, 0, 0, 0);
    struct ts_store_batch batch = {.counters = &m.f->counters, .horizon = m.horizon + 500 * S};
    uint64_t saturated;
    assert_int_equal(ts_store_commit(m.store, &batch, &saturated, &m.f->error), TS_ESTORE);
    execute(db, "DROP TRIGGER bad");
    sqlite3_close(db);
    assert_memory_equal(&before, ts_store_levels(m.store), sizeof(before));
    model_expect_equal(&m);
    model_end(&m);
}

/* Deltas that overflow when they are added up for a wider level: its row stays at the bound, and is counted. */
static void sums_saturate_in_a_wider_level(void **state)
{
    struct model m;
    uint64_t saturated = 99;
    model_start(&m, *state, retention, 0, 4);
    model_add(&m, 0, 1, 1, 1); /* with the names */
    model_commit(&m);
    add(m.f, 3, 1, 1, INT64_MAX - 1, INT64_MIN + 1, 0, 0);
    add(m.f, 4, 1, 1, INT64_MAX - 1, INT64_MIN + 1, 0, 0);
    assert_int_equal(commit(m.f, m.store, NULL, 0, 0, &saturated), 0);
    assert_int_equal(saturated, 2 * (ts_store_levels(m.store)->n - 1));
    expect_sql(m.f,
               "SELECT cumtime = 9223372036854775806, tottime = -9223372036854775807 FROM sums WHERE bucket IN (3, 4)"
               " AND level = 0",
               "1|1\n1|1");
    expect_sql(m.f,
               "SELECT cumtime = 9223372036854775807, tottime < -9223372036854775807 FROM sums WHERE bucket = 1"
               " AND level = 1",
               "1|1");
    model_end(&m);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(batch_spans_many_buckets),
        T(old_delta_moves_since),
        T(failed_commit_moves_nothing),
        T(sums_saturate_in_a_wider_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
