/*
 * The first or last bucket with a profile. It is searched in wide buckets first and then in ever narrower ones within
 * the bucket found, so that few rows are read.
 */
#ifndef TS_QUERY_EDGE_H
#define TS_QUERY_EDGE_H

#include "lib/query/id_map.h"
#include "lib/store/reader.h"

#include <stdbool.h>

struct ts_query_edge {
    const struct ts_level *level; /* the finest that has the bucket; NULL: there is no profile */
    int64_t bucket;
};

/*
 * Searches [from, to) for the first or last profile of the label sets that have a group. TS_ENOMEM, TS_ESTORE,
 * TS_ECANCELED.
 */
int ts_query_edge_find(struct ts_reader *reader, const struct ts_id_map *label_sets, int64_t from, int64_t to,
                       bool last, struct ts_query_edge *ret_edge) TS_MUST_USE;

/*
 * If a range has no plan because one of its ends lies within a bucket (gap: from ts_plan_make()), widens the range to
 * the begin or the end of that bucket. False if the gap has another cause.
 */
bool ts_query_widen_to_bucket(const struct ts_levels *levels, int64_t gap, int64_t *from, int64_t *to);

#endif
