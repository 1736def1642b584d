/*
 * Running a plan: names, range, then heads (profiles per bucket), then sums, each in one walk over the plan's segments
 * that keeps accumulators, not rows.
 *
 * The matrix of buckets needs its rows before its cells, and which functions have a row (or are the `top` ones) is
 * known only once all sums were read. So: where a cell for every group that could turn up fits into the limit, one walk
 * fills cells and totals together. Otherwise a first walk makes the totals and a second one, of the same snapshot, the
 * cells of the rows that are shown; `other` is the one row that everything else goes into. A matrix that is too large
 * is known after the first walk at the latest, before there is memory for it.
 *
 * Sums are 128 bits wide: 2^64 rows at the bound of 64 bits fit.
 */
#include "lib/query/internal.h"

#include <stdlib.h>
#include <string.h>

static int too_many(struct ts_query_error *error, const char *parameter, const char *advice)
{
    return ts_query_fail(error, TS_QUERY_TOO_LARGE, parameter, "the answer has more than %d values; %s",
                         TS_QUERY_VALUES_MAX, advice);
}

static int too_many_cells(struct ts_query_error *error)
{
    return too_many(error, "", "ask for a shorter range, a wider time_slice, or the largest with top");
}

static int too_many_buckets(struct ts_query_error *error)
{
    return too_many(error, "", "ask for a shorter range or a wider time_slice");
}

/* ---- Heads ---- */

struct head_walk {
    struct ts_query_result *result;
    int64_t ratio; /* of the level that is read */
    struct ts_query_error *error;
};

static void add_head(struct ts_query_head *head, const struct ts_profile_sums *sums)
{
    head->profiles += sums->profiles;
    head->exact_profiles += sums->exact_profiles;
    head->total_tt += sums->total_tt;
    head->parts_missing += (ts_i128)sums->parts_expected - sums->parts_received;
}

static int add_column(struct ts_query_result *result, int64_t bucket, struct ts_query_error *error)
{
    if (result->n_columns == TS_QUERY_VALUES_MAX)
        return too_many_buckets(error);
    if (result->n_columns == result->cap_columns) {
        size_t cap = result->cap_columns ? result->cap_columns * 2 : 64;
        struct ts_query_head *columns = realloc(result->columns, cap * sizeof(*columns));
        if (!columns)
            return TS_ENOMEM;
        result->columns = columns;
        result->cap_columns = cap;
    }
    result->columns[result->n_columns++] = (struct ts_query_head){.bucket = bucket};
    return 0;
}

static int on_profile(void *data, const struct ts_profile_row *row)
{
    struct head_walk *walk = data;
    struct ts_query_result *result = walk->result;
    uint32_t group;
    if (!ts_query_map_get(&result->names.label_sets, row->labels, &group))
        return TS_ESTORE; /* sums of a label set without a name: damaged */
    if (group == TS_NO_GROUP)
        return 0;
    int64_t bucket = ts_floor_div((ts_i128)row->bucket * walk->ratio, result->range.unit);
    add_head(&result->all, &row->sums);
    if (result->query->kind != TS_QUERY_BUCKETS)
        return 0;
    if (!result->n_columns || result->columns[result->n_columns - 1].bucket != bucket) {
        int r = add_column(result, bucket, walk->error);
        if (r)
            return r;
    }
    add_head(&result->columns[result->n_columns - 1], &row->sums);
    return 0;
}

/* Every bucket between the bounds, asked for or found. */
static int fill_columns(struct ts_query_result *result, struct ts_query_error *error)
{
    const struct ts_query_range *range = &result->range;
    if (!range->has_from || !range->has_to || range->from >= range->to)
        return 0;
    int64_t from = ts_floor_div(range->from, range->unit);
    ts_i128 n = ((ts_i128)range->to - range->from) / range->unit;
    if (n > TS_QUERY_VALUES_MAX)
        return too_many_buckets(error);
    struct ts_query_head *columns = calloc((size_t)n, sizeof(*columns));
    if (!columns)
        return TS_ENOMEM;
    for (size_t i = 0; i < (size_t)n; i++)
        columns[i].bucket = from + (int64_t)i;
    for (size_t i = 0; i < result->n_columns; i++)
        columns[result->columns[i].bucket - from] = result->columns[i];
    free(result->columns);
    result->columns = columns;
    result->n_columns = result->cap_columns = (size_t)n;
    return 0;
}

