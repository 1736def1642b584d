/*
 * Levels of retention: the same sums in buckets of several widths, each level kept for its own time.
 *
 * Level 0 is the finest, as wide as time_slice. The width of every other configured level is a multiple of all narrower
 * ones; all have the same origin. One transaction adds a delta to every level that still keeps its time. For each
 * level we track which buckets are *complete*, that is, contain everything the database has for their time:
 *
 *              since                  built                  live
 *     ..deleted..|======complete======|......to be built......|======complete======>
 *
 *     since   the first complete bucket. Older ones were deleted or never added. INT64_MIN: nothing is missing.
 *     source  the finer level from which this one is still being built; -1: none, buckets from `since` are complete.
 *     built   a key in the source. Rows before it are included in this level; late data before it is added to both.
 *     live    deltas of this bucket and later ones are added directly.
 *
 * Building reads the source's rows in the order of their keys, a bounded number per step, and advances `built`; it can
 * be interrupted at any key. A configured level is built if a restart added it. Internal levels (an hour and wider, for
 * ranges of months) are always built after their time has passed, so that no commit pays for them.
 *
 * A position on the time axis is the index of a level-0 bucket. No I/O, no clock.
 * lib/aggregate/retention.h creates the levels and adapts them to a changed configuration.
 */
#ifndef TS_AGGREGATE_LEVELS_H
#define TS_AGGREGATE_LEVELS_H

#include "lib/aggregate/grid.h"
#include "lib/base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum { TS_LEVELS_MAX = 32 };

/* The numbers are stored. */
enum ts_level_kind {
    TS_LEVEL_CONFIGURED = 0, /* in the configuration */
    TS_LEVEL_INTERNAL = 1,   /* added for the planner */
    TS_LEVEL_RETIRING = 2,   /* no longer in the configuration, but another level is still being built from it */
    TS_LEVEL_DEAD = 3        /* its rows are being deleted */
};

struct ts_level_key {
    int64_t bucket;
    uint32_t labels;
    uint32_t location; /* 0 for profiles */
};

struct ts_level {
    int64_t id; /* as stored in the rows */
    enum ts_level_kind kind;
    int64_t width; /* ns */
    int64_t keep;  /* ns */
    int64_t ratio; /* width / width of level 0 */
    int64_t since; /* from here on in buckets of this level, except the keys */
    int64_t live;
    int64_t source;                     /* id; -1: none */
    struct ts_level_key built;          /* of sums */
    struct ts_level_key built_profiles; /* of profiles */
    int64_t view_from;                  /* the view bucket_totals shows these buckets of this level, half-open */
    int64_t view_to;
};

/* Ascending by width, dead ones at the end. */
struct ts_levels {
    struct ts_grid grid; /* of level 0 */
    size_t n;
    struct ts_level items[TS_LEVELS_MAX];
};

/* < 0, 0, > 0 in the order of the primary key. */
int ts_level_key_compare(const struct ts_level_key *a, const struct ts_level_key *b);

/* Queries may show its buckets: it is configured or retiring. */
bool ts_level_is_visible(const struct ts_level *level);
struct ts_level *ts_levels_find(struct ts_levels *levels, int64_t id); /* NULL: none */

/* The level's bucket that contains a position, and the first position of a bucket (clamped to 64 bits). */
int64_t ts_level_bucket(const struct ts_level *level, int64_t position);
int64_t ts_level_position(const struct ts_level *level, int64_t bucket);
/* The finer level's bucket with which a bucket of the level begins. The widths are multiples. */
int64_t ts_level_first_bucket(const struct ts_level *level, int64_t bucket, const struct ts_level *finer);
/* The first bucket of `to` that begins at or after this bucket of `from`. INT64_MIN and INT64_MAX stay as they are. */
int64_t ts_level_bucket_from(const struct ts_level *from, int64_t bucket, const struct ts_level *to);

/* Is a delta with this key (bucket: a position) added to the level now? profile: the key is one of profiles. */
bool ts_level_takes(const struct ts_levels *levels, const struct ts_level *level, const struct ts_level_key *key,
                    bool profile);
/* Buckets from `since` up to this one, which is excluded, have been built. INT64_MAX without a source. */
int64_t ts_level_built_to(const struct ts_levels *levels, const struct ts_level *level);
bool ts_level_complete(const struct ts_levels *levels, const struct ts_level *level, int64_t bucket);
/* The end of the run of complete buckets that begins with this one; the bucket itself if it is not complete. */
int64_t ts_level_complete_until(const struct ts_levels *levels, const struct ts_level *level, int64_t bucket);
/* The first complete bucket at or after this one; INT64_MAX: none. */
int64_t ts_level_next_complete(const struct ts_levels *levels, const struct ts_level *level, int64_t bucket);

/* The first bucket that is younger than `keep` at this horizon (ns since the epoch). */
int64_t ts_level_first_kept(const struct ts_levels *levels, const struct ts_level *level, int64_t horizon);
/* Is this the configured level that is kept longest; of several, the widest? It accepts data of any age. */
bool ts_level_is_longest(const struct ts_levels *levels, const struct ts_level *level);
struct ts_level *ts_levels_longest(struct ts_levels *levels); /* never NULL in consistent levels */
/* How far `since` may advance at this horizon: not past anything that another level has yet to be built from. */
int64_t ts_level_bound(const struct ts_levels *levels, const struct ts_level *level, int64_t horizon);
/* Advances `since`, never back. That of the longest level also limits the internal levels: the planner must not use
 * what is older. */
void ts_level_advance(struct ts_levels *levels, struct ts_level *level, int64_t since);

/* Sets view_from and view_to: each time is shown from the finest level that has it, joined at buckets of the coarser
 * level. */
void ts_levels_set_view(struct ts_levels *levels);

/* Do the invariants hold that every function here relies on? For assertions. */
bool ts_levels_consistent(const struct ts_levels *levels);

#endif
