#include "lib/query/edge.h"

#include <assert.h>

struct walk {
    const struct ts_id_map *label_sets;
    int64_t bucket;
};

static int on_profile(void *data, const struct ts_profile_row *row)
{
    struct walk *walk = data;
    uint32_t group;
    if (!ts_id_map_get(walk->label_sets, row->labels, &group))
        return TS_ESTORE;
    if (group == TS_NO_GROUP)
        return 0;
    walk->bucket = row->bucket;
    return TS_STOP;
}

bool ts_query_widen_to_bucket(const struct ts_levels *levels, int64_t gap, int64_t *from, int64_t *to)
{
    const struct ts_level *level = ts_plan_finest(levels, gap);
    if (!level)
        return false;
    int64_t begin = ts_floor_div(gap, level->ratio) * level->ratio;
    if (begin < gap && gap == *from) {
        *from = begin;
        return true;
    }
    if (begin < gap || begin + level->ratio <= *to)
        return false;
    *to = begin + level->ratio;
    return true;
}

/* TS_STOP and ret_edge if a segment of the plan has a profile, else 0. */
static int search(struct ts_reader *reader, const struct ts_plan *plan, const struct ts_id_map *label_sets, bool last,
                  struct ts_query_edge *ret_edge)
{
    struct walk walk = {.label_sets = label_sets};
    for (size_t i = 0; i < plan->n; i++) {
        const struct ts_segment *segment = &plan->items[last ? plan->n - 1 - i : i];
        int r = ts_reader_profiles(reader, segment, last, on_profile, &walk);
        if (r == TS_STOP)
            *ret_edge = (struct ts_query_edge){segment->level, walk.bucket};
        if (r)
            return r;
    }
    return 0;
}

int ts_query_edge_find(struct ts_reader *reader, const struct ts_id_map *label_sets, int64_t from, int64_t to,
                       bool last, struct ts_query_edge *ret_edge)
{
    const struct ts_levels *levels = ts_reader_levels(reader);
    struct ts_query_edge found = {NULL, 0};
    struct ts_plan_rule rule = {0};
    struct ts_plan plan;
    int64_t gap;
    int r;
    ts_plan_init(&plan);
    do {
        r = ts_plan_make(levels, from, to, rule, &plan, &gap);
        while (r == TS_PLAN_GAP && !found.level && ts_query_widen_to_bucket(levels, gap, &from, &to))
            r = ts_plan_make(levels, from, to, rule, &plan, &gap);
        if (!r)
            r = search(reader, &plan, label_sets, last, &found);
        if (r == TS_STOP) {
            assert(!rule.below || found.level->ratio < rule.below);
            from = ts_level_position(found.level, found.bucket);
            to = from + found.level->ratio;
            rule.below = found.level->ratio;
        }
    } while (r == TS_STOP && found.level->ratio > 1);
    ts_plan_deinit(&plan);
    if (r < 0)
        return r;
    /* A gap ends the search if no narrower level has the bucket found. Otherwise everything that is kept has a plan. */
    if (r == TS_PLAN_GAP && !found.level)
        return TS_ESTORE;
    *ret_edge = found;
    return 0;
}
