#include "lib/aggregate/plan.h"

#include "lib/base/array.h"

#include <assert.h>
#include <stdlib.h>

void ts_plan_init(struct ts_plan *plan)
{
    *plan = (struct ts_plan){0};
}

void ts_plan_deinit(struct ts_plan *plan)
{
    free(plan->items);
    ts_plan_init(plan);
}

/* ---- Making a plan ---- */

static bool may_use(const struct ts_level *level, struct ts_plan_rule rule)
{
    return level->kind != TS_LEVEL_DEAD && (!rule.unit || rule.unit % level->ratio == 0) &&
           (!rule.below || level->ratio < rule.below);
}

/* Does a complete bucket of the level begin at this position and end by `to`? */
static bool fits(const struct ts_levels *levels, const struct ts_level *level, int64_t at, int64_t to)
{
    return at % level->ratio == 0 && to - at >= level->ratio && ts_level_complete(levels, level, at / level->ratio);
}

/* The first position after `at` at which a bucket of the level fits; `to` if there is none. */
static int64_t next_fit(const struct ts_levels *levels, const struct ts_level *level, int64_t at, int64_t to)
{
    int64_t bucket = ts_level_next_complete(levels, level, ts_level_bucket(level, at) + 1);
    int64_t position = ts_level_position(level, bucket);
    return bucket == INT64_MAX || position >= to || to - position < level->ratio ? to : position;
}

/* The widest level that fits at this position, NULL if there is none, and the next position where a wider one fits. */
static const struct ts_level *choose_level(const struct ts_levels *levels, int64_t at, int64_t to,
                                           struct ts_plan_rule rule, int64_t *ret_until)
{
    *ret_until = to;
    for (size_t i = levels->n; i-- > 0;) {
        const struct ts_level *level = &levels->items[i];
        if (!may_use(level, rule))
            continue;
        if (fits(levels, level, at, to))
            return level;
        int64_t position = next_fit(levels, level, at, to);
        if (position < *ret_until)
            *ret_until = position;
    }
    return NULL;
}

static int append(struct ts_plan *plan, const struct ts_level *level, int64_t from, int64_t to)
{
    assert(from < to);
    int r = TS_ARRAY_RESERVE(&plan->items, &plan->cap, plan->n + 1);
    if (!r)
        plan->items[plan->n++] = (struct ts_segment){level, from, to};
    return r;
}

/* For the assertion: do the segments cover exactly [from, to) in ascending order? */
static TS_FOR_ASSERT bool covers(const struct ts_plan *plan, int64_t from, int64_t to)
{
    int64_t at = from;
    for (size_t i = 0; i < plan->n; i++) {
        const struct ts_segment *segment = &plan->items[i];
        if (segment->from * segment->level->ratio != at || segment->from >= segment->to)
            return false;
        at = segment->to * segment->level->ratio;
    }
    return at == to || (plan->n == 0 && from >= to);
}

int ts_plan_make(const struct ts_levels *levels, int64_t from, int64_t to, struct ts_plan_rule rule,
                 struct ts_plan *plan, int64_t *ret_gap)
{
    plan->n = 0;
    for (int64_t at = from; at < to;) {
        int64_t until;
        const struct ts_level *level = choose_level(levels, at, to, rule, &until);
        if (!level) {
            *ret_gap = at;
            return TS_PLAN_GAP;
        }
        int64_t first = at / level->ratio;
        int64_t complete_until = ts_level_complete_until(levels, level, first);
        int64_t last = ts_floor_div(until, level->ratio);
        /* A wider level that is not a multiple may fit within the first bucket; that bucket is used nevertheless. */
        last = last <= first ? first + 1 : last;
        last = last < complete_until ? last : complete_until;
        int r = append(plan, level, first, last);
        if (r)
            return r;
        at = last * level->ratio;
        assert(at <= to);
    }
    assert(covers(plan, from, to));
    return 0;
}

/* ---- Kept data ---- */

const struct ts_level *ts_plan_finest(const struct ts_levels *levels, int64_t position)
{
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *level = &levels->items[i];
        if (ts_level_is_visible(level) && ts_level_complete(levels, level, ts_level_bucket(level, position)))
            return level;
    }
    return NULL;
}

int64_t ts_plan_begin(const struct ts_levels *levels)
{
    int64_t begin = TS_POSITION_MAX;
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *level = &levels->items[i];
        /* If the bucket `since` is not complete, the level is still being built, from a level that has this time. */
        if (ts_level_is_visible(level) && ts_level_complete(levels, level, level->since) &&
            ts_level_position(level, level->since) < begin)
            begin = ts_level_position(level, level->since);
    }
    return begin < -TS_POSITION_MAX ? -TS_POSITION_MAX : begin;
}

void ts_plan_axis(const struct ts_levels *levels, int64_t *ret_from, int64_t *ret_to)
{
    int64_t widest = 1;
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *level = &levels->items[i];
        widest = level->kind != TS_LEVEL_DEAD && level->ratio > widest ? level->ratio : widest;
    }
    int64_t begin = ts_plan_begin(levels);
    *ret_from = begin <= -TS_POSITION_MAX ? -(TS_POSITION_MAX / widest) * widest : begin;
    *ret_to = TS_POSITION_MAX / widest * widest;
}

int ts_plan_all(const struct ts_levels *levels, struct ts_plan *plan)
{
    int64_t from;
    int64_t to;
    int64_t gap;
    ts_plan_axis(levels, &from, &to);
    return ts_plan_make(levels, from, to, (struct ts_plan_rule){0}, plan, &gap);
}
