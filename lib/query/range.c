#include "lib/query/range.h"

#include "lib/base/text.h"
#include "lib/base/units.h"
#include "lib/query/edge.h"
#include "lib/query/error.h"

#include <assert.h>

void ts_query_range_deinit(struct ts_query_range *range)
{
    ts_plan_deinit(&range->plan);
}

static int64_t clamp(int64_t position)
{
    return position > TS_POSITION_MAX ? TS_POSITION_MAX : position < -TS_POSITION_MAX ? -TS_POSITION_MAX : position;
}

int64_t ts_query_position(const struct ts_grid *grid, ts_i128 ns)
{
    return clamp(ts_grid_bucket(grid, ns));
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

/* Rounds the known ends outwards to multiples of unit. */
static void widen(struct ts_query_range *range, int64_t unit)
{
    if (range->has_from)
        range->from = clamp(round_down(range->from, unit));
    if (range->has_to)
        range->to = clamp(round_up(range->to, unit));
}

/* ---- Ends ---- */

/* The finest level that has the position. If none has it any more, the level that is kept longest. */
static const struct ts_level *level_at(const struct ts_levels *levels, int64_t position)
{
    const struct ts_level *level = ts_plan_finest(levels, position);
    for (size_t i = 0; i < levels->n && !level; i++) {
        if (ts_level_is_longest(levels, &levels->items[i]))
            level = &levels->items[i];
    }
    return level ? level : &levels->items[0];
}

static void set_given_ends(struct ts_query_range *range, const struct ts_query *query, const struct ts_levels *levels)
{
    const struct ts_query_span *span = &query->span;
    int64_t from = 0;
    if (span->has_from) {
        from = ts_query_position(&query->grid, span->from);
        const struct ts_level *level = level_at(levels, from);
        range->from = clamp(round_down(from, level->ratio));
        range->from_width = level->width;
    }
    if (span->has_to) {
        int64_t to = ts_query_position(&query->grid, span->to);
        if (ts_grid_begin(&query->grid, to) < span->to && to < TS_POSITION_MAX)
            to++;
        bool empty = span->has_from && to <= from;
        const struct ts_level *level = level_at(levels, to - 1);
        range->to = empty ? range->from : clamp(round_up(to, level->ratio));
        range->to_width = level->width;
    }
    range->has_from = span->has_from;
    range->has_to = span->has_to;
}

static int find_other_ends(struct ts_query_range *range, struct ts_reader *reader, const struct ts_id_map *label_sets)
{
    struct ts_query_edge edge;
    int64_t from;
    int64_t to;
    ts_plan_axis(ts_reader_levels(reader), &from, &to);
    if (!range->has_from) {
        int64_t until = range->has_to && range->to < to ? range->to : to;
        int r = ts_query_edge_find(reader, label_sets, from, until, false, &edge);
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
        int r = ts_query_edge_find(reader, label_sets, since, to, true, &edge);
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

/* ---- The plan ---- */

static int make_plan(struct ts_query_range *range, const struct ts_levels *levels, int64_t unit, int64_t *ret_gap)
{
    int64_t begin = ts_plan_begin(levels);
    int64_t from = range->from > begin ? range->from : begin;
    range->plan.n = 0;
    if (!range->has_from || !range->has_to || from >= range->to)
        return 0;
    return ts_plan_make(levels, from, range->to, (struct ts_plan_rule){.unit = unit}, &range->plan, ret_gap);
}

/*
 * Plans with levels of any width. An end may still lie within a bucket: the finest level may begin within a wider
 * bucket, which `to` then cuts. The range is widened to include that bucket.
 */
static int plan_any_width(struct ts_query_range *range, const struct ts_levels *levels, int64_t *ret_gap)
{
    int r;
    while ((r = make_plan(range, levels, 0, ret_gap)) == TS_PLAN_GAP) {
        int64_t from = range->from;
        int64_t to = range->to;
        if (!ts_query_widen_to_bucket(levels, *ret_gap, &from, &to))
            break;
        assert(from < range->from || to > range->to);
        int64_t *width = to > range->to ? &range->to_width : &range->from_width;
        *width = ts_plan_finest(levels, *ret_gap)->width;
        range->from = from;
        range->to = to;
    }
    return r;
}

/* Plans with the narrowest buckets that are kept for the entire range. */
static int plan_narrowest(struct ts_query_range *range, const struct ts_levels *levels, int64_t *ret_gap)
{
    int r = TS_PLAN_GAP;
    for (size_t i = 0; i < levels->n && r == TS_PLAN_GAP; i++) {
        const struct ts_level *level = &levels->items[i];
        if (level->kind != TS_LEVEL_CONFIGURED)
            continue;
        struct ts_query_range widened = *range;
        widen(&widened, level->ratio);
        r = make_plan(&widened, levels, level->ratio, ret_gap);
        range->plan = widened.plan;
        if (r == 0) {
            *range = widened;
            range->unit = level->ratio;
        }
    }
    return r;
}

static int fail_not_kept(const struct ts_query *query, const struct ts_levels *levels, int64_t gap,
                         struct ts_query_error *error)
{
    char requested[32], kept[32];
    struct ts_buf at;
    const struct ts_level *level = level_at(levels, gap);
    ts_buf_init(&at);
    ts_put_seconds(&at, ts_grid_begin(&query->grid, gap));
    ts_query_fail(error, TS_QUERY_NOT_KEPT, "time_slice",
                  "buckets of %s are not kept for the entire range: at %.*s they are %s wide; use a multiple of that or"
                  " a later range",
                  ts_format_duration(query->unit * query->grid.time_slice, requested), (int)at.len,
                  at.data ? at.data : "", ts_format_duration(level->width, kept));
    ts_buf_deinit(&at);
    return TS_EINVAL;
}

int ts_query_range_find(const struct ts_query *query, struct ts_reader *reader, const struct ts_id_map *label_sets,
                        struct ts_query_range *range, struct ts_query_error *ret_error)
{
    const struct ts_levels *levels = ts_reader_levels(reader);
    int64_t gap = 0;
    ts_plan_init(&range->plan);
    set_given_ends(range, query, levels);
    if (query->unit)
        widen(range, query->unit); /* before the other end is searched for within the range */
    int r = find_other_ends(range, reader, label_sets);
    if (r)
        return r;
    if (query->kind == TS_QUERY_BUCKETS && !query->unit) {
        r = plan_narrowest(range, levels, &gap);
    } else {
        range->unit = query->unit ? query->unit : 1;
        widen(range, range->unit);
        r = query->unit ? make_plan(range, levels, query->unit, &gap) : plan_any_width(range, levels, &gap);
    }
    if (r == TS_PLAN_GAP && query->unit)
        return fail_not_kept(query, levels, gap, ret_error);
    if (r == TS_PLAN_GAP)
        return ts_query_fail(ret_error, TS_QUERY_STORE_UNAVAILABLE, "",
                             "retention levels are being rebuilt and none covers the range yet; try again later");
    assert(r || range->unit > 0);
    assert(r || !range->has_from || !range->has_to || range->from <= range->to);
    return r;
}
