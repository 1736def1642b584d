/*
 * The result of a query of kind TS_QUERY_BUCKETS or TS_QUERY_TOP: the totals of each group and, for buckets, the matrix
 * of groups and buckets.
 *
 * Memory is bounded by TS_QUERY_VALUES_MAX numbers and by the names in the store; it does not depend on the number of
 * rows read or the length of the text. Totals are 128 bits wide: they cannot overflow with 2^64 rows of 64-bit sums.
 */
#ifndef TS_QUERY_RESULT_H
#define TS_QUERY_RESULT_H

#include "lib/query/buckets.h"

struct ts_query_result { /* all zero: empty */
    const struct ts_query *query;
    struct ts_query_names names;
    struct ts_query_range range;
    struct ts_query_buckets buckets;
    struct ts_grid grid; /* of the response */

    size_t n_totals;           /* per group: TS_METRICS for top, 1 (the query's metric) for buckets */
    ts_i128 *totals;           /* [group * n_totals + i] */
    uint8_t *has_row;          /* [group]: there are sums in the range */
    uint32_t *order;           /* the groups that have a row, in the order of the response */
    size_t n_rows;             /* of order */
    size_t n_shown;            /* the first of them; the others are summed in `other` */
    ts_i128 other[TS_METRICS]; /* n_totals of them */

    ts_i128 *cells;     /* of buckets: [row_of[group] * buckets.n + i] */
    uint32_t *row_of;   /* [group]: its row of cells */
    uint32_t other_row; /* the row of cells with the sums of the groups that are not shown */
};

/* Within a transaction of the reader. TS_EINVAL (too large, not kept, store unavailable) sets ret_error; TS_ENOMEM,
 * TS_ESTORE, TS_ECANCELED. */
int ts_query_result_collect(const struct ts_query *query, struct ts_reader *reader, struct ts_query_result *result,
                            struct ts_query_error *ret_error) TS_MUST_USE;
void ts_query_result_deinit(struct ts_query_result *result);         /* twice is safe */
size_t ts_query_result_memory(const struct ts_query_result *result); /* in bytes, approximately */

/* The totals and the row of cells of the i-th shown group. */
static inline const ts_i128 *ts_query_result_totals(const struct ts_query_result *result, size_t i)
{
    return result->totals + result->order[i] * result->n_totals;
}

static inline const ts_i128 *ts_query_result_cells(const struct ts_query_result *result, size_t i)
{
    return result->cells + result->row_of[result->order[i]] * result->buckets.n;
}

static inline const ts_i128 *ts_query_result_other_cells(const struct ts_query_result *result)
{
    return result->cells + result->other_row * result->buckets.n;
}

static inline const struct ts_location *ts_query_result_name(const struct ts_query_result *result, size_t i)
{
    return &result->names.groups.items[result->order[i]];
}

#endif
