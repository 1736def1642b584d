/*
 * Reads the names, finds the range, then reads the profiles of each bucket, then the sums.
 *
 * The matrix of buckets needs its rows before its cells, but which functions have a row, and which are the `top` ones,
 * is known only after all sums have been read. If a cell for every group fits into the limit, a single walk over the
 * sums adds up cells and totals. Otherwise a first walk adds up the totals; a second walk, in the same transaction,
 * adds up the cells of the rows that are shown, and everything else in one row, `other`. So whether a matrix is too
 * large is known before memory is allocated for it.
 */
#include "lib/query/result.h"

#include "lib/query/error.h"

#include <assert.h>
#include <stdlib.h>

/* ---- Sums ---- */

struct walk {
    struct ts_query_result *result;
    bool totals;                  /* add up totals in this walk */
    bool cells;                   /* add up cells in this walk */
    size_t bucket;                /* the current one of result->buckets */
    const struct ts_level *level; /* being read */
    struct ts_query_error *error;
};

static int fail_too_many(struct ts_query_error *error)
{
    return ts_query_fail(
        error, TS_QUERY_TOO_LARGE, "",
        "the response would have more than %d values; use a shorter range, a wider time_slice or a smaller top",
        TS_QUERY_VALUES_MAX);
}

/* The group of a row; TS_NO_GROUP if a filter excludes it. */
static int find_group(const struct ts_query_result *result, const struct ts_sum_row *row, uint32_t *ret_group)
{
    const struct ts_query_names *names = &result->names;
    uint32_t by_labels;
    uint32_t by_location = 0;
    if (!ts_id_map_get(&names->label_sets, row->labels, &by_labels))
        return TS_ESTORE;
    if (by_labels != TS_NO_GROUP && names->has_locations &&
        !ts_id_map_get(&names->locations, row->location, &by_location))
        return TS_ESTORE;
    if (by_labels == TS_NO_GROUP || by_location == TS_NO_GROUP)
        *ret_group = TS_NO_GROUP;
    else
        *ret_group = result->query->by == TS_BY_LABEL ? by_labels : by_location;
    return 0;
}

static size_t values_per_row(const struct ts_query_result *result)
{
    return result->query->kind == TS_QUERY_BUCKETS ? result->buckets.n : 1;
}

static int add_to_totals(struct walk *walk, uint32_t group, const struct ts_sums *sums)
{
    struct ts_query_result *result = walk->result;
    const struct ts_query *query = result->query;
    if (!result->has_row[group]) {
        result->has_row[group] = 1;
        result->n_rows++;
        if (query->top == SIZE_MAX && result->n_rows * values_per_row(result) > TS_QUERY_VALUES_MAX)
            return fail_too_many(walk->error);
    }
    ts_i128 *totals = result->totals + group * result->n_totals;
    if (query->kind == TS_QUERY_BUCKETS) {
        totals[0] += ts_metric_of(sums, query->metric);
        return 0;
    }
    for (int i = 0; i < TS_METRICS; i++)
        totals[i] += ts_metric_of(sums, (enum ts_metric)i);
    return 0;
}

static int add_to_cell(struct walk *walk, uint32_t group, const struct ts_sum_row *row)
{
    struct ts_query_result *result = walk->result;
    const struct ts_query_buckets *buckets = &result->buckets;
    int64_t index = ts_query_bucket_index(&result->range, walk->level, row->bucket);
    while (walk->bucket < buckets->n && buckets->items[walk->bucket].index < index)
        walk->bucket++;
    if (walk->bucket == buckets->n || buckets->items[walk->bucket].index != index)
        return TS_ESTORE; /* damaged: every commit that writes sums writes their profile too */
    result->cells[result->row_of[group] * buckets->n + walk->bucket] += ts_metric_of(&row->sums, result->query->metric);
    return 0;
}

static int on_sum(void *data, const struct ts_sum_row *row)
{
    struct walk *walk = data;
    uint32_t group;
    int r = find_group(walk->result, row, &group);
    if (r || group == TS_NO_GROUP)
        return r;
    if (walk->totals)
        r = add_to_totals(walk, group, &row->sums);
    if (!r && walk->cells)
        r = add_to_cell(walk, group, row);
    return r;
}

static int walk_sums(struct ts_query_result *result, struct ts_reader *reader, bool totals, bool cells,
                     struct ts_query_error *error)
{
    struct walk walk = {.result = result, .totals = totals, .cells = cells, .error = error};
    const struct ts_plan *plan = &result->range.plan;
    int r = 0;
    for (size_t i = 0; i < plan->n && !r; i++) {
        walk.level = plan->items[i].level;
        r = ts_reader_sums(reader, &plan->items[i], false, on_sum, &walk);
    }
    return r;
}

/* ---- Rows ---- */

static int compare_groups(const void *a, const void *b, void *data)
{
    const struct ts_query_result *result = data;
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    size_t by = result->n_totals > 1 ? result->query->metric : 0;
    ts_i128 left = result->totals[x * result->n_totals + by];
    ts_i128 right = result->totals[y * result->n_totals + by];
    if (left != right)
        return left > right ? -1 : 1;
    const struct ts_location *names = result->names.groups.items;
    if (result->query->by != TS_BY_LABEL) {
        int r = ts_query_compare_names(&names[x], &names[y]);
        assert(r || x == y); /* names of groups are distinct */
        return r;
    }
    /* As file names: unlike in a raw name, leading underscores of a label's value count. */
    struct ts_location value_x = {.file_name = names[x].raw_name};
    struct ts_location value_y = {.file_name = names[y].raw_name};
    return ts_query_compare_names(&value_x, &value_y);
}

