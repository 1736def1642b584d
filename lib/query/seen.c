/*
 * The first and the last bucket that has a thing: found in the widest buckets, then narrowed down level by level, only
 * within the buckets where something is still to be narrowed, and no further than all of it is found.
 */
#include "lib/query/internal.h"

#include <stdlib.h>

struct walk {
    const struct ts_query_map *map;
    struct ts_seen *seen;
    const struct ts_segment *segment;
    ts_profile_cb on_profile;
    void *data;
    /* while narrowing */
    int end;               /* 0: the first buckets, 1: the last ones */
    const uint8_t *wanted; /* [thing] */
    uint8_t *found;
    size_t n_left;
};

static int note(struct walk *walk, uint32_t number, int64_t bucket)
{
    uint32_t thing;
    if (!ts_query_map_get(walk->map, number, &thing))
        return TS_ESTORE;
    if (thing == TS_NO_GROUP)
        return 0;
    struct ts_seen *seen = &walk->seen[thing];
    if (!walk->wanted) {
        if (!seen->seen) {
            seen->seen = true;
            seen->level[0] = walk->segment->level;
            seen->bucket[0] = bucket;
        }
        seen->level[1] = walk->segment->level;
        seen->bucket[1] = bucket;
        return 0;
    }
    if (!walk->wanted[thing] || walk->found[thing])
        return 0;
    walk->found[thing] = 1;
    seen->level[walk->end] = walk->segment->level;
    seen->bucket[walk->end] = bucket;
    return --walk->n_left ? 0 : TS_STOP;
}

static int on_sum(void *data, const struct ts_sum_row *row)
{
    return note(data, row->location, row->bucket);
}

static int on_profile(void *data, const struct ts_profile_row *row)
{
    struct walk *walk = data;
    int r = note(walk, row->labels, row->bucket);
    return r || walk->wanted || !walk->on_profile ? r : walk->on_profile(walk->data, row);
}

static int read_segment(struct walk *walk, struct ts_reader *reader, bool profiles, const struct ts_segment *segment)
{
    walk->segment = segment;
    return profiles ? ts_reader_profiles(reader, segment, walk->end, on_profile, walk)
                    : ts_reader_sums(reader, segment, walk->end, on_sum, walk);
}

struct place {
    const struct ts_level *level;
    int64_t bucket;
    uint32_t thing;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a;
    const struct place *y = b;
    if (x->level != y->level)
        return x->level < y->level ? -1 : 1;
    return x->bucket < y->bucket ? -1 : x->bucket > y->bucket;
}

/* All things whose end lies in this one bucket, into narrower ones, where there are such. */
static int narrow_bucket(struct walk *walk, struct ts_reader *reader, bool profiles, const struct place *places,
                         size_t n, uint8_t *wanted, uint8_t *done, struct ts_plan *plan)
{
    const struct ts_level *level = places[0].level;
    int64_t from = ts_level_position(level, places[0].bucket);
    int64_t gap;
    int r = ts_plan_make(ts_reader_levels(reader), from, from + level->ratio,
                         (struct ts_plan_rule){.below = level->ratio}, plan, &gap);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n && r == TS_PLAN_GAP; i++)
        done[places[i].thing] = 1;
    if (r == TS_PLAN_GAP)
        return 0;
    for (size_t i = 0; i < n; i++)
        wanted[places[i].thing] = 1;
    walk->n_left = n;
    for (size_t i = 0; i < plan->n && r == 0; i++)
        r = read_segment(walk, reader, profiles, &plan->items[walk->end ? plan->n - 1 - i : i]);
    for (size_t i = 0; i < n; i++) {
        uint32_t thing = places[i].thing;
        done[thing] = done[thing] || !walk->found[thing] || walk->seen[thing].level[walk->end]->ratio == 1;
        wanted[thing] = walk->found[thing] = 0;
    }
    return r < 0 ? r : 0;
}

static int narrow(struct walk *walk, struct ts_reader *reader, bool profiles, size_t n, int end)
{
    uint8_t *marks = calloc(3 * n + 1, 1); /* wanted, found, done */
    struct place *places = calloc(n + 1, sizeof(*places));
    struct ts_plan plan;
    int r = marks && places ? 0 : TS_ENOMEM;
    size_t n_places = 1;
    ts_plan_init(&plan);
    walk->end = end;
    walk->wanted = marks;
    walk->found = marks ? marks + n : NULL;
    while (!r && n_places) {
        n_places = 0;
        for (uint32_t i = 0; i < n; i++) {
            const struct ts_seen *seen = &walk->seen[i];
            if (seen->seen && !marks[2 * n + i] && seen->level[end]->ratio > 1)
                places[n_places++] = (struct place){seen->level[end], seen->bucket[end], i};
        }
        qsort(places, n_places, sizeof(*places), compare_places);
        for (size_t i = 0, next; !r && i < n_places; i = next) {
            for (next = i + 1; next < n_places && compare_places(&places[i], &places[next]) == 0;)
                next++;
            r = narrow_bucket(walk, reader, profiles, places + i, next - i, marks, marks + 2 * n, &plan);
        }
    }
    ts_plan_deinit(&plan);
    free(places);
    free(marks);
    return r;
}

int ts_seen_find(struct ts_reader *reader, bool profiles, const struct ts_query_map *map, struct ts_seen *seen,
                 size_t n, ts_profile_cb cb, void *data)
{
    struct walk walk = {.map = map, .seen = seen, .on_profile = cb, .data = data};
    struct ts_plan plan;
    ts_plan_init(&plan);
    int r = ts_plan_all(ts_reader_levels(reader), &plan);
    for (size_t i = 0; i < plan.n && r == 0; i++)
        r = read_segment(&walk, reader, profiles, &plan.items[i]);
    ts_plan_deinit(&plan);
    for (int end = 0; end < 2 && !r; end++)
        r = narrow(&walk, reader, profiles, n, end);
    return r == TS_PLAN_GAP ? TS_ESTORE : r;
}
