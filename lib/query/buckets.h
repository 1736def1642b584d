/* The buckets of a response, with the totals of their profiles. */
#ifndef TS_QUERY_BUCKETS_H
#define TS_QUERY_BUCKETS_H

#include "lib/query/names.h"
#include "lib/query/range.h"

struct ts_profile_totals {
    ts_i128 profiles;
    ts_i128 exact_profiles;
    ts_i128 total_tt;      /* ns */
    ts_i128 parts_missing; /* expected - received; negative if parts 0, which state how many to expect, were lost */
};

struct ts_query_bucket {
    int64_t index; /* in the grid of the response */
    struct ts_profile_totals totals;
};

struct ts_query_buckets {          /* all zero: empty */
    struct ts_query_bucket *items; /* ascending by index; none if the query is not of kind TS_QUERY_BUCKETS */
    size_t n;                      /* <= TS_QUERY_VALUES_MAX */
    size_t cap;
    struct ts_profile_totals all; /* for the entire range */
};

void ts_query_buckets_deinit(struct ts_query_buckets *buckets); /* twice is safe */
/*
 * Reads the profiles of the selected label sets. Gives a bucket for each that has one; with fill, for all of the range.
 * TS_EINVAL (too large) sets ret_error; TS_ENOMEM, TS_ESTORE, TS_ECANCELED.
 */
int ts_query_buckets_collect(const struct ts_query *query, struct ts_reader *reader, const struct ts_query_names *names,
                             const struct ts_query_range *range, struct ts_query_buckets *buckets,
                             struct ts_query_error *ret_error) TS_MUST_USE;

/* The bucket of the response that contains the bucket of a level. */
static inline int64_t ts_query_bucket_index(const struct ts_query_range *range, const struct ts_level *level,
                                            int64_t bucket)
{
    return ts_floor_div((ts_i128)bucket * level->ratio, range->unit);
}

#endif
