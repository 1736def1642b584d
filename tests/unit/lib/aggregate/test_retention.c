/*
 * Levels of a new database, and levels adapted to another retention: which are kept, built, retired, extended, and the
 * calls of the store. Random histories are in test_history.c.
 */
#include "lib/aggregate/retention.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <string.h>

#define S TS_NS_PER_S
#define SLICE (10 * S)
#define NOW (1000 * SLICE + 5 * S)
#define HOUR (3600 * S)
#define DAY (24 * HOUR)

static const struct ts_grid grid = {.start_time = 0, .time_slice = SLICE};

/* ---- A store that records the calls ---- */

static struct {
    int64_t last; /* bucket of level 0 with the last row; INT64_MIN: there are no rows */
    char calls[512];
    char messages[1024];
} store;

static int64_t last_bucket(void *data, const struct ts_level *level)
{
    (void)data;
    return store.last == INT64_MIN ? INT64_MIN : ts_level_bucket(level, store.last);
}

static void on_log(void *data, const char *message)
{
    (void)data;
    size_t len = strlen(store.messages);
    snprintf(store.messages + len, sizeof(store.messages) - len, "%s\n", message);
}

static void purge(void *data, const struct ts_level *level)
{
    (void)data;
    size_t len = strlen(store.calls);
    snprintf(store.calls + len, sizeof(store.calls) - len, "purge %lld before %lld;", (long long)level->id,
             (long long)level->since);
}

static void copy(void *data, const struct ts_level *level, const struct ts_level *source, int64_t from, int64_t to)
{
    (void)data;
    size_t len = strlen(store.calls);
    assert_true(from < to && level->ratio % source->ratio == 0);
    snprintf(store.calls + len, sizeof(store.calls) - len, "copy %lld to %lld, %lld to %lld;", (long long)source->id,
             (long long)level->id, (long long)from, (long long)to);
}

/* Pairs of width and keep, in seconds; 0 ends the list. */
static size_t parse(const int *seconds, struct ts_retention *ret_retention)
{
    size_t n = 0;
    for (; *seconds; seconds += 2)
        ret_retention[n++] = (struct ts_retention){seconds[0] * S, seconds[1] * S};
    return n;
}

static void make(struct ts_levels *levels, const int *seconds)
{
    struct ts_retention retention[TS_RETENTION_MAX];
    memset(&store, 0, sizeof(store));
    store.last = 999;
    assert_int_equal(ts_levels_make(levels, &grid, retention, parse(seconds, retention), NOW), 0);
}

static bool adapt(struct ts_levels *levels, const int *seconds)
{
    const struct ts_levels_callbacks callbacks = {last_bucket, on_log, purge, copy, NULL};
    struct ts_retention retention[TS_RETENTION_MAX];
    bool changed;
    store.calls[0] = store.messages[0] = '\0';
    assert_int_equal(ts_levels_adapt(levels, retention, parse(seconds, retention), NOW, &callbacks, &changed), 0);
    return changed;
}

static struct ts_level *of_width(struct ts_levels *levels, int64_t seconds)
{
    for (size_t i = 0; i < levels->n; i++) {
        if (levels->items[i].width == seconds * S && levels->items[i].kind != TS_LEVEL_DEAD)
            return &levels->items[i];
    }
    return NULL;
}

static enum ts_level_kind kind_of(struct ts_levels *levels, int64_t id)
{
    const struct ts_level *level = ts_levels_find(levels, id);
    return level ? level->kind : TS_LEVEL_DEAD;
}

#define RETENTION(...) ((const int[]){__VA_ARGS__, 0})

/* ---- A new database ---- */

static void a_new_database_has_the_configured_levels_without_a_source(void **state)
{
    (void)state;
    struct ts_levels levels;
    make(&levels, RETENTION(10, 100, 20, 200, 60, 600));
    assert_int_equal(levels.n, 3); /* 10 min are too short for an internal level of an hour */
    for (size_t i = 0; i < 3; i++) {
        const struct ts_level *level = &levels.items[i];
        assert_int_equal(level->id, i);
        assert_int_equal(level->kind, TS_LEVEL_CONFIGURED);
        assert_int_equal(level->since, INT64_MIN);
        assert_int_equal(level->source, -1);
    }
}

static void internal_levels_are_multiples_and_fit_twice(void **state)
{
    (void)state;
    struct ts_levels levels;
    make(&levels, RETENTION(10, 100, 420, 30 * 86400)); /* 7 min: an hour is rounded up to 63 min */
    static const int64_t widths[] = {10, 420, 63 * 60, 23 * 63 * 60, 4 * 23 * 63 * 60};
    assert_int_equal(levels.n, 5); /* 32 days would not fit twice */
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(levels.items[i].width, widths[i] * S);
        assert_int_equal(levels.items[i].kind, i < 2 ? TS_LEVEL_CONFIGURED : TS_LEVEL_INTERNAL);
        assert_int_equal(levels.items[i].source, i < 2 ? -1 : levels.items[i - 1].id);
    }
    /* Empty, so built up to now: late data is added directly. */
    assert_int_equal(of_width(&levels, 63 * 60)->built.bucket, NOW / (420 * S));
}

