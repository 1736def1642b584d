/*
 * The functions of lib/aggregate/levels.h against their definitions, bucket by bucket.
 */
#include "lib/aggregate/levels.h"

#include "tests/unit/failing_alloc.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#define S TS_NS_PER_S

enum { FIRST = -60, LAST = 60 }; /* positions that are tried */

static const struct ts_grid grid = {.start_time = 0, .time_slice = S};

static struct ts_level finished(int64_t id, int64_t ratio, int64_t keep, int64_t since)
{
    return (struct ts_level){.id = id,
                             .width = ratio * S,
                             .keep = keep * S,
                             .ratio = ratio,
                             .since = since,
                             .live = INT64_MIN,
                             .source = -1};
}

/* Level 0, and one of ratio 3 that is being built from it. */
static struct ts_levels building(int64_t since, int64_t built, int64_t built_profiles, int64_t live)
{
    struct ts_levels levels = {.grid = grid, .n = 2};
    levels.items[0] = finished(0, 1, 20, -9);
    levels.items[1] = finished(1, 3, 60, since);
    levels.items[1].source = 0;
    levels.items[1].built = (struct ts_level_key){.bucket = built, .labels = 2, .location = 5};
    levels.items[1].built_profiles = (struct ts_level_key){.bucket = built_profiles, .labels = 1};
    levels.items[1].live = live;
    assert_true(ts_levels_consistent(&levels));
    return levels;
}

