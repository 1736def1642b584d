#include "lib/query/buckets.h"

#include "lib/base/array.h"
#include "lib/query/error.h"

#include <assert.h>
#include <stdlib.h>

void ts_query_buckets_deinit(struct ts_query_buckets *buckets)
{
    free(buckets->items);
    *buckets = (struct ts_query_buckets){0};
}

struct walk {
    const struct ts_query *query;
    const struct ts_query_names *names;
    const struct ts_query_range *range;
    struct ts_query_buckets *buckets;
    const struct ts_level *level; /* being read */
    struct ts_query_error *error;
};

static int fail_too_many(struct ts_query_error *error)
{
    return ts_query_fail(error, TS_QUERY_TOO_LARGE, "",
                         "the response would have more than %d values; use a shorter range or a wider time_slice",
                         TS_QUERY_VALUES_MAX);
}

static void add_totals(struct ts_profile_totals *totals, const struct ts_profile_sums *sums)
{
    totals->profiles += sums->profiles;
    totals->exact_profiles += sums->exact_profiles;
    totals->total_tt += sums->total_tt;
    totals->parts_missing += (ts_i128)sums->parts_expected - sums->parts_received;
}

static int append_bucket(struct ts_query_buckets *buckets, int64_t index, struct ts_query_error *error)
{
    assert(!buckets->n || buckets->items[buckets->n - 1].index < index);
    if (buckets->n == TS_QUERY_VALUES_MAX)
        return fail_too_many(error);
    int r = TS_ARRAY_RESERVE(&buckets->items, &buckets->cap, buckets->n + 1);
    if (!r)
        buckets->items[buckets->n++] = (struct ts_query_bucket){.index = index};
    return r;
}

static int on_profile(void *data, const struct ts_profile_row *row)
{
    struct walk *walk = data;
    struct ts_query_buckets *buckets = walk->buckets;
    uint32_t group;
    if (!ts_id_map_get(&walk->names->label_sets, row->labels, &group))
        return TS_ESTORE; /* damaged: a row of an unknown label set */
    if (group == TS_NO_GROUP)
        return 0;
    add_totals(&buckets->all, &row->sums);
    if (walk->query->kind != TS_QUERY_BUCKETS)
        return 0;
    int64_t index = ts_query_bucket_index(walk->range, walk->level, row->bucket);
    if (!buckets->n || buckets->items[buckets->n - 1].index != index) {
        int r = append_bucket(buckets, index, walk->error);
        if (r)
            return r;
    }
    add_totals(&buckets->items[buckets->n - 1].totals, &row->sums);
    return 0;
}

/* Adds the buckets of the range that have no profile. */
static int fill(struct ts_query_buckets *buckets, const struct ts_query_range *range, struct ts_query_error *error)
{
    if (!range->has_from || !range->has_to || range->from >= range->to)
        return 0;
    int64_t from = ts_floor_div(range->from, range->unit);
    int64_t n = ts_floor_div(range->to - 1, range->unit) + 1 - from;
    if (n > TS_QUERY_VALUES_MAX)
        return fail_too_many(error);
    struct ts_query_bucket *items = calloc((size_t)n, sizeof(*items));
    if (!items)
        return TS_ENOMEM;
    for (size_t i = 0; i < (size_t)n; i++)
        items[i].index = from + (int64_t)i;
    for (size_t i = 0; i < buckets->n; i++) {
        int64_t index = buckets->items[i].index;
        assert(index >= from && index - from < n);
        items[index - from] = buckets->items[i];
    }
    free(buckets->items);
    buckets->items = items;
    buckets->n = buckets->cap = (size_t)n;
    return 0;
}

int ts_query_buckets_collect(const struct ts_query *query, struct ts_reader *reader, const struct ts_query_names *names,
                             const struct ts_query_range *range, struct ts_query_buckets *buckets,
                             struct ts_query_error *ret_error)
{
    const struct ts_plan *plan = &range->plan;
    struct walk walk = {.query = query, .names = names, .range = range, .buckets = buckets, .error = ret_error};
    int r = 0;
    for (size_t i = 0; i < plan->n && !r; i++) {
        walk.level = plan->items[i].level;
        r = ts_reader_profiles(reader, &plan->items[i], false, on_profile, &walk);
    }
    return r || !query->fill ? r : fill(buckets, range, ret_error);
}
