/*
 * From the times that were asked for to a range that can be answered, and the plan that covers it.
 *
 * An end is widened outwards to a whole bucket of the finest level that still has it: where old fine data is gone, that
 * is a wider one, and the answer says so. An end that is not given is where the first (last) profile with the labels
 * asked for lies; it is looked for from the widest buckets down, so that it costs some rows and not all.
 */
#include "lib/base/text.h"
#include "lib/base/units.h"
#include "lib/query/internal.h"

void ts_query_range_deinit(struct ts_query_range *range)
{
    ts_plan_deinit(&range->plan);
}

static int64_t held(int64_t position)
{
    return position > TS_POSITION_MAX ? TS_POSITION_MAX : position < -TS_POSITION_MAX ? -TS_POSITION_MAX : position;
}

int64_t ts_query_position(const struct ts_grid *grid, ts_i128 ns)
{
    return held(ts_grid_bucket(grid, ns));
}

static int64_t round_down(int64_t position, int64_t unit)
{
    return ts_floor_div(position, unit) * unit;
}

static int64_t round_up(int64_t position, int64_t unit)
{
    int64_t down = round_down(position, unit);
    return down < position ? down + unit : down;
}

/* ---- The ends that are not given ---- */

struct edge {
    const struct ts_query_map *label_sets;
    const struct ts_level *level; /* of the segment that is read */
    int64_t bucket;
};

static int on_edge(void *data, const struct ts_profile_row *row)
{
    struct edge *edge = data;
    uint32_t group;
    if (!ts_query_map_get(edge->label_sets, row->labels, &group))
        return TS_ESTORE;
    if (group == TS_NO_GROUP)
        return 0;
    edge->bucket = row->bucket;
    return TS_STOP;
}

/* Widens a range that cannot be covered because an end cuts a bucket. False: that is not why. */
static bool mend(const struct ts_levels *levels, int64_t gap, int64_t *from, int64_t *to)
{
    const struct ts_level *level = ts_plan_finest(levels, gap);
    if (!level)
        return false;
    int64_t begin = round_down(gap, level->ratio);
    if (begin < gap && gap == *from) {
        *from = begin;
        return true;
    }
    if (begin < gap || begin + level->ratio <= *to)
        return false;
    *to = begin + level->ratio;
    return true;
}

/* The first or last profile within [from, to): 0 and the level and bucket it is in, level NULL where there is none. */
static int find_edge(struct ts_reader *reader, const struct ts_query_map *label_sets, int64_t from, int64_t to,
                     bool last, struct edge *ret_edge)
{
    const struct ts_levels *levels = ts_reader_levels(reader);
    struct edge found = {.label_sets = label_sets};
    struct ts_plan_rule rule = {0};
    struct ts_plan plan;
    int64_t gap;
    int r;
    ts_plan_init(&plan);
    for (;;) {
        r = ts_plan_make(levels, from, to, rule, &plan, &gap);
        if (r == TS_PLAN_GAP && !rule.below && mend(levels, gap, &from, &to))
            continue;
        if (r)
            break;
        struct edge edge = {.label_sets = label_sets};
        for (size_t i = 0; i < plan.n && r != TS_STOP; i++) {
            const struct ts_segment *segment = &plan.items[last ? plan.n - 1 - i : i];
            edge.level = segment->level;
            r = ts_reader_profiles(reader, segment, last, on_edge, &edge);
            if (r < 0)
                break;
        }
        if (r != TS_STOP)
            break;
        r = 0;
        found = edge;
        if (edge.level->ratio == 1)
            break;
        from = ts_level_position(edge.level, edge.bucket);
        to = from + edge.level->ratio;
        rule.below = edge.level->ratio;
    }
    ts_plan_deinit(&plan);
    if (r == TS_PLAN_GAP && !rule.below) /* all there is can be covered, always */
        return TS_ESTORE;
    *ret_edge = found;
    return r < 0 ? r : 0;
}

static int find_ends(struct ts_query_range *range, struct ts_reader *reader, const struct ts_query_map *label_sets)
{
    struct edge edge;
    int64_t from;
    int64_t to;
    ts_plan_axis(ts_reader_levels(reader), &from, &to);
    if (!range->has_from) {
        int64_t until = range->has_to && range->to < to ? range->to : to;
        int r = find_edge(reader, label_sets, from, until, false, &edge);
        if (r)
            return r;
        if (edge.level) {
            range->has_from = true;
            range->from = ts_level_position(edge.level, edge.bucket);
            range->from_width = edge.level->width;
        }
    }
    if (!range->has_to) {
        int64_t since = range->has_from && range->from > from ? range->from : from;
        int r = find_edge(reader, label_sets, since, to, true, &edge);
        if (r)
            return r;
        if (edge.level) {
            range->has_to = true;
            range->to = ts_level_position(edge.level, edge.bucket) + edge.level->ratio;
            range->to_width = edge.level->width;
        }
    }
    return 0;
}

/* ---- The ends that are given ---- */

/* Where nothing is kept any more, what is kept longest says how wide its buckets were. */
static const struct ts_level *level_at(const struct ts_levels *levels, int64_t position)
{
    const struct ts_level *level = ts_plan_finest(levels, position);
    for (size_t i = 0; i < levels->n && !level; i++) {
        if (ts_level_is_longest(levels, &levels->items[i]))
            level = &levels->items[i];
    }
    return level ? level : &levels->items[0];
}