static void keys_are_ordered_by_bucket_then_labels_then_location(void **state)
{
    (void)state;
    static const struct ts_level_key ascending[] = {
        {INT64_MIN, UINT32_MAX, UINT32_MAX}, {-1, 9, 9}, {0, 0, 1}, {0, 0, 2}, {0, 1, 0}, {INT64_MAX, 0, 0}};
    enum { N = sizeof(ascending) / sizeof(ascending[0]) };
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            int order = ts_level_key_compare(&ascending[i], &ascending[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
}

static void a_bucket_contains_its_positions(void **state)
{
    (void)state;
    for (int64_t ratio = 1; ratio <= 7; ratio++) {
        struct ts_level level = finished(0, ratio, 1, 0);
        for (int64_t position = FIRST; position < LAST; position++) {
            int64_t bucket = ts_level_bucket(&level, position);
            assert_true(ts_level_position(&level, bucket) <= position);
            assert_true(position < ts_level_position(&level, bucket + 1));
        }
    }
    struct ts_level wide = finished(0, 1000, 1, 0);
    assert_int_equal(ts_level_position(&wide, INT64_MAX), INT64_MAX);
    assert_int_equal(ts_level_position(&wide, INT64_MIN), INT64_MIN);
}

static void the_bucket_of_another_level_begins_at_or_after(void **state)
{
    (void)state;
    for (int64_t from = 1; from <= 6; from++) {
        for (int64_t to = 1; to <= 6; to++) {
            struct ts_level a = finished(0, from, 1, 0);
            struct ts_level b = finished(1, to, 1, 0);
            for (int64_t bucket = -20; bucket < 20; bucket++) {
                int64_t found = ts_level_bucket_from(&a, bucket, &b);
                assert_true(found * to >= bucket * from && (found - 1) * to < bucket * from);
            }
            assert_int_equal(ts_level_bucket_from(&a, INT64_MIN, &b), INT64_MIN);
            assert_int_equal(ts_level_bucket_from(&a, INT64_MAX, &b), INT64_MAX);
        }
    }
}

/* The definition: from `since` on, but not between `built` and `live`. */
static bool is_complete(const struct ts_level *level, int64_t built_to, int64_t bucket)
{
    bool unfinished = level->source >= 0 && bucket >= built_to && bucket < level->live;
    return level->kind != TS_LEVEL_DEAD && bucket >= level->since && !unfinished;
}

static void complete_buckets_are_those_built_and_those_live(void **state)
{
    (void)state;
    unsigned long long random = 1;
    for (int i = 0; i < 2000; i++) {
        int64_t since = (int64_t)(next_random(&random) % 20) - 10;
        int64_t built = (int64_t)(next_random(&random) % 60) - 30;
        int64_t profiles = (int64_t)(next_random(&random) % 60) - 30;
        int64_t live = (int64_t)(next_random(&random) % 20) - 10;
        struct ts_levels levels = building(since, built, profiles, live);
        struct ts_level *level = &levels.items[1];
        if (i % 7 == 0)
            level->source = -1;
        if (i % 11 == 0)
            level->kind = TS_LEVEL_DEAD;
        int64_t built_to = ts_floor_div(built < profiles ? built : profiles, 3);
        if (level->source >= 0)
            assert_int_equal(ts_level_built_to(&levels, level), built_to);
        else
            assert_int_equal(ts_level_built_to(&levels, level), INT64_MAX);
        for (int64_t bucket = -20; bucket < 20; bucket++) {
            assert_int_equal(ts_level_complete(&levels, level, bucket), is_complete(level, built_to, bucket));
            int64_t until = bucket;
            while (until < LAST && is_complete(level, built_to, until))
                until++;
            assert_int_equal(ts_level_complete_until(&levels, level, bucket), until < LAST ? until : INT64_MAX);
            int64_t next = bucket;
            while (next < LAST && !is_complete(level, built_to, next))
                next++;
            assert_int_equal(ts_level_next_complete(&levels, level, bucket), next < LAST ? next : INT64_MAX);
        }
    }
}

static void a_delta_is_added_to_complete_buckets_and_before_built(void **state)
{
    (void)state;
    struct ts_levels levels = building(-4, 4, 1, 3); /* built: (4, 2, 5) of the source; profiles: (1, 1) */
    const struct ts_level *level = &levels.items[1];
    static const struct {
        struct ts_level_key key;
        bool sums;
        bool profiles;
    } rows[] = {
        {{-13, 0, 0}, false, false}, /* before `since` */
        {{-12, 0, 0}, true, true},   /* the first complete bucket */
        {{1, 0, 9}, true, true},     /* before both keys */
        {{1, 1, 0}, true, false},    /* the key of profiles itself will be built */
        {{4, 2, 4}, true, false},    /* within a bucket of which a part is built */
        {{4, 2, 5}, false, false},   /* the key of sums */
        {{8, 9, 9}, false, false},   /* will be built */
        {{9, 0, 0}, true, true},     /* live */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(ts_level_takes(&levels, level, &rows[i].key, false), rows[i].sums);
        assert_int_equal(ts_level_takes(&levels, level, &rows[i].key, true), rows[i].profiles);
    }
    struct ts_level_key old = {-10, 0, 0};
    struct ts_level_key young = {-9, 0, 0};
    assert_false(ts_level_takes(&levels, &levels.items[0], &old, false));
    assert_true(ts_level_takes(&levels, &levels.items[0], &young, false));
    levels.items[1].kind = TS_LEVEL_DEAD;
    assert_false(ts_level_takes(&levels, level, &rows[1].key, false));
}

static void the_first_bucket_kept_is_the_one_that_contains_the_age(void **state)
{
    (void)state;
    struct ts_levels levels = building(-4, 0, 0, 0);
    for (int64_t now = FIRST; now < LAST; now++) {
        const struct ts_level *level = &levels.items[1];
        int64_t first = ts_level_first_kept(&levels, level, now * S);
        assert_true(first * 3 <= now - 60 && now - 60 < (first + 1) * 3);
    }
}

static void nothing_is_pruned_that_another_level_is_built_from(void **state)
{
    (void)state;
    struct ts_levels levels = building(-4, -5, -2, 3); /* built up to position -5: two buckets of three */
    assert_int_equal(ts_level_bound(&levels, &levels.items[0], 100 * S), -6);
    assert_int_equal(ts_level_bound(&levels, &levels.items[0], 10 * S), -10); /* its age is the lower bound */
    levels.items[1].source = -1;
    assert_int_equal(ts_level_bound(&levels, &levels.items[0], 100 * S), 80);
}

static void the_longest_level_is_configured_and_of_several_the_widest(void **state)
{
    (void)state;
    struct ts_levels levels = {.grid = grid, .n = 4};
    levels.items[0] = finished(0, 1, 20, 0);
    levels.items[1] = finished(1, 2, 60, 0);
    levels.items[2] = finished(2, 4, 60, 0);
    levels.items[3] = finished(3, 8, 99, 0);
    levels.items[3].kind = TS_LEVEL_INTERNAL;
    for (size_t i = 0; i < levels.n; i++)
        assert_int_equal(ts_level_is_longest(&levels, &levels.items[i]), i == 2);
    levels.items[2].kind = TS_LEVEL_RETIRING;
    for (size_t i = 0; i < levels.n; i++)
        assert_int_equal(ts_level_is_longest(&levels, &levels.items[i]), i == 1);
}

static void internal_levels_follow_the_begin_of_the_longest(void **state)
{
    (void)state;
    struct ts_levels levels = {.grid = grid, .n = 3};
    levels.items[0] = finished(0, 1, 20, 0);
    levels.items[1] = finished(1, 2, 60, 0);
    levels.items[2] = finished(2, 8, 60, -1);
    levels.items[2].kind = TS_LEVEL_INTERNAL;
    ts_level_advance(&levels, &levels.items[0], 3); /* not the longest */
    assert_int_equal(levels.items[2].since, -1);
    ts_level_advance(&levels, &levels.items[1], 5); /* position 10 */
    assert_int_equal(levels.items[1].since, 5);
    assert_int_equal(levels.items[2].since, 2);
    ts_level_advance(&levels, &levels.items[1], 4); /* never back */
    assert_int_equal(levels.items[1].since, 5);
}

/* ---- The view ---- */

static size_t shown(const struct ts_levels *levels, int64_t position)
{
    size_t n = 0;
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *level = &levels->items[i];
        int64_t bucket = ts_level_bucket(level, position);
        if (bucket < level->view_from || bucket >= level->view_to)
            continue;
        assert_true(ts_level_complete(levels, level, bucket));
        n++;
    }
    return n;
}

static void the_view_shows_each_position_once(void **state)
{
    (void)state;
    unsigned long long random = 7;
    for (int i = 0; i < 2000; i++) {
        struct ts_levels levels = {.grid = grid, .n = 4};
        int64_t ratio = 1;
        int64_t begin = 10;
        for (int64_t id = 0; id < 4; id++) { /* as the retention has it: a wider level reaches further back */
            levels.items[id] = finished(id, ratio, 10 * (id + 1), ts_floor_div(begin, ratio));
            begin = ts_level_position(&levels.items[id], levels.items[id].since);
            ratio *= 2 + (int64_t)(next_random(&random) % 2);
            begin -= (int64_t)(next_random(&random) % 12);
        }
        if (i % 3 == 0)
            levels.items[2].kind = TS_LEVEL_INTERNAL; /* never shown */
        if (i % 5 == 0) {
            levels.items[3].source = 0;
            levels.items[3].live = 4;
            levels.items[3].built.bucket = levels.items[3].built_profiles.bucket = (int64_t)(random % 40) - 30;
        }
        ts_levels_set_view(&levels);
        const struct ts_level *widest = &levels.items[3];
        if (levels.items[2].kind == TS_LEVEL_INTERNAL)
            assert_int_equal(levels.items[2].view_to, levels.items[2].view_from);
        for (int64_t position = FIRST; position < LAST; position++) {
            bool kept = position >= 10 || (widest->source < 0 && ts_level_bucket(widest, position) >= widest->since);
            size_t n = shown(&levels, position);
            assert_true(n <= 1);
            assert_true(n == 1 || !kept);
        }
    }
}

static void a_level_not_built_up_to_the_finer_one_does_not_hide_those_before_it(void **state)
{
    (void)state;
    /* The second level reaches position -12 but is not built up to level 0's begin; the third one is. */
    struct ts_levels levels = {.grid = grid, .n = 3};
    levels.items[0] = finished(0, 1, 20, 0);
    levels.items[1] = finished(1, 3, 30, -4);
    levels.items[1].source = 0;
    levels.items[1].built.bucket = levels.items[1].built_profiles.bucket = -6;
    levels.items[1].live = 5;
    levels.items[2] = finished(2, 6, 99, INT64_MIN);
    levels.items[2].source = 0;
    levels.items[2].built.bucket = levels.items[2].built_profiles.bucket = 0;
    levels.items[2].live = 5;
    ts_levels_set_view(&levels);
    for (int64_t position = FIRST; position < LAST; position++)
        assert_int_equal(shown(&levels, position), 1);
    assert_int_equal(levels.items[2].view_from, INT64_MIN);
    assert_int_equal(levels.items[2].view_to, 0);
}

/* ---- Consistency ---- */

static void inconsistent_levels_are_noticed(void **state)
{
    (void)state;
    struct ts_levels good = building(-4, 0, 0, 3);
    struct ts_levels bad = good;
    bad.items[1].ratio = 2; /* not the width's */
    assert_false(ts_levels_consistent(&bad));
    bad = good;
    bad.items[1].id = 0; /* twice */
    bad.items[1].source = -1;
    assert_false(ts_levels_consistent(&bad));
    bad = good;
    bad.items[1].source = 9; /* no such level */
    assert_false(ts_levels_consistent(&bad));
    bad = good;
    bad.items[0].kind = TS_LEVEL_DEAD; /* dead ones are at the end; and a source is alive */
    assert_false(ts_levels_consistent(&bad));
    bad = good;
    bad.items[1] = good.items[0]; /* descending */
    bad.items[0] = good.items[1];
    assert_false(ts_levels_consistent(&bad));
    bad = good;
    bad.items[0].kind = bad.items[1].kind = TS_LEVEL_RETIRING; /* none is configured */
    assert_false(ts_levels_consistent(&bad));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_ordered_by_bucket_then_labels_then_location),
        cmocka_unit_test(a_bucket_contains_its_positions),
        cmocka_unit_test(the_bucket_of_another_level_begins_at_or_after),
        cmocka_unit_test(complete_buckets_are_those_built_and_those_live),
        cmocka_unit_test(a_delta_is_added_to_complete_buckets_and_before_built),
        cmocka_unit_test(the_first_bucket_kept_is_the_one_that_contains_the_age),
        cmocka_unit_test(nothing_is_pruned_that_another_level_is_built_from),
        cmocka_unit_test(the_longest_level_is_configured_and_of_several_the_widest),
        cmocka_unit_test(internal_levels_follow_the_begin_of_the_longest),
        cmocka_unit_test(the_view_shows_each_position_once),
        cmocka_unit_test(a_level_not_built_up_to_the_finer_one_does_not_hide_those_before_it),
        cmocka_unit_test(inconsistent_levels_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
