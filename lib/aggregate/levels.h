/*
 * The levels of retention: the same sums in buckets of several widths, each kept for a time of its own.
 *
 * Level 0 is the finest, as wide as time_slice; every other one is a multiple of those before it, with the same origin.
 * Every delta goes into every level that takes its time, in the one transaction. Of each level is known for which
 * buckets it is *whole*, that is, has all that the database has of them:
 *
 *              since                built                    live
 *     ...gone....|========whole=======|......to be built.......|=======whole=======>
 *
 *     since   whole from this bucket on; what lies before it is gone, or never came in. INT64_MIN: nothing is missing.
 *     source  the finer level that this one is still built from; -1: none, and all from `since` on is whole
 *     built   a key in the source: what lies before it there is in here too, so late data before it goes into both
 *     live    deltas of this bucket and later ones go in directly
 *
 * Building takes the source's rows in the order of their keys, a bounded number a step, and moves `built` on: it can be
 * interrupted at any key. A level is built when retention got it at a restart. The planner's own levels (a day and
 * wider, for ranges of months) are built for ever, once their time is over, so that no commit pays for them.
 *
 * Kinds. KEPT: in the configuration. OWN: the planner's. LEAVING: no longer in the configuration, but something is
 * still built from it. DEAD: its rows go.
 *
 * Positions on the time axis are numbers of level 0's buckets. No I/O, no clock.
 */
#ifndef TS_AGGREGATE_LEVELS_H
#define TS_AGGREGATE_LEVELS_H

#include "lib/aggregate/grid.h"
#include "lib/base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum { TS_RETENTION_MAX = 8, TS_LEVELS_MAX = 32 };

/* A level of the configuration. */
struct ts_retention {
    int64_t width; /* ns */
    int64_t keep;  /* ns */
};

enum ts_level_kind { TS_LEVEL_KEPT, TS_LEVEL_INTERNAL, TS_LEVEL_RETIRING, TS_LEVEL_DEAD };

struct ts_level_key {
    int64_t bucket;
    uint32_t labels;
    uint32_t location; /* 0 of profiles */
};

struct ts_level {
    int64_t id; /* in the rows */
    enum ts_level_kind kind;
    int64_t width; /* ns */
    int64_t keep;  /* ns */
    int64_t ratio; /* width / level 0's */
    int64_t since; /* here and below: this level's buckets, but for the keys */
    int64_t live;
    int64_t source;                     /* id; -1: none */
    struct ts_level_key built;          /* of sums */
    struct ts_level_key built_profiles; /* of profiles */
    int64_t view_from;                  /* bucket_totals takes these buckets from this level, half-open */
    int64_t view_to;
};

/* Ascending by width; dead ones at the end. */
struct ts_levels {
    struct ts_grid grid; /* level 0's */
    size_t n;
    struct ts_level items[TS_LEVELS_MAX];
};

/* < 0, 0, > 0 in the order of the primary key. */
int ts_level_key_compare(const struct ts_level_key *a, const struct ts_level_key *b);

struct ts_level *ts_levels_find(struct ts_levels *levels, int64_t id); /* NULL: none */

/* The level's bucket that a position lies in, and the first position of a bucket (held at the ends of 64 bits). */
int64_t ts_level_bucket(const struct ts_level *level, int64_t position);
int64_t ts_level_position(const struct ts_level *level, int64_t bucket);

/* Does a delta of this key (bucket: a position) go into the level? `profile`: it is of profiles. */
bool ts_level_takes(const struct ts_levels *levels, const struct ts_level *level, const struct ts_level_key *key,
                    bool profile);
/* The first bucket that is built no further: buckets from `since` up to it are whole. INT64_MAX without a source. */
int64_t ts_level_built_to(const struct ts_levels *levels, const struct ts_level *level);
bool ts_level_complete(const struct ts_levels *levels, const struct ts_level *level, int64_t bucket);
/* The end of the run of whole buckets that this one begins; the bucket itself where it is not whole. */
int64_t ts_level_complete_until(const struct ts_levels *levels, const struct ts_level *level, int64_t bucket);
/* The first whole bucket from this one on; INT64_MAX: none. */
int64_t ts_level_next_complete(const struct ts_levels *levels, const struct ts_level *level, int64_t bucket);

/* The first bucket that is younger than `keep` at this horizon (ns since the epoch). */
int64_t ts_level_first_kept(const struct ts_levels *levels, const struct ts_level *level, int64_t horizon);
/* Is nothing kept longer? Of those kept equally long, the widest: it takes whatever is not too old for it. */
bool ts_level_is_longest(const struct ts_levels *levels, const struct ts_level *level);
/* How far `since` may move: not past what something else is still to be built from. */
int64_t ts_level_bound(const struct ts_levels *levels, const struct ts_level *level, int64_t horizon);
/* Moves since on; what must not be asked of the planner's own levels any more goes with the longest one. */
void ts_level_advance(struct ts_levels *levels, struct ts_level *level, int64_t since);

/* Fills view_from and view_to: the finest level that still holds a time, joined at buckets of the coarser one. */
void ts_levels_set_view(struct ts_levels *levels);

/* The levels of a new database. */
int ts_levels_make(struct ts_levels *levels, const struct ts_grid *grid, const struct ts_retention *retention, size_t n,
                   int64_t horizon) TS_MUST_USE;

/*
 * Makes the levels of a database those of the configuration: keeps what is there, plans what is to be built, lets go of
 * the rest. `last` gives the last bucket that a level has a row in (INT64_MIN: none). Each change is logged through
 * on_log. TS_EINVAL: too many levels are still to be taken down.
 */
struct ts_levels_callbacks {
    int64_t (*last)(void *data, const struct ts_level *level);
    void (*on_log)(void *data, const char *message);
    /* What is kept longest must take what is older than `since` too: its rows before that have to go first, at once. */
    void (*purge)(void *data, const struct ts_level *level);
    /* The source's rows before `built` go into the one bucket that ends there. */
    void (*begin)(void *data, const struct ts_level *level, const struct ts_level *source);
    void *data;
};
int ts_levels_adapt(struct ts_levels *levels, const struct ts_retention *retention, size_t n, int64_t horizon,
                    const struct ts_levels_callbacks *changes, bool *ret_changed) TS_MUST_USE;

#endif