/* ---- Another retention ---- */

static void the_same_retention_changes_nothing(void **state)
{
    (void)state;
    struct ts_levels levels;
    make(&levels, RETENTION(10, 100, 60, 86400));
    assert_false(adapt(&levels, RETENTION(10, 100, 60, 86400)));
    assert_string_equal(store.calls, "");
    assert_string_equal(store.messages, "");
}

static void a_new_level_is_built_from_the_one_that_reaches_back_furthest(void **state)
{
    (void)state;
    struct ts_levels levels;
    make(&levels, RETENTION(10, 100, 20, 340));
    levels.items[0].since = 991;
    levels.items[1].since = 482;
    store.last = 1002; /* from the future */
    assert_true(adapt(&levels, RETENTION(10, 100, 20, 340, 60, 340)));
    const struct ts_level *level = of_width(&levels, 60);
    assert_int_equal(level->source, 1);
    assert_int_equal(level->since, 161); /* position 966, and older buckets are too old */
    assert_int_equal(level->built.bucket, 483);
    assert_int_equal(level->live, 1002 / 6 + 1);
    assert_string_equal(store.messages,
                        "retention: building buckets of 1m, kept for 340s, from those of 20s in the background\n");
}

static void a_new_level_without_rows_to_build_it_from_is_complete(void **state)
{
    (void)state;
    struct ts_levels levels;
    make(&levels, RETENTION(10, 100));
    levels.items[0].since = 991;
    store.last = INT64_MIN;
    adapt(&levels, RETENTION(10, 100, 20, 200));
    assert_int_equal(of_width(&levels, 20)->source, -1);
    assert_int_equal(of_width(&levels, 20)->since, INT64_MIN); /* accepts late data from now on */
    assert_string_equal(store.messages, "retention: buckets of 20s are now kept for 200s\n");
}

static void a_level_retires_if_others_are_built_from_it_else_it_is_dead(void **state)
{
    (void)state;
    struct ts_levels levels;
    make(&levels, RETENTION(10, 100, 20, 200, 50, 500));
    levels.items[0].since = 991;
    adapt(&levels, RETENTION(10, 100, 60, 600)); /* 60 s are a multiple of 20 s, not of 50 s */
    assert_int_equal(kind_of(&levels, 1), TS_LEVEL_RETIRING);
    assert_int_equal(kind_of(&levels, 2), TS_LEVEL_DEAD);
    assert_int_equal(of_width(&levels, 60)->source, 1);
    assert_int_equal(levels.items[levels.n - 1].id, 2); /* dead levels are last */
    adapt(&levels, RETENTION(10, 100, 20, 200));        /* configured once more */
    assert_int_equal(kind_of(&levels, 1), TS_LEVEL_CONFIGURED);
    assert_int_equal(kind_of(&levels, 3), TS_LEVEL_DEAD);
}

static void an_internal_level_that_is_configured_is_built_again(void **state)
{
    (void)state;
    struct ts_levels levels;
    make(&levels, RETENTION(10, 86400));
    int64_t internal = of_width(&levels, 3600)->id;
    assert_int_equal(kind_of(&levels, internal), TS_LEVEL_INTERNAL);
    adapt(&levels, RETENTION(10, 86400, 3600, 86400));
    assert_int_equal(kind_of(&levels, internal), TS_LEVEL_DEAD);
    assert_int_equal(of_width(&levels, 3600)->kind, TS_LEVEL_CONFIGURED);
    assert_int_equal(of_width(&levels, 3600)->source, 0);
}

/* ---- The longest level ---- */

/* Level 0 loses nothing, even if it begins within a bucket of the level that becomes the longest. */
static void extending_the_longest_level_takes_nothing_from_finer_ones(void **state)
{
    (void)state;
    struct ts_levels levels;
    make(&levels, RETENTION(10, 10, 20, 20));
    levels.items[0].since = 1000; /* the row before was pruned */
    store.last = INT64_MIN;
    adapt(&levels, RETENTION(10, 10, 30, 30, 60, 60));
    assert_int_equal(of_width(&levels, 30)->since, 334); /* position 1002 */
    adapt(&levels, RETENTION(10, 10, 30, 30));
    assert_int_equal(of_width(&levels, 30)->since, INT64_MIN);
    assert_int_equal(levels.items[0].since, 1000);
    assert_string_equal(store.calls, "purge 2 before 334;copy 0 to 2, 1000 to 1002;");
}

