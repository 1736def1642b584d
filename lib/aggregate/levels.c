#include "lib/aggregate/levels.h"

#include <assert.h>

static int64_t clamp(ts_i128 value)
{
    return value > INT64_MAX ? INT64_MAX : value < INT64_MIN ? INT64_MIN : (int64_t)value;
}

int ts_level_key_compare(const struct ts_level_key *a, const struct ts_level_key *b)
{
    if (a->bucket != b->bucket)
        return a->bucket < b->bucket ? -1 : 1;
    if (a->labels != b->labels)
        return a->labels < b->labels ? -1 : 1;
    return a->location < b->location ? -1 : a->location > b->location;
}

bool ts_level_is_visible(const struct ts_level *level)
{
    return level->kind == TS_LEVEL_CONFIGURED || level->kind == TS_LEVEL_RETIRING;
}

struct ts_level *ts_levels_find(struct ts_levels *levels, int64_t id)
{
    for (size_t i = 0; i < levels->n; i++) {
        if (levels->items[i].id == id)
            return &levels->items[i];
    }
    return NULL;
}

static const struct ts_level *source_of(const struct ts_levels *levels, const struct ts_level *level)
{
    for (size_t i = 0; i < levels->n && level->source >= 0; i++) {
        if (levels->items[i].id == level->source)
            return &levels->items[i];
    }
    return NULL;
}

int64_t ts_level_bucket(const struct ts_level *level, int64_t position)
{
    return ts_floor_div(position, level->ratio);
}

int64_t ts_level_position(const struct ts_level *level, int64_t bucket)
{
    return clamp((ts_i128)bucket * level->ratio);
}

int64_t ts_level_first_bucket(const struct ts_level *level, int64_t bucket, const struct ts_level *finer)
{
    assert(level->ratio % finer->ratio == 0);
    return bucket == INT64_MIN ? bucket : bucket * (level->ratio / finer->ratio);
}

int64_t ts_level_bucket_from(const struct ts_level *from, int64_t bucket, const struct ts_level *to)
{
    if (bucket == INT64_MIN || bucket == INT64_MAX)
        return bucket;
    ts_i128 position = (ts_i128)bucket * from->ratio;
    int64_t floor = ts_floor_div(position, to->ratio);
    return (ts_i128)floor * to->ratio < position ? floor + 1 : floor;
}

/* ---- Complete buckets ---- */

bool ts_level_takes(const struct ts_levels *levels, const struct ts_level *level, const struct ts_level_key *key,
                    bool profile)
{
    int64_t bucket = ts_level_bucket(level, key->bucket);
    if (level->kind == TS_LEVEL_DEAD || bucket < level->since)
        return false;
    const struct ts_level *source = source_of(levels, level);
    if (!source || bucket >= level->live)
        return true;
    struct ts_level_key there = *key;
    there.bucket = ts_level_bucket(source, key->bucket);
    return ts_level_key_compare(&there, profile ? &level->built_profiles : &level->built) < 0;
}

int64_t ts_level_built_to(const struct ts_levels *levels, const struct ts_level *level)
{
    const struct ts_level *source = source_of(levels, level);
    if (!source)
        return INT64_MAX;
    int64_t built = level->built.bucket;
    if (level->built_profiles.bucket < built)
        built = level->built_profiles.bucket;
    return built == INT64_MIN ? built : ts_floor_div((ts_i128)built * source->ratio, level->ratio);
}

int64_t ts_level_complete_until(const struct ts_levels *levels, const struct ts_level *level, int64_t bucket)
{
    int64_t built = ts_level_built_to(levels, level);
    if (level->kind == TS_LEVEL_DEAD || bucket < level->since)
        return bucket;
    if (built >= level->live || bucket >= level->live)
        return INT64_MAX;
    return bucket < built ? built : bucket;
}

bool ts_level_complete(const struct ts_levels *levels, const struct ts_level *level, int64_t bucket)
{
    return ts_level_complete_until(levels, level, bucket) > bucket;
}

int64_t ts_level_next_complete(const struct ts_levels *levels, const struct ts_level *level, int64_t bucket)
{
    if (level->kind == TS_LEVEL_DEAD)
        return INT64_MAX;
    if (bucket < level->since)
        bucket = level->since;
    return ts_level_complete(levels, level, bucket) ? bucket : level->live;
}

/* ---- Age ---- */

int64_t ts_level_first_kept(const struct ts_levels *levels, const struct ts_level *level, int64_t horizon)
{
    struct ts_grid grid = {.start_time = levels->grid.start_time, .time_slice = level->width};
    return ts_grid_bucket(&grid, (ts_i128)horizon - level->keep);
}

bool ts_level_is_longest(const struct ts_levels *levels, const struct ts_level *level)
{
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *other = &levels->items[i];
        bool longer = other->keep > level->keep || (other->keep == level->keep && other->width > level->width);
        if (other->kind == TS_LEVEL_CONFIGURED && longer)
            return false;
    }
    return level->kind == TS_LEVEL_CONFIGURED;
}