static void take_ends(struct ts_query_range *range, const struct ts_query *query, const struct ts_levels *levels)
{
    const struct ts_query_span *span = &query->span;
    int64_t from = 0;
    if (span->has_from) {
        from = ts_query_position(&query->grid, span->from);
        const struct ts_level *level = level_at(levels, from);
        range->from = held(round_down(from, level->ratio));
        range->from_width = level->width;
    }
    if (span->has_to) {
        int64_t to = ts_query_position(&query->grid, span->to);
        if (ts_grid_begin(&query->grid, to) < span->to && to < TS_POSITION_MAX)
            to++;
        bool empty = span->has_from && to <= from;
        const struct ts_level *level = level_at(levels, to - 1);
        range->to = empty ? range->from : held(round_up(to, level->ratio));
        range->to_width = level->width;
    }
    range->has_from = span->has_from;
    range->has_to = span->has_to;
}

/* ---- The plan ---- */

static void widen(struct ts_query_range *range, int64_t unit)
{
    if (range->has_from)
        range->from = held(round_down(range->from, unit));
    if (range->has_to)
        range->to = held(round_up(range->to, unit));
}

static int cover(struct ts_query_range *range, const struct ts_levels *levels, int64_t unit, int64_t *ret_gap)
{
    int64_t begin = ts_plan_begin(levels);
    int64_t from = range->from > begin ? range->from : begin;
    range->plan.n = 0;
    if (!range->has_from || !range->has_to || from >= range->to)
        return 0;
    return ts_plan_make(levels, from, range->to, (struct ts_plan_rule){.unit = unit}, &range->plan, ret_gap);
}

/* Of any width. Where the finest level begins within a wider bucket that `to` cuts, that bucket is the last one. */
static int cover_by_any(struct ts_query_range *range, const struct ts_levels *levels, int64_t *ret_gap)
{
    int r;
    while ((r = cover(range, levels, 0, ret_gap)) == TS_PLAN_GAP) {
        int64_t from = range->from;
        int64_t to = range->to;
        if (!mend(levels, *ret_gap, &from, &to))
            break;
        int64_t *width = to > range->to ? &range->to_width : &range->from_width;
        *width = ts_plan_finest(levels, *ret_gap)->width;
        range->from = from;
        range->to = to;
    }
    return r;
}

static int refuse_width(const struct ts_query *query, const struct ts_levels *levels, int64_t gap,
                        struct ts_query_error *error)
{
    char asked[32], kept[32];
    struct ts_buf at;
    const struct ts_level *level = level_at(levels, gap);
    ts_buf_init(&at);
    ts_put_seconds(&at, ts_grid_begin(&query->grid, gap));
    ts_query_fail(
        error, TS_QUERY_NOT_KEPT, "time_slice",
        "buckets of %s are not kept over the whole range: at %.*s they are %s wide; ask for a multiple of that, or"
        " for a later range",
        ts_format_duration(query->unit * query->grid.time_slice, asked), (int)at.len, at.data ? at.data : "",
        ts_format_duration(level->width, kept));
    ts_buf_deinit(&at);
    return TS_EINVAL;
}

/* Buckets as narrow as they are kept over the whole range. */
static int choose_unit(struct ts_query_range *range, const struct ts_levels *levels, int64_t *ret_gap)
{
    int r = TS_PLAN_GAP;
    for (size_t i = 0; i < levels->n && r > 0; i++) {
        const struct ts_level *level = &levels->items[i];
        if (level->kind != TS_LEVEL_CONFIGURED)
            continue;
        struct ts_query_range wider = *range;
        widen(&wider, level->ratio);
        r = cover(&wider, levels, level->ratio, ret_gap);
        range->plan = wider.plan;
        if (r == 0) {
            *range = wider;
            range->unit = level->ratio;
        }
    }
    return r;
}

int ts_query_range_find(const struct ts_query *query, struct ts_reader *reader, const struct ts_query_names *names,
                        struct ts_query_range *range, struct ts_query_error *ret_error)
{
    const struct ts_levels *levels = ts_reader_levels(reader);
    int64_t gap = 0;
    ts_plan_init(&range->plan);
    take_ends(range, query, levels);
    if (query->unit)
        widen(range, query->unit); /* before it is looked for what lies within */
    int r = find_ends(range, reader, &names->label_sets);
    if (r)
        return r;
    if (query->kind == TS_QUERY_BUCKETS && !query->unit) {
        r = choose_unit(range, levels, &gap);
    } else {
        range->unit = query->unit ? query->unit : 1;
        widen(range, range->unit);
        r = query->unit ? cover(range, levels, query->unit, &gap) : cover_by_any(range, levels, &gap);
    }
    if (r == TS_PLAN_GAP && query->unit)
        return refuse_width(query, levels, gap, ret_error);
    return r > 0 ? ts_query_fail(ret_error, TS_QUERY_STORE_UNAVAILABLE, "",
                                 "levels of retention are being rebuilt, and no one of them covers the range yet")
                 : r;
}
