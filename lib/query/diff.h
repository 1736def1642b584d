/*
 * A diff: two results of top, for two ranges or two selections of labels, joined by name.
 *
 * Ranges differ in length and traffic, so metrics are compared per profile: T/P, where T is the total and P the number
 * of profiles. With n calls, T/P is n/P calls of T/n each, and its change has two parts:
 *
 *     called more       (n2/P2 - n1/P1) * (T1/n1 + T2/n2) / 2
 *     slower per call   (T2/n2 - T1/n1) * (n1/P1 + n2/P2) / 2
 *
 * They add up to T2/P2 - T1/P1 exactly, and exchanging the sides only changes their signs. If a function was called on
 * one side only, its entire change counts as called more (or less).
 */
#ifndef TS_QUERY_DIFF_H
#define TS_QUERY_DIFF_H

#include "lib/query/result.h"

enum { TS_BEFORE, TS_AFTER, TS_CHANGE };

struct ts_diff_row {
    const struct ts_location *name; /* NULL in `other` */
    ts_i128 totals[2][TS_METRICS];  /* before, after */
    ts_i128 called_more;            /* per profile, in ns or 10^-9 calls */
};

struct ts_diff { /* all zero: empty */
    const struct ts_query *query;
    struct ts_query_result sides[2];
    struct ts_diff_row *rows; /* n, in the order of the response */
    size_t n;
    size_t n_shown;           /* the first of them */
    struct ts_diff_row other; /* the sums of those that are not shown */
};

/* Within a transaction of the reader. Errors as those of ts_query_result_collect(). */
int ts_diff_collect(const struct ts_query *query, struct ts_reader *reader, struct ts_diff *diff,
                    struct ts_query_error *ret_error) TS_MUST_USE;
void ts_diff_deinit(struct ts_diff *diff);         /* twice is safe */
size_t ts_diff_memory(const struct ts_diff *diff); /* in bytes, approximately */

/*
 * The query's metric per profile, in ns or 10^-9 calls: TS_BEFORE, TS_AFTER, or TS_CHANGE between them. False if it is
 * undefined, because a side has no profiles.
 */
bool ts_diff_per_profile(const struct ts_diff *diff, const struct ts_diff_row *row, int which, ts_i128 *ret);
/* The count of calls to divide a metric by: primitive calls for cumtime, all calls for tottime. */
enum ts_metric ts_diff_calls(enum ts_metric metric);

#endif
