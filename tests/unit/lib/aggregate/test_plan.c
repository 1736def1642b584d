/* Plans against a naive model that looks at one bucket after the other. */
#include "lib/aggregate/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/failing_alloc.h"

#define S TS_NS_PER_S

enum { WINDOW = 150 }; /* positions on either side of 0 that the model looks at */

/* ---- The model ---- */

/* The buckets of a level that the database has completely, as lib/aggregate/levels.h defines them. */
static bool is_complete(const struct ts_levels *levels, const struct ts_level *level, int64_t bucket)
{
    if (level->kind == TS_LEVEL_DEAD || bucket < level->since)
        return false;
    if (level->source < 0 || bucket >= level->live)
        return true;
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *source = &levels->items[i];
        if (source->id != level->source)
            continue;
        int64_t built = level->built.bucket;
        if (level->built_profiles.bucket < built)
            built = level->built_profiles.bucket;
        return (bucket + 1) * level->ratio <= built * source->ratio;
    }
    fail_msg("no source");
    return false;
}

static bool may_use(const struct ts_level *level, struct ts_plan_rule rule)
{
    if (rule.unit && rule.unit % level->ratio != 0)
        return false;
    return !rule.below || level->ratio < rule.below;
}

/* The widest level with a complete bucket that begins at the position and ends by `to`. */
static const struct ts_level *widest_at(const struct ts_levels *levels, struct ts_plan_rule rule, int64_t position,
                                        int64_t to)
{
    const struct ts_level *widest = NULL;
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *level = &levels->items[i];
        bool begins = position % level->ratio == 0 && position + level->ratio <= to;
        if (may_use(level, rule) && begins && is_complete(levels, level, position / level->ratio) &&
            (!widest || level->ratio > widest->ratio))
            widest = level;
    }
    return widest;
}

/* The plan must have exactly the buckets that the model chooses, one after the other, or the same gap. */
static void expect_model(const struct ts_levels *levels, int64_t from, int64_t to, struct ts_plan_rule rule,
                         struct ts_plan *plan)
{
    int64_t gap = INT64_MAX;
    int r = ts_plan_make(levels, from, to, rule, plan, &gap);
    size_t segment = 0;
    int64_t bucket = plan->n ? plan->items[0].from : 0;
    for (int64_t at = from; at < to;) {
        const struct ts_level *level = widest_at(levels, rule, at, to);
        if (!level) {
            assert_int_equal(r, TS_PLAN_GAP);
            assert_int_equal(gap, at);
            return;
        }
        assert_true(segment < plan->n);
        if (plan->items[segment].level != level || bucket * level->ratio != at)
            fail_msg("[%lld, %lld): at %lld, the plan has bucket %lld of ratio %lld; the widest has ratio %lld",
                     (long long)from, (long long)to, (long long)at, (long long)bucket,
                     (long long)plan->items[segment].level->ratio, (long long)level->ratio);
        at += level->ratio;
        if (++bucket == plan->items[segment].to && ++segment < plan->n)
            bucket = plan->items[segment].from;
    }
    assert_int_equal(r, 0);
    assert_int_equal(segment, plan->n);
}

static int64_t between(unsigned long long *seed, int64_t low, int64_t high)
{
    return low + (int64_t)(next_random(seed) % (unsigned long long)(high - low + 1));
}

/* Levels of random kinds, each complete or being built from one that divides it. */
static struct ts_levels random_levels(unsigned long long *seed)
{
    static const int64_t ratios[][5] = {{1, 2, 6, 12, 24}, {1, 3, 4, 12, 36}, {1, 5, 10, 20, 40}, {1, 2, 4, 6, 12}};
    const int64_t *chosen = ratios[between(seed, 0, 3)];
    struct ts_levels levels = {.grid = {.time_slice = S}};
    for (int i = 0; i < 5; i++) {
        struct ts_level *level = &levels.items[levels.n];
        if (i && between(seed, 0, 3) == 0)
            continue;
        *level = (struct ts_level){.id = 10 + i,
                                   .kind = i ? (enum ts_level_kind)between(seed, 0, 2) : TS_LEVEL_CONFIGURED,
                                   .width = chosen[i] * S,
                                   .ratio = chosen[i],
                                   .since = between(seed, 0, 2) ? between(seed, -40, 20) / chosen[i] : INT64_MIN,
                                   .live = INT64_MIN,
                                   .source = -1};
        size_t source = (size_t)between(seed, 0, i);
        if (source < levels.n && level->ratio % levels.items[source].ratio == 0) {
            level->source = levels.items[source].id;
            level->built.bucket = between(seed, -60, 60) / levels.items[source].ratio;
            level->built_profiles.bucket = between(seed, -60, 60) / levels.items[source].ratio;
            level->live = between(seed, -20, 60) / level->ratio;
        }
        levels.n++;
    }
    assert_true(ts_levels_consistent(&levels));
    return levels;
}