/* The 30 s were the longest level and have late data that the 10 s do not keep; they are still being built. */
static void a_new_longest_level_gets_late_data_of_one_that_is_being_built(void **state)
{
    (void)state;
    struct ts_levels levels;
    make(&levels, RETENTION(10, 100));
    levels.items[0].since = 991;
    adapt(&levels, RETENTION(10, 100, 30, 600));
    assert_string_equal(store.calls, "purge 1 before 331;copy 0 to 1, 991 to 993;");
    assert_int_equal(of_width(&levels, 30)->since, INT64_MIN);
    assert_int_equal(of_width(&levels, 30)->built.bucket, 993);
    adapt(&levels, RETENTION(10, 100, 30, 600, 60, 900));
    /* Buckets of 30 s are complete before 331, those of 10 s from 991 on: their runs meet at position 993. */
    assert_string_equal(store.calls,
                        "purge 2 before 166;copy 1 to 2, -9223372036854775808 to 331;copy 0 to 2, 993 to 996;");
    assert_int_equal(of_width(&levels, 60)->since, INT64_MIN);
    assert_int_equal(of_width(&levels, 60)->built.bucket, 996);
    assert_int_equal(of_width(&levels, 30)->since, INT64_MIN);
}

/* Data before a gap is deleted: the longest level must not claim the gap as complete. */
static void data_before_a_gap_is_not_copied(void **state)
{
    (void)state;
    struct ts_levels levels;
    make(&levels, RETENTION(10, 100));
    levels.items[0].since = 991;
    adapt(&levels, RETENTION(10, 100, 30, 600));
    of_width(&levels, 30)->built.bucket = 980;
    adapt(&levels, RETENTION(10, 100, 30, 600, 60, 900));
    assert_string_equal(store.calls, "purge 2 before 166;copy 0 to 2, 991 to 996;");
    assert_int_equal(of_width(&levels, 60)->since, INT64_MIN);
    assert_int_equal(of_width(&levels, 30)->since, 331);
    assert_int_equal(levels.items[0].since, 991);
}

static void rows_that_were_copied_are_not_built_as_well(void **state)
{
    (void)state;
    struct ts_levels levels;
    make(&levels, RETENTION(10, 100));
    adapt(&levels, RETENTION(10, 100, 20, 100));
    struct ts_level *level = of_width(&levels, 20);
    assert_int_equal(level->built.bucket, INT64_MIN);
    level->built_profiles = (struct ts_level_key){.bucket = 997, .labels = 3};
    level->since = 495; /* pruned while level 0 was not, because it is not built yet */
    adapt(&levels, RETENTION(10, 100, 20, 400));
    level = of_width(&levels, 20);
    assert_string_equal(store.calls, "purge 1 before 495;copy 0 to 1, -9223372036854775808 to 990;");
    assert_int_equal(level->since, INT64_MIN);
    assert_int_equal(level->built.bucket, 990);
    assert_int_equal(level->built_profiles.bucket, 997); /* further already */
    assert_int_equal(level->built_profiles.labels, 3);
}

static void internal_levels_are_rebuilt_for_another_longest_level(void **state)
{
    (void)state;
    struct ts_levels levels;
    make(&levels, RETENTION(10, 86400, 60, 2 * 86400));
    const struct ts_level *before = of_width(&levels, 3600);
    int64_t id = before->id;
    assert_int_equal(before->source, 1);
    adapt(&levels, RETENTION(10, 86400, 60, 3 * 86400)); /* the same level, kept for longer */
    assert_int_equal(of_width(&levels, 3600)->id, id);
    assert_int_equal(of_width(&levels, 3600)->keep, 3 * DAY);
    adapt(&levels, RETENTION(10, 86400));
    assert_int_equal(kind_of(&levels, id), TS_LEVEL_DEAD);
    assert_int_equal(of_width(&levels, 3600)->source, 0);
}

static void too_many_levels_are_refused(void **state)
{
    (void)state;
    const struct ts_levels_callbacks callbacks = {last_bucket, on_log, purge, copy, NULL};
    struct ts_levels levels;
    bool changed;
    int rc = 0;
    make(&levels, RETENTION(10, 10));
    for (int64_t i = 2; i < TS_LEVELS_MAX + 2 && !rc; i++) { /* every change leaves a dead level */
        const struct ts_retention retention[] = {{SLICE, SLICE}, {i * SLICE, i * SLICE}};
        rc = ts_levels_adapt(&levels, retention, 2, NOW, &callbacks, &changed);
    }
    assert_int_equal(rc, TS_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_database_has_the_configured_levels_without_a_source),
        cmocka_unit_test(internal_levels_are_multiples_and_fit_twice),
        cmocka_unit_test(the_same_retention_changes_nothing),
        cmocka_unit_test(a_new_level_is_built_from_the_one_that_reaches_back_furthest),
        cmocka_unit_test(a_new_level_without_rows_to_build_it_from_is_complete),
        cmocka_unit_test(a_level_retires_if_others_are_built_from_it_else_it_is_dead),
        cmocka_unit_test(an_internal_level_that_is_configured_is_built_again),
        cmocka_unit_test(extending_the_longest_level_takes_nothing_from_finer_ones),
        cmocka_unit_test(a_new_longest_level_gets_late_data_of_one_that_is_being_built),
        cmocka_unit_test(data_before_a_gap_is_not_copied),
        cmocka_unit_test(rows_that_were_copied_are_not_built_as_well),
        cmocka_unit_test(internal_levels_are_rebuilt_for_another_longest_level),
        cmocka_unit_test(too_many_levels_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