struct ts_level *ts_levels_longest(struct ts_levels *levels)
{
    for (size_t i = 0; i < levels->n; i++) {
        if (ts_level_is_longest(levels, &levels->items[i]))
            return &levels->items[i];
    }
    return NULL;
}

int64_t ts_level_bound(const struct ts_levels *levels, const struct ts_level *level, int64_t horizon)
{
    int64_t bound = ts_level_first_kept(levels, level, horizon);
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *other = &levels->items[i];
        if (other->kind == TS_LEVEL_DEAD || other->source != level->id)
            continue;
        /* In complete buckets of the other level, so that no time is missing in both. */
        ts_i128 built = (ts_i128)ts_level_built_to(levels, other) * other->ratio / level->ratio;
        if (built < bound)
            bound = clamp(built);
    }
    return bound;
}

void ts_level_advance(struct ts_levels *levels, struct ts_level *level, int64_t since)
{
    if (since <= level->since)
        return;
    level->since = since;
    if (!ts_level_is_longest(levels, level))
        return;
    for (size_t i = 0; i < levels->n; i++) {
        struct ts_level *internal = &levels->items[i];
        int64_t from = ts_level_bucket_from(level, since, internal);
        if (internal->kind == TS_LEVEL_INTERNAL && internal->since < from)
            internal->since = from;
    }
}

/* ---- The view ---- */

/*
 * Can the coarser level show the time before the finer one's? Only if their buckets fit, the coarser level reaches back
 * further than `begin`, is built up to the bucket where the two join, and leaves something for the finer level.
 * ret_join: that bucket, the coarser level's first one that the finer level has completely.
 */
static bool joins(const struct ts_levels *levels, const struct ts_level *finer, const struct ts_level *coarser,
                  ts_i128 begin, int64_t *ret_join)
{
    if (coarser->ratio % finer->ratio != 0 || (ts_i128)coarser->since * coarser->ratio >= begin)
        return false;
    *ret_join = ts_level_bucket_from(finer, finer->since, coarser);
    return *ret_join <= ts_level_built_to(levels, coarser) &&
           (finer->view_to == INT64_MAX ||
            (ts_i128)*ret_join * coarser->ratio < (ts_i128)finer->view_to * finer->ratio);
}

/*
 * From the finest to the coarsest level: each shows the time before the finer ones, joined to the last of them that it
 * can be joined to; those in between show nothing, because the coarser level has all of their time.
 */
void ts_levels_set_view(struct ts_levels *levels)
{
    struct ts_level *stack[TS_LEVELS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < levels->n; i++) {
        struct ts_level *level = &levels->items[i];
        level->view_from = level->view_to = 0;
        if (!ts_level_is_visible(level))
            continue;
        int64_t join = INT64_MAX;
        size_t below = n;
        ts_i128 begin = n ? (ts_i128)stack[n - 1]->since * stack[n - 1]->ratio : 0;
        while (below > 0 && !joins(levels, stack[below - 1], level, begin, &join))
            below--;
        if (n && !below)
            continue;
        if (below)
            stack[below - 1]->view_from = clamp((ts_i128)join * (level->ratio / stack[below - 1]->ratio));
        for (; n > below; n--)
            stack[n - 1]->view_from = stack[n - 1]->view_to = 0;
        level->view_from = level->since;
        level->view_to = below ? join : INT64_MAX;
        stack[n++] = level;
    }
}

/* ---- Invariants ---- */

static bool level_consistent(const struct ts_levels *levels, const struct ts_level *level)
{
    if (level->ratio < 1 || (ts_i128)level->ratio * levels->grid.time_slice != level->width)
        return false;
    for (size_t i = 0; i < levels->n; i++) {
        if (&levels->items[i] != level && levels->items[i].id == level->id)
            return false;
    }
    if (level->kind == TS_LEVEL_DEAD || level->source < 0)
        return true;
    const struct ts_level *source = source_of(levels, level);
    return source && source->kind != TS_LEVEL_DEAD && source->width < level->width && level->width % source->width == 0;
}

bool ts_levels_consistent(const struct ts_levels *levels)
{
    bool configured = false;
    if (levels->n > TS_LEVELS_MAX)
        return false;
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *level = &levels->items[i];
        const struct ts_level *next = i + 1 < levels->n ? level + 1 : NULL;
        if (!level_consistent(levels, level))
            return false;
        if (next && level->kind == TS_LEVEL_DEAD && next->kind != TS_LEVEL_DEAD)
            return false;
        if (next && next->kind != TS_LEVEL_DEAD && level->width >= next->width)
            return false;
        configured = configured || level->kind == TS_LEVEL_CONFIGURED;
    }
    return configured;
}