static int collect_heads(struct ts_query_result *result, struct ts_reader *reader, struct ts_query_error *error)
{
    const struct ts_plan *plan = &result->range.plan;
    struct head_walk walk = {.result = result, .error = error};
    int r = 0;
    for (size_t i = 0; i < plan->n && !r; i++) {
        walk.ratio = plan->items[i].level->ratio;
        r = ts_reader_profiles(reader, &plan->items[i], false, on_profile, &walk);
    }
    if (!r && result->query->fill)
        r = fill_columns(result, error);
    return r;
}

/* ---- Sums ---- */

struct sum_walk {
    struct ts_query_result *result;
    bool totals; /* make totals in this walk */
    bool cells;  /* make cells in this walk */
    size_t column;
    int64_t ratio; /* of the level that is read */
    struct ts_query_error *error;
};

static int64_t metric_of(const struct ts_sums *sums, enum ts_metric metric)
{
    switch (metric) {
    case TS_CUMTIME:
        return sums->cumtime;
    case TS_TOTTIME:
        return sums->tottime;
    case TS_NCALLS:
        return sums->ncalls;
    default:
        return sums->pcalls;
    }
}

/* The group of a row; TS_NO_GROUP where a filter keeps it out. */
static int find_group(const struct ts_query_result *result, const struct ts_sum_row *row, uint32_t *ret_group)
{
    const struct ts_query_names *names = &result->names;
    uint32_t by_labels;
    uint32_t by_location = 0;
    if (!ts_query_map_get(&names->label_sets, row->labels, &by_labels))
        return TS_ESTORE;
    if (by_labels != TS_NO_GROUP && names->has_locations &&
        !ts_query_map_get(&names->locations, row->location, &by_location))
        return TS_ESTORE;
    if (by_labels == TS_NO_GROUP || by_location == TS_NO_GROUP)
        *ret_group = TS_NO_GROUP;
    else
        *ret_group = result->query->by == TS_BY_LABEL ? by_labels : by_location;
    return 0;
}

static int add_totals(struct sum_walk *walk, uint32_t group, const struct ts_sums *sums)
{
    struct ts_query_result *result = walk->result;
    const struct ts_query *query = result->query;
    if (!result->seen[group]) {
        result->seen[group] = 1;
        result->n_seen++;
        size_t per_row = query->kind == TS_QUERY_BUCKETS ? result->n_columns : 1;
        if (query->top == SIZE_MAX && result->n_seen * per_row > TS_QUERY_VALUES_MAX)
            return too_many_cells(walk->error);
    }
    ts_i128 *totals = result->totals + group * result->n_totals;
    if (query->kind == TS_QUERY_BUCKETS) {
        totals[0] += metric_of(sums, query->metric);
        return 0;
    }
    for (int i = 0; i < TS_METRICS; i++)
        totals[i] += metric_of(sums, (enum ts_metric)i);
    return 0;
}

static int add_cell(struct sum_walk *walk, uint32_t group, const struct ts_sum_row *row)
{
    struct ts_query_result *result = walk->result;
    int64_t bucket = ts_floor_div((ts_i128)row->bucket * walk->ratio, result->range.unit);
    while (walk->column < result->n_columns && result->columns[walk->column].bucket < bucket)
        walk->column++;
    if (walk->column == result->n_columns || result->columns[walk->column].bucket != bucket)
        return TS_ESTORE; /* each commit writes both: sums without their profile are damage */
    result->cells[result->row_of[group] * result->n_columns + walk->column] +=
        metric_of(&row->sums, result->query->metric);
    return 0;
}

static int on_sum(void *data, const struct ts_sum_row *row)
{
    struct sum_walk *walk = data;
    uint32_t group;
    int r = find_group(walk->result, row, &group);
    if (r || group == TS_NO_GROUP)
        return r;
    if (walk->totals)
        r = add_totals(walk, group, &row->sums);
    if (!r && walk->cells)
        r = add_cell(walk, group, row);
    return r;
}

static int walk_sums(struct ts_query_result *result, struct ts_reader *reader, bool totals, bool cells,
                     struct ts_query_error *error)
{
    struct sum_walk walk = {.result = result, .totals = totals, .cells = cells, .error = error};
    const struct ts_plan *plan = &result->range.plan;
    int r = 0;
    for (size_t i = 0; i < plan->n && !r; i++) {
        walk.ratio = plan->items[i].level->ratio;
        r = ts_reader_sums(reader, &plan->items[i], false, on_sum, &walk);
    }
    return r;
}

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
    if (result->query->by != TS_BY_LABEL)
        return ts_query_compare_names(&names[x], &names[y]);
    /* A value keeps its underscores. */
    struct ts_location value_x = {.file_name = names[x].raw_name};
    struct ts_location value_y = {.file_name = names[y].raw_name};
    return ts_query_compare_names(&value_x, &value_y);
}

