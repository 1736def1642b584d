/*
 * The configured retention: creates the levels of a new database, and adapts those of an existing one at a start.
 *
 * Adapting keeps existing levels, plans which new ones are to be built from which, and retires the others. Internal
 * levels follow the longest configured level: their widths are multiples of its width. No I/O: callbacks do it.
 */
#ifndef TS_AGGREGATE_RETENTION_H
#define TS_AGGREGATE_RETENTION_H

#include "lib/aggregate/extend.h"

enum { TS_RETENTION_MAX = 8 };

/* A level of the configuration. Lists are ascending by width, each a multiple of those before it. */
struct ts_retention {
    int64_t width; /* ns */
    int64_t keep;  /* ns */
};

/* The levels of a new database. TS_EINVAL: too many. */
int ts_levels_make(struct ts_levels *levels, const struct ts_grid *grid, const struct ts_retention *retention, size_t n,
                   int64_t horizon) TS_MUST_USE;

/* Adapts the levels of a database to the configuration. TS_EINVAL: too many dead levels still have rows. */
int ts_levels_adapt(struct ts_levels *levels, const struct ts_retention *retention, size_t n, int64_t horizon,
                    const struct ts_levels_callbacks *callbacks, bool *ret_changed) TS_MUST_USE;

#endif
