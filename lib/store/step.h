/*
 * A maintenance step: what its tasks share. For lib/store/maintain.c, build.c and prune.c.
 */
#ifndef TS_STORE_STEP_H
#define TS_STORE_STEP_H

#include "lib/store/connection.h"

struct ts_step {
    struct ts_store *store;
    struct ts_levels levels; /* in force once the step is committed */
    int64_t horizon;
    uint32_t rows; /* read or delete at most this many */
    bool probe;    /* only find out whether there is something to do; write nothing */
    bool levels_changed;
    /* What the step has done, as in struct ts_maintain_result: */
    bool longest_pruned;
    uint64_t rows_built;
    uint64_t rows_pruned;
    int64_t completed_width;
};

#endif
