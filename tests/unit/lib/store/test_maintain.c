/*
 * Maintenance: building, pruning, dead levels, against a naive model.
 */
#include "tests/unit/lib/store/store_model.h"

static const struct ts_level *level_of(struct model *m, int width)
{
    const struct ts_levels *levels = ts_store_levels(m->store);
    for (size_t i = 0; i < levels->n; i++) {
        if (levels->items[i].width == width * S)
            return &levels->items[i];
    }
    return NULL;
}

static void nothing_to_do_writes_nothing(void **state)
{
    static const int retention[] = {10, 1000, 60, 5000, 0};
    struct model m;
    model_start(&m, *state, retention, 10000 * S, 1);
    model_add(&m, 999, 1, 1, 100);
    model_commit(&m);
    char wal[128];
    snprintf(wal, sizeof(wal), "%s-wal", m.f->path);
    struct bytes before = slurp(wal);
    struct ts_maintain_result result = model_maintain(&m, 10);
    struct bytes after = slurp(wal);
    assert_false(result.more);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    free(before.data);
    free(after.data);
    /* The times are stored if asked for. */
    struct ts_maintain_options options = {.horizon = 20 * S + m.horizon, .uptime = 77, .rows = 1, .save_times = true};
    assert_int_equal(ts_store_maintain(m.store, &options, &result, &m.f->error), 0);
    assert_false(result.more);
    expect_sql(m.f, "SELECT uptime, horizon FROM uptime", "77|10020000000000");
    options.uptime = 5; /* never back */
    options.horizon = S;
    assert_int_equal(ts_store_maintain(m.store, &options, &result, &m.f->error), 0);
    expect_sql(m.f, "SELECT uptime, horizon FROM uptime", "77|10020000000000");
    model_end(&m);
}

/* A level that the configuration adds later is built from the old rows, one row a step, while deltas arrive. */
static void builds_a_new_level(void **state)
{
    static const int one[] = {10, 100000, 0};
    static const int two[] = {10, 100000, 60, 200000, 0};
    struct model m;
    model_start(&m, *state, one, 10000 * S, 2);
    for (int i = 0; i < 60; i++)
        model_add(&m, 900 + i, 1 + i % 3, 1 + i % 4, i + 1);
    model_commit(&m);
    ts_store_close(m.store);
    model_open(&m, two);
    const struct ts_level *wide = level_of(&m, 60);
    assert_non_null(wide);
    assert_true(wide->source >= 0);
    int64_t completed = 0;
    uint64_t built = 0;
    int steps = 0;
    for (bool more = true; more; steps++) {
        assert_true(steps < 1000);
        struct ts_maintain_result result = model_maintain(&m, 1);
        more = result.more;
        assert_true(result.rows_built <= 1);
        built += result.rows_built;
        completed = result.completed_width ? result.completed_width : completed;
        model_expect_equal(&m);
        if (steps % 10 == 3) { /* before and after the row that building has reached */
            model_add(&m, 901 + steps, 1, 1, 1000);
            model_add(&m, 957, 2, 2, 2000);
            model_commit(&m);
            model_expect_equal(&m);
        }
    }
    assert_true(completed == 60 * S);
    assert_true(built >= 120);
    wide = level_of(&m, 60);
    assert_int_equal(wide->source, -1);
    /* Complete from its first bucket on: the model has compared all of it. */
    assert_int_equal(model_count(&m, "SELECT sum(cumtime) FROM s.sums WHERE level = %lld", wide->id),
                     model_count(&m, "SELECT sum(cumtime) FROM deltas"));
    model_end(&m);
}

/* A new longest level: at once it gets what level 0 has of the bucket that is not complete in level 0. */
static void a_new_longest_level_begins_with_part_of_a_bucket(void **state)
{
    static const int one[] = {10, 100, 0};
    static const int two[] = {10, 100, 60, 600, 0};
    struct model m;
    model_start(&m, *state, one, 30 * S, 5);
    for (int64_t bucket = -9; bucket < 3; bucket++)
        model_add(&m, bucket, 1, 1, 1000 + bucket);
    model_commit(&m);
    while (model_maintain(&m, 100).more)
        ;
    assert_int_equal(level_of(&m, 10)->since, -7);
    model_forget_pruned(&m);
    ts_store_close(m.store);
    model_open(&m, two);
    const struct ts_level *wide = level_of(&m, 60);
    assert_int_equal(wide->since, INT64_MIN);
    assert_int_equal(wide->built.bucket, -6);
    assert_int_equal(model_count(&m, "SELECT cumtime FROM s.sums WHERE level = %lld AND bucket = -2", wide->id), 993);
    assert_int_equal(model_count(&m, "SELECT count(*) FROM s.sums WHERE level = %lld", wide->id), 1);
    model_expect_equal(&m);
    model_add(&m, -8, 1, 1, 5); /* too old for level 0, but in the same bucket */
    model_commit(&m);
    model_expect_equal(&m);
    while (model_maintain(&m, 1).more)
        model_expect_equal(&m);
    model_expect_equal(&m);
    model_end(&m);
}

