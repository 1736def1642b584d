/*
 * Covering a range with the fewest rows: wide buckets inside, narrow ones at its ends.
 *
 * At each position the widest bucket is taken that begins there, ends within the range, and is whole
 * (lib/aggregate/levels.h). Sums are integers and every level has every delta, so any plan gives the same sums.
 * Positions are numbers of level 0's buckets.
 */
#ifndef TS_AGGREGATE_PLAN_H
#define TS_AGGREGATE_PLAN_H

#include "lib/aggregate/levels.h"

/* No position is further out: that of a timestamp is well within, and the difference of two fits into 64 bits. */
#define TS_POSITION_MAX (INT64_C(1) << 61)

struct ts_segment {
    const struct ts_level *level;
    int64_t from; /* the level's buckets, half-open */
    int64_t to;
};

struct ts_plan {
    struct ts_segment *items; /* ascending, without gaps */
    size_t n;
    size_t cap;
};

void ts_plan_init(struct ts_plan *plan);
void ts_plan_deinit(struct ts_plan *plan); /* twice is safe */

/* Which levels may be used: those whose bucket divides `unit` (0: any), and that are narrower than `below` (0: any). */
struct ts_plan_rule {
    int64_t unit;
    int64_t below;
};

/*
 * Covers [from, to). Positive: not to be covered, because of *ret_at. TS_ENOMEM.
 */
enum { TS_PLAN_GAP = 1 };
int ts_plan_make(const struct ts_levels *levels, int64_t from, int64_t to, struct ts_plan_rule rule,
                 struct ts_plan *plan, int64_t *ret_at) TS_MUST_USE;

/* All that there is, at whole buckets of the widest level; TS_PLAN_GAP, TS_ENOMEM. */
int ts_plan_all(const struct ts_levels *levels, struct ts_plan *plan) TS_MUST_USE;
void ts_plan_axis(const struct ts_levels *levels, int64_t *ret_from, int64_t *ret_to);

/* The narrowest level that has the bucket around a position whole; NULL: none has. */
const struct ts_level *ts_plan_finest(const struct ts_levels *levels, int64_t position);
/* The first position from which on something is kept. */
int64_t ts_plan_begin(const struct ts_levels *levels);

#endif