static void every_plan_has_the_buckets_of_the_model(void **state)
{
    unsigned long long seed = 7;
    struct ts_plan plan;
    (void)state;
    ts_plan_init(&plan);
    for (int i = 0; i < 3000; i++) {
        struct ts_levels levels = random_levels(&seed);
        for (int j = 0; j < 20; j++) {
            int64_t from = between(&seed, -70, 70);
            int64_t to = from + between(&seed, -2, 120);
            struct ts_plan_rule rule = {0};
            if (between(&seed, 0, 2) == 0)
                rule.unit = levels.items[between(&seed, 0, (int64_t)levels.n - 1)].ratio;
            if (between(&seed, 0, 2) == 0)
                rule.below = levels.items[between(&seed, 0, (int64_t)levels.n - 1)].ratio;
            expect_model(&levels, from, to, rule, &plan);
        }
    }
    ts_plan_deinit(&plan);
}

static void the_finest_level_has_the_bucket_around_a_position(void **state)
{
    unsigned long long seed = 8;
    (void)state;
    for (int i = 0; i < 500; i++) {
        struct ts_levels levels = random_levels(&seed);
        for (int64_t position = -WINDOW; position < WINDOW; position++) {
            const struct ts_level *finest = NULL;
            for (size_t j = 0; j < levels.n; j++) {
                const struct ts_level *level = &levels.items[j];
                bool kept = level->kind == TS_LEVEL_CONFIGURED || level->kind == TS_LEVEL_RETIRING;
                int64_t bucket = ts_floor_div(position, level->ratio);
                if (kept && is_complete(&levels, level, bucket) && (!finest || level->ratio < finest->ratio))
                    finest = level;
            }
            assert_ptr_equal(ts_plan_finest(&levels, position), finest);
        }
    }
}

/* ---- Examples ---- */

static void expect_segment(const struct ts_plan *plan, size_t i, int64_t ratio, int64_t from, int64_t to)
{
    assert_true(i < plan->n);
    assert_int_equal(plan->items[i].level->ratio, ratio);
    assert_int_equal(plan->items[i].from, from);
    assert_int_equal(plan->items[i].to, to);
}

static struct ts_levels three_levels(void)
{
    struct ts_levels levels = {.grid = {.time_slice = 10 * S}, .n = 3};
    const int64_t ratios[] = {1, 6, 24};
    for (int i = 0; i < 3; i++)
        levels.items[i] = (struct ts_level){.id = i,
                                            .width = ratios[i] * 10 * S,
                                            .ratio = ratios[i],
                                            .since = INT64_MIN,
                                            .live = INT64_MIN,
                                            .source = -1};
    return levels;
}

static void wide_buckets_are_inside_and_narrow_ones_at_the_ends(void **state)
{
    struct ts_levels levels = three_levels();
    struct ts_plan plan;
    int64_t gap;
    (void)state;
    ts_plan_init(&plan);
    assert_int_equal(ts_plan_make(&levels, -35, 62, (struct ts_plan_rule){0}, &plan, &gap), 0);
    assert_int_equal(plan.n, 5);
    expect_segment(&plan, 0, 1, -35, -30);
    expect_segment(&plan, 1, 6, -5, -4);
    expect_segment(&plan, 2, 24, -1, 2);
    expect_segment(&plan, 3, 6, 8, 10);
    expect_segment(&plan, 4, 1, 60, 62);
    ts_plan_deinit(&plan);
}

static void an_empty_range_has_an_empty_plan(void **state)
{
    struct ts_levels levels = three_levels();
    struct ts_plan plan;
    int64_t gap;
    (void)state;
    ts_plan_init(&plan);
    assert_int_equal(ts_plan_make(&levels, 3, 5, (struct ts_plan_rule){0}, &plan, &gap), 0);
    assert_int_equal(plan.n, 1);
    assert_int_equal(ts_plan_make(&levels, 3, 3, (struct ts_plan_rule){0}, &plan, &gap), 0);
    assert_int_equal(plan.n, 0);
    assert_int_equal(ts_plan_make(&levels, 3, -3, (struct ts_plan_rule){0}, &plan, &gap), 0);
    assert_int_equal(plan.n, 0);
    ts_plan_deinit(&plan);
    ts_plan_deinit(&plan); /* twice is safe */
}

