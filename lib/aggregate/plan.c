#include "lib/aggregate/plan.h"

#include "lib/base/array.h"

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

static bool allowed(const struct ts_level *level, struct ts_plan_rule rule)
{
    return level->kind != TS_LEVEL_DEAD && (!rule.unit || rule.unit % level->ratio == 0) &&
           (!rule.below || level->ratio < rule.below);
}

/* Does a bucket of this level begin at the position, end by `to`, and is it whole? */
static bool fits(const struct ts_levels *levels, const struct ts_level *level, int64_t at, int64_t to)
{
    return at % level->ratio == 0 && to - at >= level->ratio && ts_level_complete(levels, level, at / level->ratio);
}

/* The first position after `at` where a bucket of the level could be taken; `to` where there is none. */
static int64_t next_take(const struct ts_levels *levels, const struct ts_level *level, int64_t at, int64_t to)
{
    int64_t bucket = ts_level_next_complete(levels, level, ts_level_bucket(level, at) + 1);
    int64_t position = ts_level_position(level, bucket);
    return bucket == INT64_MAX || position >= to || to - position < level->ratio ? to : position;
}

static int append(struct ts_plan *plan, const struct ts_level *level, int64_t from, int64_t to)
{
    int rc = TS_ARRAY_RESERVE(&plan->items, &plan->cap, plan->n + 1);
    if (rc)
        return rc;
    plan->items[plan->n++] = (struct ts_segment){level, from, to};
    return 0;
}

int ts_plan_make(const struct ts_levels *levels, int64_t from, int64_t to, struct ts_plan_rule rule,
                 struct ts_plan *plan, int64_t *ret_at)
{
    plan->n = 0;
    for (int64_t at = from; at < to;) {
        const struct ts_level *level = NULL;
        int64_t end = to;
        for (size_t i = levels->n; i-- > 0 && !level;) {
            const struct ts_level *wider = &levels->items[i];
            if (!allowed(wider, rule))
                continue;
            if (fits(levels, wider, at, to)) {
                level = wider;
            } else {
                int64_t take = next_take(levels, wider, at, to);
                end = take < end ? take : end;
            }
        }
        if (!level) {
            *ret_at = at;
            return TS_PLAN_GAP;
        }
        int64_t first = at / level->ratio;
        int64_t until = ts_level_complete_until(levels, level, first);
        int64_t last = ts_floor_div(end, level->ratio);
        /* Where a wider level that is no multiple takes over within a bucket, this one is used to its own end. */
        last = last <= first ? first + 1 : last;
        last = last < until ? last : until;
        int r = append(plan, level, first, last);
        if (r)
            return r;
        at = last * level->ratio;
    }
    return 0;
}

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
        /* One that is still built has taken late data before what it is built from begins; the rest is there. */
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
