/*
 * Background maintenance of the store: builds wider levels, prunes old rows, deletes the rows of retired levels.
 */
#ifndef TS_STORE_MAINTAIN_H
#define TS_STORE_MAINTAIN_H

#include "lib/store/store.h"

struct ts_maintain_options {
    int64_t horizon; /* of the last collection, ns since the epoch */
    int64_t uptime;  /* now, ns */
    uint32_t rows;   /* read or delete at most this many */
    bool save_times; /* store horizon and uptime even if there is nothing else to do */
};

struct ts_maintain_result {
    bool more;           /* the step did something, so there may be more to do */
    bool longest_pruned; /* the level that is kept longest starts to lose rows: names may become unreferenced */
    uint64_t rows_built;
    uint64_t rows_pruned;
    int64_t completed_width; /* ns: the width of a level that is completely built from now on; 0: none */
};

/*
 * One bounded step: a transaction without a sync of its own. Do not call it while a batch waits for a retry: the
 * horizon must not be ahead of what is committed.
 */
int ts_store_maintain(struct ts_store *store, const struct ts_maintain_options *options,
                      struct ts_maintain_result *ret_result, struct ts_store_error *ret_error) TS_MUST_USE;

#endif
