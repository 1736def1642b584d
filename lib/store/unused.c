/*
 * Names that no row refers to: those that do not occur in a plan that covers everything. Every delta is added to every
 * level, so the widest buckets, which have few rows, refer to all names.
 */
#include "lib/store/unused.h"

#include "lib/base/array.h"

#include <stdlib.h>

struct walk {
    struct ts_counters used; /* a set of numbers: locations as bucket 0, label sets as bucket 1 */
    struct ts_unused unused;
    size_t cap_locations;
    size_t cap_label_sets;
};

static int mark_used(struct walk *walk, int64_t which, uint32_t number)
{
    static const struct ts_sums nothing;
    if (ts_counters_reserve(&walk->used, 1))
        return TS_ENOMEM;
    ts_counters_add(&walk->used, which, 0, number, &nothing);
    return 0;
}

static int on_sum(void *data, const struct ts_sum_row *row)
{
    int r = mark_used(data, 0, row->location);
    return r ? r : mark_used(data, 1, row->labels);
}

static int on_profile(void *data, const struct ts_profile_row *row)
{
    return mark_used(data, 1, row->labels);
}

static int append(uint32_t **list, size_t *n, size_t *cap, uint32_t number)
{
    int r = TS_ARRAY_RESERVE(list, cap, *n + 1);
    if (!r)
        (*list)[(*n)++] = number;
    return r;
}

static int on_location(void *data, uint32_t id, const struct ts_location *location)
{
    struct walk *walk = data;
    (void)location;
    if (ts_counters_find(&walk->used, 0, 0, id))
        return 0;
    return append(&walk->unused.locations, &walk->unused.n_locations, &walk->cap_locations, id);
}

static int on_labels(void *data, uint32_t id, const char *json, size_t len)
{
    struct walk *walk = data;
    (void)json, (void)len;
    if (ts_counters_find(&walk->used, 1, 0, id))
        return 0;
    return append(&walk->unused.label_sets, &walk->unused.n_label_sets, &walk->cap_label_sets, id);
}

int ts_reader_unused(struct ts_reader *reader, struct ts_unused *ret_unused)
{
    struct walk walk = {0};
    struct ts_plan plan;
    ts_counters_init(&walk.used);
    ts_plan_init(&plan);
    int r = ts_reader_begin(reader);
    if (!r)
        r = ts_plan_all(ts_reader_levels(reader), &plan);
    for (size_t i = 0; i < plan.n && !r; i++) {
        r = ts_reader_sums(reader, &plan.items[i], false, on_sum, &walk);
        if (!r)
            r = ts_reader_profiles(reader, &plan.items[i], false, on_profile, &walk);
    }
    if (!r)
        r = ts_reader_locations(reader, on_location, &walk);
    if (!r)
        r = ts_reader_label_sets(reader, on_labels, &walk);
    ts_reader_end(reader);
    ts_plan_deinit(&plan);
    ts_counters_deinit(&walk.used);
    if (r)
        ts_unused_deinit(&walk.unused);
    else
        *ret_unused = walk.unused;
    return r;
}

void ts_unused_deinit(struct ts_unused *unused)
{
    free(unused->locations);
    free(unused->label_sets);
    *unused = (struct ts_unused){0};
}
