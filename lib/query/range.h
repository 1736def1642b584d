/*
 * The requested range to the range of the response, and the plan that covers it.
 *
 * An end that is given is widened to an end of a bucket of the finest level that still has its time. Old data may be
 * kept in wide buckets only, so the response states how wide they are. An end that is not given is that of the first or
 * last bucket with a profile that has the requested labels.
 */
#ifndef TS_QUERY_RANGE_H
#define TS_QUERY_RANGE_H

#include "lib/aggregate/plan.h"
#include "lib/query/id_map.h"
#include "lib/query/spec.h"

/* Positions are stored buckets (lib/aggregate/levels.h), half-open. */
struct ts_query_range { /* all zero: empty */
    bool has_from;      /* false: not given, and there is no profile */
    bool has_to;
    int64_t from;
    int64_t to;
    int64_t from_width; /* ns: the width of the finest buckets kept at this end; 0: unknown */
    int64_t to_width;
    int64_t unit; /* stored buckets per bucket of the response; 1 for other kinds than buckets */
    struct ts_plan plan;
};

void ts_query_range_deinit(struct ts_query_range *range); /* twice is safe */
/*
 * Within a transaction of the reader. label_sets: those to look for at an end that is not given. TS_EINVAL (not kept,
 * store unavailable) sets ret_error; TS_ENOMEM, TS_ESTORE, TS_ECANCELED.
 */
int ts_query_range_find(const struct ts_query *query, struct ts_reader *reader, const struct ts_id_map *label_sets,
                        struct ts_query_range *range, struct ts_query_error *ret_error) TS_MUST_USE;

/* The position that contains a time, clamped to +-TS_POSITION_MAX. */
int64_t ts_query_position(const struct ts_grid *grid, ts_i128 ns);

#endif