/* Sorts the groups that have a row, and adds up the totals of those that are not shown. */
static int select_rows(struct ts_query_result *result, struct ts_query_error *error)
{
    size_t n = 0;
    result->order = calloc(result->n_rows + 1, sizeof(*result->order));
    if (!result->order)
        return TS_ENOMEM;
    for (uint32_t group = 0; group < result->names.groups.n; group++) {
        if (result->has_row[group])
            result->order[n++] = group;
    }
    assert(n == result->n_rows);
    qsort_r(result->order, n, sizeof(*result->order), compare_groups, result);
    result->n_shown = n < result->query->top ? n : result->query->top;
    size_t per_row = values_per_row(result);
    if (per_row && result->n_shown > TS_QUERY_VALUES_MAX / per_row)
        return fail_too_many(error);
    for (size_t i = result->n_shown; i < n; i++) {
        for (size_t j = 0; j < result->n_totals; j++)
            result->other[j] += ts_query_result_totals(result, i)[j];
    }
    return 0;
}

/* n_rows and one for `other`. */
static int allocate_cells(struct ts_query_result *result, size_t n_rows)
{
    result->other_row = (uint32_t)n_rows;
    result->cells = calloc((n_rows + 1) * result->buckets.n + 1, sizeof(*result->cells));
    result->row_of = calloc(result->names.groups.n + 1, sizeof(*result->row_of));
    return result->cells && result->row_of ? 0 : TS_ENOMEM;
}

/* A row of cells for every group. */
static int collect_in_one_walk(struct ts_query_result *result, struct ts_reader *reader, struct ts_query_error *error)
{
    uint32_t n_groups = result->names.groups.n;
    int r = allocate_cells(result, n_groups);
    if (r)
        return r;
    for (uint32_t group = 0; group < n_groups; group++)
        result->row_of[group] = group;
    r = walk_sums(result, reader, true, true, error);
    if (!r)
        r = select_rows(result, error);
    if (r)
        return r;
    ts_i128 *other = result->cells + result->other_row * result->buckets.n;
    for (size_t i = result->n_shown; i < result->n_rows; i++) {
        const ts_i128 *row = ts_query_result_cells(result, i);
        for (size_t j = 0; j < result->buckets.n; j++)
            other[j] += row[j];
    }
    return 0;
}

/* A row of cells for every group that is shown. */
static int collect_in_two_walks(struct ts_query_result *result, struct ts_reader *reader, struct ts_query_error *error)
{
    int r = walk_sums(result, reader, true, false, error);
    if (!r)
        r = select_rows(result, error);
    if (!r)
        r = allocate_cells(result, result->n_shown);
    if (r)
        return r;
    for (size_t i = 0; i < result->n_rows; i++)
        result->row_of[result->order[i]] = i < result->n_shown ? (uint32_t)i : result->other_row;
    return walk_sums(result, reader, false, true, error);
}

static int collect_rows(struct ts_query_result *result, struct ts_reader *reader, struct ts_query_error *error)
{
    size_t n_groups = result->names.groups.n;
    size_t n_buckets = result->buckets.n;
    result->totals = calloc(n_groups * result->n_totals + 1, sizeof(*result->totals));
    result->has_row = calloc(n_groups + 1, 1);
    if (!result->totals || !result->has_row)
        return TS_ENOMEM;
    if (result->query->kind != TS_QUERY_BUCKETS) {
        int r = walk_sums(result, reader, true, false, error);
        return r ? r : select_rows(result, error);
    }
    bool fits = !n_buckets || n_groups <= TS_QUERY_VALUES_MAX / n_buckets;
    return fits ? collect_in_one_walk(result, reader, error) : collect_in_two_walks(result, reader, error);
}

/* ---- The result ---- */

int ts_query_result_collect(const struct ts_query *query, struct ts_reader *reader, struct ts_query_result *result,
                            struct ts_query_error *ret_error)
{
    assert(query->kind == TS_QUERY_BUCKETS || query->kind == TS_QUERY_TOP);
    *result = (struct ts_query_result){.query = query, .n_totals = query->kind == TS_QUERY_BUCKETS ? 1 : TS_METRICS};
    ts_query_names_init(&result->names);
    int r = ts_query_names_read(query, reader, &result->names, ret_error);
    if (!r)
        r = ts_query_range_find(query, reader, &result->names.label_sets, &result->range, ret_error);
    if (r)
        return r;
    result->grid = (struct ts_grid){.start_time = query->grid.start_time,
                                    .time_slice = query->grid.time_slice * result->range.unit};
    r = ts_query_buckets_collect(query, reader, &result->names, &result->range, &result->buckets, ret_error);
    return r ? r : collect_rows(result, reader, ret_error);
}

void ts_query_result_deinit(struct ts_query_result *result)
{
    if (!result->query)
        return;
    ts_query_names_deinit(&result->names);
    ts_query_range_deinit(&result->range);
    ts_query_buckets_deinit(&result->buckets);
    free(result->totals);
    free(result->has_row);
    free(result->order);
    free(result->cells);
    free(result->row_of);
    *result = (struct ts_query_result){0};
}

size_t ts_query_result_memory(const struct ts_query_result *result)
{
    size_t n_groups = result->names.groups.n;
    size_t n_cells = result->cells ? ((size_t)result->other_row + 1) * result->buckets.n : 0;
    return result->names.groups.memory + result->buckets.n * sizeof(*result->buckets.items) +
           n_groups * (result->n_totals * sizeof(*result->totals) + 2 * sizeof(uint32_t)) +
           n_cells * sizeof(*result->cells);
}