/* Who has a row, in order, and what the others add up to. */
static int select_rows(struct ts_query_result *result, struct ts_query_error *error)
{
    size_t n_groups = result->names.groups.n;
    result->order = calloc(result->n_seen + 1, sizeof(*result->order));
    if (!result->order)
        return TS_ENOMEM;
    size_t n = 0;
    for (uint32_t group = 0; group < n_groups; group++) {
        if (result->seen[group])
            result->order[n++] = group;
    }
    qsort_r(result->order, n, sizeof(*result->order), compare_groups, result);
    result->n_shown = n < result->query->top ? n : result->query->top;
    size_t per_row = result->query->kind == TS_QUERY_BUCKETS ? result->n_columns : 1;
    if (per_row && result->n_shown > TS_QUERY_VALUES_MAX / per_row)
        return too_many_cells(error);
    for (size_t i = result->n_shown; i < n; i++) {
        for (size_t j = 0; j < result->n_totals; j++)
            result->other[j] += result->totals[result->order[i] * result->n_totals + j];
    }
    return 0;
}

static int make_cells(struct ts_query_result *result, size_t n_rows)
{
    result->other_row = (uint32_t)n_rows;
    result->cells = calloc((n_rows + 1) * result->n_columns + 1, sizeof(*result->cells));
    result->row_of = calloc(result->names.groups.n + 1, sizeof(*result->row_of));
    return result->cells && result->row_of ? 0 : TS_ENOMEM;
}

/* One walk: a row for every group. */
static int collect_at_once(struct ts_query_result *result, struct ts_reader *reader, struct ts_query_error *error)
{
    uint32_t n_groups = result->names.groups.n;
    int r = make_cells(result, n_groups);
    if (r)
        return r;
    for (uint32_t group = 0; group < n_groups; group++)
        result->row_of[group] = group;
    r = walk_sums(result, reader, true, true, error);
    if (!r)
        r = select_rows(result, error);
    if (r)
        return r;
    ts_i128 *other = result->cells + result->other_row * result->n_columns;
    for (size_t i = result->n_shown; i < result->n_seen; i++) {
        const ts_i128 *row = result->cells + result->order[i] * result->n_columns;
        for (size_t column = 0; column < result->n_columns; column++)
            other[column] += row[column];
    }
    return 0;
}

/* Two walks: a row for those that are shown, and one for the rest. */
static int collect_in_two(struct ts_query_result *result, struct ts_reader *reader, struct ts_query_error *error)
{
    int r = walk_sums(result, reader, true, false, error);
    if (!r)
        r = select_rows(result, error);
    if (!r)
        r = make_cells(result, result->n_shown);
    if (r)
        return r;
    for (size_t i = 0; i < result->n_seen; i++)
        result->row_of[result->order[i]] = i < result->n_shown ? (uint32_t)i : result->other_row;
    return walk_sums(result, reader, false, true, error);
}

int ts_query_collect(const struct ts_query *query, struct ts_reader *reader, struct ts_query_result *result,
                     struct ts_query_error *ret_error)
{
    *result = (struct ts_query_result){.query = query, .n_totals = query->kind == TS_QUERY_BUCKETS ? 1 : TS_METRICS};
    ts_query_names_init(&result->names);
    int r = ts_query_names_read(query, reader, &result->names, ret_error);
    if (!r)
        r = ts_query_range_find(query, reader, &result->names, &result->range, ret_error);
    if (r)
        return r;
    result->grid = (struct ts_grid){.start_time = query->grid.start_time,
                                    .time_slice = query->grid.time_slice * result->range.unit};
    r = collect_heads(result, reader, ret_error);
    if (r)
        return r;
    size_t n_groups = result->names.groups.n;
    result->totals = calloc(n_groups * result->n_totals + 1, sizeof(*result->totals));
    result->seen = calloc(n_groups + 1, 1);
    if (!result->totals || !result->seen)
        return TS_ENOMEM;
    if (query->kind != TS_QUERY_BUCKETS) {
        r = walk_sums(result, reader, true, false, ret_error);
        return r ? r : select_rows(result, ret_error);
    }
    bool fits = !result->n_columns || n_groups <= TS_QUERY_VALUES_MAX / result->n_columns;
    return fits ? collect_at_once(result, reader, ret_error) : collect_in_two(result, reader, ret_error);
}

void ts_query_result_deinit(struct ts_query_result *result)
{
    if (!result->query)
        return;
    ts_query_names_deinit(&result->names);
    ts_query_range_deinit(&result->range);
    free(result->columns);
    free(result->totals);
    free(result->seen);
    free(result->order);
    free(result->cells);
    free(result->row_of);
    *result = (struct ts_query_result){0};
}