static void a_gap_is_where_no_level_has_a_bucket(void **state)
{
    struct ts_levels levels = three_levels();
    struct ts_plan plan;
    int64_t gap = 0;
    (void)state;
    ts_plan_init(&plan);
    /* Only the widest has the time before 48, and its bucket [24, 48) does not begin in the range. */
    levels.items[0].since = 48;
    levels.items[1].since = 8;
    assert_int_equal(ts_plan_make(&levels, 30, 100, (struct ts_plan_rule){0}, &plan, &gap), TS_PLAN_GAP);
    assert_int_equal(gap, 30);
    assert_int_equal(ts_plan_make(&levels, 0, 47, (struct ts_plan_rule){0}, &plan, &gap), TS_PLAN_GAP);
    assert_int_equal(gap, 24);
    assert_int_equal(ts_plan_make(&levels, 24, 100, (struct ts_plan_rule){0}, &plan, &gap), 0);
    assert_int_equal(plan.n, 2);
    expect_segment(&plan, 0, 24, 1, 4);
    expect_segment(&plan, 1, 1, 96, 100);
    /* Rules that exclude the level. */
    assert_int_equal(ts_plan_make(&levels, 24, 100, (struct ts_plan_rule){.unit = 6}, &plan, &gap), TS_PLAN_GAP);
    assert_int_equal(gap, 24);
    assert_int_equal(ts_plan_make(&levels, 24, 48, (struct ts_plan_rule){.below = 24}, &plan, &gap), TS_PLAN_GAP);
    assert_int_equal(ts_plan_make(&levels, 48, 100, (struct ts_plan_rule){.unit = 6}, &plan, &gap), 0);
    ts_plan_deinit(&plan);
}

static void kept_data_begins_with_the_level_that_reaches_back_furthest(void **state)
{
    struct ts_levels levels = three_levels();
    struct ts_plan plan;
    int64_t from;
    int64_t to;
    (void)state;
    /* Nothing was deleted: all positions, in buckets of the widest level. */
    ts_plan_axis(&levels, &from, &to);
    assert_int_equal(from, -(TS_POSITION_MAX / 24) * 24);
    assert_int_equal(to, TS_POSITION_MAX / 24 * 24);
    assert_int_equal(ts_plan_begin(&levels), -TS_POSITION_MAX);
    ts_plan_init(&plan);
    assert_int_equal(ts_plan_all(&levels, &plan), 0);
    assert_int_equal(plan.n, 1);
    expect_segment(&plan, 0, 24, -(TS_POSITION_MAX / 24), TS_POSITION_MAX / 24);

    levels.items[0].since = 70;
    levels.items[1].since = 9;
    levels.items[2].since = 1;
    assert_int_equal(ts_plan_begin(&levels), 24);
    /* The plan of everything has only the widest level. */
    assert_int_equal(ts_plan_all(&levels, &plan), 0);
    assert_int_equal(plan.n, 1);
    expect_segment(&plan, 0, 24, 1, TS_POSITION_MAX / 24);
    assert_ptr_equal(ts_plan_finest(&levels, 23), NULL);
    assert_ptr_equal(ts_plan_finest(&levels, 53), &levels.items[2]);
    assert_ptr_equal(ts_plan_finest(&levels, 54), &levels.items[1]);
    assert_ptr_equal(ts_plan_finest(&levels, 70), &levels.items[0]);
    /* Internal levels do not count, nor do levels whose first bucket is not built yet. */
    levels.items[2].kind = TS_LEVEL_INTERNAL;
    assert_int_equal(ts_plan_begin(&levels), 54);
    levels.items[2].kind = TS_LEVEL_RETIRING;
    levels.items[2].source = 1;
    levels.items[2].built = levels.items[2].built_profiles = (struct ts_level_key){.bucket = 4};
    levels.items[2].live = 5;
    assert_int_equal(ts_plan_begin(&levels), 54);
    levels.items[2].kind = TS_LEVEL_DEAD;
    assert_int_equal(ts_plan_begin(&levels), 54);
    ts_plan_deinit(&plan);
}

static void a_failed_allocation_is_reported(void **state)
{
    struct ts_levels levels = three_levels();
    struct ts_plan plan;
    int64_t gap;
    (void)state;
    ts_plan_init(&plan);
    alloc_fail_at = 0;
    int r = ts_plan_make(&levels, 0, 10, (struct ts_plan_rule){0}, &plan, &gap);
    alloc_fail_at = -1;
    assert_int_equal(r, TS_ENOMEM);
    ts_plan_deinit(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_plan_has_the_buckets_of_the_model),
        cmocka_unit_test(the_finest_level_has_the_bucket_around_a_position),
        cmocka_unit_test(wide_buckets_are_inside_and_narrow_ones_at_the_ends),
        cmocka_unit_test(an_empty_range_has_an_empty_plan),
        cmocka_unit_test(a_gap_is_where_no_level_has_a_bucket),
        cmocka_unit_test(kept_data_begins_with_the_level_that_reaches_back_furthest),
        cmocka_unit_test(a_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
