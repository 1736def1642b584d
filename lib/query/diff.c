/*
 * Two ranges, or two label sets, side by side: two results of top, joined by name.
 *
 * What is compared is the metric per profile, so that ranges of different length and traffic can be: T/P, with T the
 * sum and P the number of profiles. It is n/P calls of T/n each, so its change has two parts:
 *
 *     called more       (n2/P2 - n1/P1) * (T1/n1 + T2/n2) / 2
 *     slower per call   (T2/n2 - T1/n1) * (n1/P1 + n2/P2) / 2
 *
 * which add up to T2/P2 - T1/P1 exactly, and do not depend on which of the two is looked at first. What was called on
 * one side only is called more (or less) as a whole. The counts are those of cProfile, every call of them: a sampling
 * profiler cannot tell the two apart.
 */
#include "lib/query/internal.h"

#include <math.h>
#include <stdlib.h>

enum { BEFORE, AFTER };

enum ts_metric ts_diff_calls(enum ts_metric metric)
{
    return metric == TS_CUMTIME || metric == TS_PCALLS ? TS_PCALLS : TS_NCALLS;
}

/* Seconds are ns, and calls 10^-9 calls. */
static ts_i128 scaled(const struct ts_diff *diff, ts_i128 value)
{
    return ts_metric_is_time(diff->query->metric) ? value : value * TS_NS_PER_S;
}

bool ts_diff_per_profile(const struct ts_diff *diff, const struct ts_diff_row *row, int which, ts_i128 *ret)
{
    enum ts_metric metric = diff->query->metric;
    ts_i128 before = diff->sides[BEFORE].all.profiles;
    ts_i128 after = diff->sides[AFTER].all.profiles;
    if ((which != AFTER && before <= 0) || (which != BEFORE && after <= 0))
        return false;
    ts_i128 one = scaled(diff, row->totals[BEFORE][metric]);
    ts_i128 two = scaled(diff, row->totals[AFTER][metric]);
    if (which == BEFORE)
        *ret = ts_query_divide(one, before);
    else if (which == AFTER)
        *ret = ts_query_divide(two, after);
    else
        *ret = ts_query_divide(two * before - one * after, before * after);
    return true;
}

static ts_i128 called_more(const struct ts_diff *diff, const struct ts_diff_row *row)
{
    enum ts_metric metric = diff->query->metric;
    enum ts_metric calls = ts_diff_calls(metric);
    ts_i128 change = 0;
    if (!ts_diff_per_profile(diff, row, 2, &change))
        return 0;
    long double p1 = (long double)diff->sides[BEFORE].all.profiles, p2 = (long double)diff->sides[AFTER].all.profiles;
    long double n1 = (long double)row->totals[BEFORE][calls], n2 = (long double)row->totals[AFTER][calls];
    long double t1 = (long double)row->totals[BEFORE][metric], t2 = (long double)row->totals[AFTER][metric];
    if (!ts_metric_is_time(metric) || n1 <= 0 || n2 <= 0)
        return change;
    /* Half the change, and half of what crosswise remains. */
    long double more = (t2 / p2 - t1 / p1 + n2 / p2 * (t1 / n1) - n1 / p1 * (t2 / n2)) / 2;
    return (ts_i128)roundl(more);
}

/* ---- Joining ---- */

static void take(struct ts_diff_row *row, const struct ts_query_result *result, int side, uint32_t group)
{
    for (int i = 0; i < TS_METRICS; i++)
        row->totals[side][i] = result->totals[group * TS_METRICS + i];
}

static int join(struct ts_diff *diff)
{
    const struct ts_query_result *before = &diff->sides[BEFORE];
    const struct ts_query_result *after = &diff->sides[AFTER];
    uint32_t *row_of = calloc(before->names.groups.n + 1, sizeof(*row_of)); /* + 1; 0: none */
    diff->rows = calloc(before->n_seen + after->n_seen + 1, sizeof(*diff->rows));
    if (!row_of || !diff->rows) {
        free(row_of);
        return TS_ENOMEM;
    }
    for (size_t i = 0; i < before->n_seen; i++) {
        uint32_t group = before->order[i];
        struct ts_diff_row *row = &diff->rows[diff->n++];
        row->name = &before->names.groups.items[group];
        take(row, before, BEFORE, group);
        row_of[group] = (uint32_t)diff->n;
    }
    for (size_t i = 0; i < after->n_seen; i++) {
        uint32_t group = after->order[i];
        const struct ts_location *name = &after->names.groups.items[group];
        uint32_t same = 0;
        bool known = ts_intern_find(&before->names.groups, name, &same) && row_of[same];
        struct ts_diff_row *row = known ? &diff->rows[row_of[same] - 1] : &diff->rows[diff->n++];
        if (!known)
            row->name = name;
        take(row, after, AFTER, group);
    }
    free(row_of);
    return 0;
}

static ts_i128 magnitude(ts_i128 value)
{
    return value < 0 ? -value : value;
}

/* Where one side has no profiles there is no change to rank by: by what there is. */
static ts_i128 weight(const struct ts_diff *diff, const struct ts_diff_row *row)
{
    enum ts_metric metric = diff->query->metric;
    ts_i128 before = diff->sides[BEFORE].all.profiles;
    ts_i128 after = diff->sides[AFTER].all.profiles;
    if (before <= 0 || after <= 0)
        return magnitude(row->totals[BEFORE][metric]) + magnitude(row->totals[AFTER][metric]);
    return magnitude(row->totals[AFTER][metric] * before - row->totals[BEFORE][metric] * after);
}

static int compare_rows(const void *a, const void *b, void *data)
{
    const struct ts_diff_row *x = a;
    const struct ts_diff_row *y = b;
    ts_i128 left = weight(data, x);
    ts_i128 right = weight(data, y);
    if (left != right)
        return left > right ? -1 : 1;
    return ts_query_compare_names(x->name, y->name);
}

int ts_diff_collect(const struct ts_query *query, struct ts_reader *reader, struct ts_diff *diff,
                    struct ts_query_error *ret_error)
{
    *diff = (struct ts_diff){.query = query};
    for (int i = 0; i < 2; i++) {
        int r = ts_query_collect(query->sides[i], reader, &diff->sides[i], ret_error);
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
    for (size_t i = diff->n_shown; i < diff->n; i++) {
        for (int side = 0; side < 2; side++) {
            for (int j = 0; j < TS_METRICS; j++)
                diff->other.totals[side][j] += diff->rows[i].totals[side][j];
        }
        diff->other.called_more += diff->rows[i].called_more;
    }
    return 0;
}

void ts_diff_deinit(struct ts_diff *diff)
{
    ts_query_result_deinit(&diff->sides[0]);
    ts_query_result_deinit(&diff->sides[1]);
    free(diff->rows);
    *diff = (struct ts_diff){0};
}
