#include "lib/query/first_last.h"

#include <assert.h>
#include <stdlib.h>

struct item {
    bool found;
    bool wanted; /* to be found in a narrower bucket */
    bool done;   /* no narrower level has the bucket of the current end */
    const struct ts_level *level[2];
    int64_t bucket[2];
};

struct walk {
    struct ts_reader *reader;
    bool profiles;
    const struct ts_id_map *map;
    struct item *items;
    size_t n;
    const struct ts_segment *segment; /* being read */
    ts_profile_cb on_profile;
    void *data;
    bool narrowing;
    int end;         /* while narrowing: TS_FIRST or TS_LAST */
    size_t n_wanted; /* while narrowing */
};

static void set(struct walk *walk, struct item *item, int end, int64_t bucket)
{
    item->level[end] = walk->segment->level;
    item->bucket[end] = bucket;
}

static int add(struct walk *walk, uint32_t id, int64_t bucket)
{
    uint32_t index;
    if (!ts_id_map_get(walk->map, id, &index))
        return TS_ESTORE;
    if (index == TS_NO_GROUP)
        return 0;
    assert(index < walk->n);
    struct item *item = &walk->items[index];
    if (!walk->narrowing) {
        if (!item->found)
            set(walk, item, TS_FIRST, bucket);
        set(walk, item, TS_LAST, bucket);
        item->found = true;
        return 0;
    }
    if (!item->wanted)
        return 0;
    set(walk, item, walk->end, bucket);
    item->wanted = false;
    return --walk->n_wanted ? 0 : TS_STOP;
}

static int on_sum(void *data, const struct ts_sum_row *row)
{
    return add(data, row->location, row->bucket);
}

static int on_profile(void *data, const struct ts_profile_row *row)
{
    struct walk *walk = data;
    int r = add(walk, row->labels, row->bucket);
    return r || walk->narrowing || !walk->on_profile ? r : walk->on_profile(walk->data, row);
}

static int read_segment(struct walk *walk, const struct ts_segment *segment)
{
    bool descending = walk->narrowing && walk->end == TS_LAST;
    walk->segment = segment;
    return walk->profiles ? ts_reader_profiles(walk->reader, segment, descending, on_profile, walk)
                          : ts_reader_sums(walk->reader, segment, descending, on_sum, walk);
}

static int read_all(struct walk *walk)
{
    struct ts_plan plan;
    ts_plan_init(&plan);
    int r = ts_plan_all(ts_reader_levels(walk->reader), &plan);
    for (size_t i = 0; i < plan.n && r == 0; i++)
        r = read_segment(walk, &plan.items[i]);
    ts_plan_deinit(&plan);
    return r == TS_PLAN_GAP ? TS_ESTORE : r;
}

/* ---- Narrowing ---- */

/* The bucket in which an item was found. */
struct place {
    const struct ts_level *level;
    int64_t bucket;
    uint32_t item;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a;
    const struct place *y = b;
    if (x->level != y->level)
        return x->level < y->level ? -1 : 1;
    return x->bucket < y->bucket ? -1 : x->bucket > y->bucket;
}

/* Narrows all items down that were found in one bucket. Marks those done for which this is not possible any further. */
static int narrow_bucket(struct walk *walk, const struct place *places, size_t n, struct ts_plan *plan)
{
    const struct ts_level *level = places[0].level;
    int64_t from = ts_level_position(level, places[0].bucket);
    struct ts_plan_rule rule = {.below = level->ratio};
    int64_t gap;
    int r = ts_plan_make(ts_reader_levels(walk->reader), from, from + level->ratio, rule, plan, &gap);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++)
        walk->items[places[i].item].wanted = true;
    walk->n_wanted = n;
    for (size_t i = 0; i < plan->n && r == 0; i++)
        r = read_segment(walk, &plan->items[walk->end == TS_LAST ? plan->n - 1 - i : i]);
    for (size_t i = 0; i < n; i++) {
        struct item *item = &walk->items[places[i].item];
        item->done = item->wanted || item->level[walk->end]->ratio == 1;
        item->wanted = false;
    }
    return r < 0 ? r : 0;
}

static size_t find_places(const struct walk *walk, struct place *places)
{
    size_t n = 0;
    for (uint32_t i = 0; i < walk->n; i++) {
        const struct item *item = &walk->items[i];
        if (item->found && !item->done && item->level[walk->end]->ratio > 1)
            places[n++] = (struct place){item->level[walk->end], item->bucket[walk->end], i};
    }
    qsort(places, n, sizeof(*places), compare_places);
    return n;
}

static int narrow(struct walk *walk, int end, struct place *places)
{
    struct ts_plan plan;
    size_t n;
    int r = 0;
    ts_plan_init(&plan);
    walk->narrowing = true;
    walk->end = end;
    for (size_t i = 0; i < walk->n; i++)
        walk->items[i].done = false;
    while (!r && (n = find_places(walk, places)) > 0) {
        for (size_t i = 0, next; !r && i < n; i = next) {
            for (next = i + 1; next < n && compare_places(&places[i], &places[next]) == 0;)
                next++;
            r = narrow_bucket(walk, places + i, next - i, &plan);
        }
    }
    ts_plan_deinit(&plan);
    return r;
}

static void set_positions(const struct walk *walk, struct ts_first_last *ret_items)
{
    for (size_t i = 0; i < walk->n; i++) {
        const struct item *item = &walk->items[i];
        ret_items[i] = (struct ts_first_last){.found = item->found};
        for (int end = 0; end < 2 && item->found; end++)
            ret_items[i].position[end] = ts_level_position(item->level[end], item->bucket[end]);
        assert(!item->found || ret_items[i].position[TS_FIRST] <= ret_items[i].position[TS_LAST]);
    }
}

int ts_first_last_find(struct ts_reader *reader, bool profiles, const struct ts_id_map *map, size_t n,
                       struct ts_first_last *ret_items, ts_profile_cb cb, void *data)
{
    struct walk walk = {.reader = reader, .profiles = profiles, .map = map, .n = n, .on_profile = cb, .data = data};
    struct place *places = calloc(n + 1, sizeof(*places));
    walk.items = calloc(n + 1, sizeof(*walk.items));
    int r = places && walk.items ? read_all(&walk) : TS_ENOMEM;
    for (int end = 0; end < 2 && !r; end++)
        r = narrow(&walk, end, places);
    if (!r)
        set_positions(&walk, ret_items);
    free(places);
    free(walk.items);
    return r;
}