static void prunes_in_bounded_steps(void **state)
{
    static const int retention[] = {10, 100, 30, 1000, 0};
    struct model m;
    model_start(&m, *state, retention, 10000 * S, 3);
    for (int i = 0; i < 40; i++) {
        m.horizon = (10000 + 10 * i) * S;
        model_add(&m, 1000 + i, 1, 1 + i % 4, 7);
        model_add(&m, 1000 + i, 2, 1 + i % 4, 8);
        model_commit(&m);
    }
    bool longest = false;
    struct ts_maintain_result result;
    do {
        result = model_maintain(&m, 5);
        assert_true(result.rows_pruned <= 5);
        longest = longest || result.longest_pruned;
        model_expect_equal(&m);
    } while (result.more);
    assert_false(longest); /* only the finer level is old enough */
    int64_t first = ts_level_first_kept(ts_store_levels(m.store), level_of(&m, 10), m.horizon);
    assert_int_equal(model_count(&m, "SELECT count(*) FROM s.sums WHERE level = 0 AND bucket < %lld", first), 0);
    assert_int_equal(model_count(&m, "SELECT count(*) FROM s.profiles WHERE level = 0 AND bucket < %lld", first), 0);
    assert_int_equal(level_of(&m, 10)->since, first);
    assert_true(model_count(&m, "SELECT count(*) FROM s.sums WHERE level = 0") > 0);

    m.horizon += 5000 * S;
    do {
        result = model_maintain(&m, 5);
        longest = longest || result.longest_pruned;
    } while (result.more);
    assert_true(longest);
    assert_int_equal(model_count(&m, "SELECT (SELECT count(*) FROM s.sums) + (SELECT count(*) FROM s.profiles)"), 0);
    model_end(&m);
}

static void deletes_a_dead_level(void **state)
{
    static const int two[] = {10, 100000, 60, 100000, 0};
    static const int one[] = {10, 100000, 0};
    struct model m;
    model_start(&m, *state, two, 10000 * S, 4);
    for (int i = 0; i < 30; i++)
        model_add(&m, 900 + 10 * i, 1, 1, 5);
    model_commit(&m);
    long long id = level_of(&m, 60)->id;
    ts_store_close(m.store);
    model_open(&m, one);
    assert_true(model_count(&m, "SELECT count(*) FROM s.sums WHERE level = %lld", id) > 0);
    int steps = 0;
    while (model_maintain(&m, 4).more)
        assert_true(steps++ < 100);
    assert_true(steps > 5);
    assert_int_equal(model_count(&m,
                                 "SELECT (SELECT count(*) FROM s.sums WHERE level = %lld) + (SELECT count(*) FROM"
                                 " s.profiles WHERE level = %lld) + (SELECT count(*) FROM s.levels WHERE level = %lld)",
                                 id, id, id),
                     0);
    model_expect_equal(&m);
    model_end(&m);
}

/* A step that fails changes neither the file nor the levels in memory. */
static void failed_step_changes_nothing(void **state)
{
    static const int retention[] = {10, 100, 30, 1000, 0};
    struct model m;
    model_start(&m, *state, retention, 10000 * S, 5);
    model_add(&m, 1000, 1, 1, 7);
    model_commit(&m);
    m.horizon += 500 * S;
    sqlite3 *db = shell(m.f);
    execute(db, "CREATE TRIGGER bad BEFORE DELETE ON sums BEGIN SELECT RAISE(ABORT, 'test'); END");
    struct ts_levels before = *ts_store_levels(m.store);
    struct ts_maintain_options options = {.horizon = m.horizon, .rows = 5};
    struct ts_maintain_result result = {.rows_built = 99};
    assert_int_equal(ts_store_maintain(m.store, &options, &result, &m.f->error), TS_ESTORE);
    assert_non_null(strstr(m.f->error.message, "maintenance failed: test"));
    assert_int_equal(result.rows_built, 99);
    assert_memory_equal(&before, ts_store_levels(m.store), sizeof(before));
    model_expect_equal(&m);
    execute(db, "DROP TRIGGER bad");
    sqlite3_close(db);
    result = model_maintain(&m, 5);
    assert_int_equal(result.rows_pruned, 2);
    model_expect_equal(&m);
    model_end(&m);
}

/* Random commits, ages, steps and restarts. */
static void levels_agree(void **state)
{
    static const int retention[] = {10, 300, 30, 1500, 180, 20000, 0};
    struct model m;
    model_start(&m, *state, retention, 100000 * S, 6);
    for (int round = 0; round < 300; round++) {
        switch (model_random(&m, 6)) {
        case 0:
            m.horizon += (int64_t)model_random(&m, 400) * S;
            break;
        case 1:
            ts_store_close(m.store);
            model_open(&m, retention);
            break;
        case 2:
        case 3:
            model_maintain(&m, 1 + (uint32_t)model_random(&m, 8));
            break;
        default:
            for (uint64_t n = 1 + model_random(&m, 5); n; n--) {
                int64_t age = model_random(&m, 3) ? (int64_t)model_random(&m, 40) : (int64_t)model_random(&m, 1900);
                model_add(&m, m.horizon / (10 * S) - age, 1 + (uint32_t)model_random(&m, MODEL_LABEL_SETS),
                          1 + (uint32_t)model_random(&m, MODEL_LOCATIONS), (int64_t)model_random(&m, 1000) - 500);
            }
            model_commit(&m);
        }
        model_forget_pruned(&m);
        model_expect_equal(&m);
    }
    assert_true(model_count(&m, "SELECT count(*) FROM deltas") > 100);
    model_end(&m);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(nothing_to_do_writes_nothing),
        T(builds_a_new_level),
        T(a_new_longest_level_begins_with_part_of_a_bucket),
        T(prunes_in_bounded_steps),
        T(deletes_a_dead_level),
        T(failed_step_changes_nothing),
        T(levels_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
