/*
 * Plans: which buckets of which levels to read for a range, so that each time is read exactly once and few rows are
 * read: wide buckets inside, narrow ones at the ends.
 *
 * At each position, a plan has the widest bucket that begins there, ends within the range and is complete
 * (lib/aggregate/levels.h). Sums are integers and every level has every delta, so all plans of a range give the same
 * sums. Positions are indexes of level-0 buckets. No I/O.
 */
#ifndef TS_AGGREGATE_PLAN_H
#define TS_AGGREGATE_PLAN_H

#include "lib/aggregate/levels.h"

/* The bound of positions, in both directions; the difference of two fits into 64 bits. */
#define TS_POSITION_MAX (INT64_C(1) << 61)

/* A run of buckets of one level. */
struct ts_segment {
    const struct ts_level *level;
    int64_t from; /* in buckets of the level, half-open, not empty */
    int64_t to;
};

struct ts_plan {
    struct ts_segment *items; /* ascending, without gaps or overlaps */
    size_t n;
    size_t cap;
};

void ts_plan_init(struct ts_plan *plan);
void ts_plan_deinit(struct ts_plan *plan); /* twice is safe */

/* Which levels may be used: those whose ratio divides `unit` (0: any) and is less than `below` (0: any). */
struct ts_plan_rule {
    int64_t unit;
    int64_t below;
};

/*
 * Covers [from, to), which may be empty, and replaces the plan. TS_PLAN_GAP: no level that may be used has a complete
 * bucket that begins at *ret_gap and ends within the range; the plan is then undefined. TS_ENOMEM. The segments point
 * into `levels`.
 */
enum { TS_PLAN_GAP = 1 };
int ts_plan_make(const struct ts_levels *levels, int64_t from, int64_t to, struct ts_plan_rule rule,
                 struct ts_plan *plan, int64_t *ret_gap) TS_MUST_USE;

/* Covers everything that is kept: the range of ts_plan_axis(). */
int ts_plan_all(const struct ts_levels *levels, struct ts_plan *plan) TS_MUST_USE;
/* From where something is kept to the last position that any bucket of the widest level can contain. */
void ts_plan_axis(const struct ts_levels *levels, int64_t *ret_from, int64_t *ret_to);

/* The finest configured or retiring level whose bucket around the position is complete; NULL: none. */
const struct ts_level *ts_plan_finest(const struct ts_levels *levels, int64_t position);
/* The first position that is kept by a configured or retiring level; at least -TS_POSITION_MAX. */
int64_t ts_plan_begin(const struct ts_levels *levels);

#endif
