/*
 * Extends the level that is kept longest further back than it is complete, when the configuration changes.
 */
#ifndef TS_AGGREGATE_EXTEND_H
#define TS_AGGREGATE_EXTEND_H

#include "lib/aggregate/levels.h"

/* What adapting the levels asks the store to do. */
struct ts_levels_callbacks {
    /* The last bucket in which the level has a row; INT64_MIN: none. */
    int64_t (*last_bucket)(void *data, const struct ts_level *level);
    /* A change, as one line for the log. */
    void (*on_log)(void *data, const char *message);
    /* The level is now the longest one and must accept data older than `since`: delete its rows before that, now. */
    void (*purge)(void *data, const struct ts_level *level);
    /* Add the source's rows of the buckets [from, to) to the level, now. They are few: most often part of one bucket.
     */
    void (*copy)(void *data, const struct ts_level *level, const struct ts_level *source, int64_t from, int64_t to);
    void *data;
};

/*
 * The longest level accepts data as old as it keeps. If it is incomplete there, its rows before `since` are replaced by
 * everything that finer levels still have of that time. Then it has everything that the database has, provided that no
 * other level claims to have more.
 */
void ts_levels_extend_longest(struct ts_levels *levels, int64_t horizon, const struct ts_levels_callbacks *callbacks);

#endif
