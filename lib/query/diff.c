#include "lib/query/diff.h"

#include "lib/query/write.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

enum ts_metric ts_diff_calls(enum ts_metric metric)
{
    return metric == TS_CUMTIME || metric == TS_PCALLS ? TS_PCALLS : TS_NCALLS;
}

/* A total in the unit of differences: ns, or 10^-9 calls. */
static ts_i128 scaled(const struct ts_diff *diff, ts_i128 total)
{
    return ts_metric_is_time(diff->query->metric) ? total : total * TS_NS_PER_S;
}

static ts_i128 profiles(const struct ts_diff *diff, int side)
{
    return diff->sides[side].buckets.all.profiles;
}

bool ts_diff_per_profile(const struct ts_diff *diff, const struct ts_diff_row *row, int which, ts_i128 *ret)
{
    enum ts_metric metric = diff->query->metric;
    ts_i128 n_before = profiles(diff, TS_BEFORE);
    ts_i128 n_after = profiles(diff, TS_AFTER);
    if ((which != TS_AFTER && n_before <= 0) || (which != TS_BEFORE && n_after <= 0))
        return false;
    ts_i128 before = scaled(diff, row->totals[TS_BEFORE][metric]);
    ts_i128 after = scaled(diff, row->totals[TS_AFTER][metric]);
    if (which == TS_BEFORE)
        *ret = ts_query_divide(before, n_before);
    else if (which == TS_AFTER)
        *ret = ts_query_divide(after, n_after);
    else
        *ret = ts_query_divide(after * n_before - before * n_after, n_before * n_after);
    return true;
}

/* The first part of the change, as defined in the header; 0 if the change is undefined. */
static ts_i128 called_more(const struct ts_diff *diff, const struct ts_diff_row *row)
{
    enum ts_metric metric = diff->query->metric;
    enum ts_metric calls = ts_diff_calls(metric);
    ts_i128 change = 0;
    if (!ts_diff_per_profile(diff, row, TS_CHANGE, &change))
        return 0;
    long double p1 = (long double)profiles(diff, TS_BEFORE), p2 = (long double)profiles(diff, TS_AFTER);
    long double n1 = (long double)row->totals[TS_BEFORE][calls], n2 = (long double)row->totals[TS_AFTER][calls];
    long double t1 = (long double)row->totals[TS_BEFORE][metric], t2 = (long double)row->totals[TS_AFTER][metric];
    if (!ts_metric_is_time(metric) || n1 <= 0 || n2 <= 0)
        return change;
    /* The formula, multiplied out. */
    long double more = (t2 / p2 - t1 / p1 + n2 / p2 * (t1 / n1) - n1 / p1 * (t2 / n2)) / 2;
    return (ts_i128)roundl(more);
}

/* ---- Joining by name ---- */

static void copy_totals(struct ts_diff_row *row, const struct ts_query_result *result, int side, size_t i)
{
    for (int metric = 0; metric < TS_METRICS; metric++)
        row->totals[side][metric] = ts_query_result_totals(result, i)[metric];
}

static int join(struct ts_diff *diff)
{
    const struct ts_query_result *before = &diff->sides[TS_BEFORE];
    const struct ts_query_result *after = &diff->sides[TS_AFTER];
    /* [group of before]: the index of its row + 1; 0: none */
    uint32_t *row_of = calloc(before->names.groups.n + 1, sizeof(*row_of));
    diff->rows = calloc(before->n_rows + after->n_rows + 1, sizeof(*diff->rows));
    if (!row_of || !diff->rows) {
        free(row_of);
        return TS_ENOMEM;
    }
    for (size_t i = 0; i < before->n_rows; i++) {
        struct ts_diff_row *row = &diff->rows[diff->n++];
        row->name = ts_query_result_name(before, i);
        copy_totals(row, before, TS_BEFORE, i);
        row_of[before->order[i]] = (uint32_t)diff->n;
    }
    for (size_t i = 0; i < after->n_rows; i++) {
        const struct ts_location *name = ts_query_result_name(after, i);
        uint32_t same = 0;
        bool is_in_both = ts_intern_find(&before->names.groups, name, &same) && row_of[same];
        struct ts_diff_row *row = is_in_both ? &diff->rows[row_of[same] - 1] : &diff->rows[diff->n++];
        if (!is_in_both)
            row->name = name;
        copy_totals(row, after, TS_AFTER, i);
    }
    assert(diff->n <= before->n_rows + after->n_rows);
    free(row_of);
    return 0;
}

/* ---- Order ---- */

static ts_i128 magnitude(ts_i128 value)
{
    return value < 0 ? -value : value;
}

/* The size of the change per profile, times the profiles of both sides. If a side has no profiles, the total. */
static ts_i128 weight(const struct ts_diff *diff, const struct ts_diff_row *row)
{
    ts_i128 before = row->totals[TS_BEFORE][diff->query->metric];
    ts_i128 after = row->totals[TS_AFTER][diff->query->metric];
    ts_i128 n_before = profiles(diff, TS_BEFORE);
    ts_i128 n_after = profiles(diff, TS_AFTER);
    if (n_before <= 0 || n_after <= 0)
        return magnitude(before) + magnitude(after);
    return magnitude(after * n_before - before * n_after);
}

static int compare_rows(const void *a, const void *b, void *data)
{
    const struct ts_diff_row *x = a;
    const struct ts_diff_row *y = b;
    ts_i128 left = weight(data, x);
    ts_i128 right = weight(data, y);
    if (left != right)
        return left > right ? -1 : 1;
    int r = ts_query_compare_names(x->name, y->name);
    assert(r || x == y); /* names of rows are distinct */
    return r;
}

static void add_to_other(struct ts_diff *diff, const struct ts_diff_row *row)
{
    for (int side = 0; side < 2; side++) {
        for (int metric = 0; metric < TS_METRICS; metric++)
            diff->other.totals[side][metric] += row->totals[side][metric];
    }
    diff->other.called_more += row->called_more;
}

int ts_diff_collect(const struct ts_query *query, struct ts_reader *reader, struct ts_diff *diff,
                    struct ts_query_error *ret_error)
{
    assert(query->kind == TS_QUERY_DIFF);
    *diff = (struct ts_diff){.query = query};
    for (int side = 0; side < 2; side++) {
        int r = ts_query_result_collect(query->sides[side], reader, &diff->sides[side], ret_error);
        if (r)
            return r;
    }
    int r = join(diff);
    if (r)
        return r;
    for (size_t i = 0; i < diff->n; i++)
        diff->rows[i].called_more = called_more(diff, &diff->rows[i]);
    qsort_r(diff->rows, diff->n, sizeof(*diff->rows), compare_rows, diff);
    diff->n_shown = diff->n < query->top ? diff->n : query->top;
    for (size_t i = diff->n_shown; i < diff->n; i++)
        add_to_other(diff, &diff->rows[i]);
    return 0;
}

void ts_diff_deinit(struct ts_diff *diff)
{
    ts_query_result_deinit(&diff->sides[TS_BEFORE]);
    ts_query_result_deinit(&diff->sides[TS_AFTER]);
    free(diff->rows);
    *diff = (struct ts_diff){0};
}

size_t ts_diff_memory(const struct ts_diff *diff)
{
    return ts_query_result_memory(&diff->sides[TS_BEFORE]) + ts_query_result_memory(&diff->sides[TS_AFTER]) +
           diff->n * sizeof(*diff->rows);
}
