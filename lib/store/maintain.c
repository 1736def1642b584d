/*
 * Background maintenance, one bounded step at a time.
 *
 * A step is one transaction with a limited number of rows, so that a commit waits for one step at most. It needs no
 * sync of its own: a step lost in a power failure is done again, and the next commit syncs the log with all that is in
 * it. Building comes before pruning, because what a level is built from must not be pruned before that.
 *
 *     probe: anything to build or prune? --no--> nothing is written
 *          '--yes--> BEGIN -> build, else prune -> changed levels, times -> COMMIT
 */
#include "lib/store/maintain.h"

#include "lib/store/build.h"
#include "lib/store/clients.h"
#include "lib/store/levels.h"
#include "lib/store/prune.h"

#include <assert.h>

enum { CHECKPOINT_PAGES = 500 };

/* SQLITE_DONE: there was nothing to do. */
static int run_step(struct ts_step *step, const struct ts_maintain_options *options, bool *ret_more)
{
    struct ts_store *store = step->store;
    int rc = SQLITE_OK;
    step->probe = true; /* take no lock if there is nothing to do */
    bool worked = ts_store_build(step, &rc) || (!rc && ts_store_prune(step, &rc));
    if (rc || (!worked && !options->save_times))
        return rc ? rc : SQLITE_DONE;
    step->probe = false;
    rc = ts_store_begin(store);
    *ret_more = !rc && (ts_store_build(step, &rc) || (!rc && ts_store_prune(step, &rc)));
    if (!rc && step->levels_changed)
        rc = ts_store_write_levels(store->db, &step->levels);
    if (!rc)
        rc = ts_store_put_times(store, options->uptime, step->horizon);
    return rc ? rc : ts_store_end(store);
}

int ts_store_maintain(struct ts_store *store, const struct ts_maintain_options *options,
                      struct ts_maintain_result *ret_result, struct ts_store_error *ret_error)
{
    struct ts_step step = {.store = store, .levels = store->levels, .horizon = options->horizon, .rows = options->rows};
    bool more = false;
    assert(options->rows > 0);
    int r = ts_store_ready(store, ret_error);
    if (r)
        return r;
    store->saturated = 0;
    int rc = store->sync_each ? ts_sql_exec(store->db, "PRAGMA synchronous=NORMAL") : SQLITE_OK;
    if (!rc)
        rc = run_step(&step, options, &more);
    if (rc == SQLITE_OK)
        store->levels = step.levels;
    else if (rc != SQLITE_DONE)
        r = ts_store_fail(store, rc, "maintenance failed", ret_error);
    if (store->sync_each && ts_sql_exec(store->db, "PRAGMA synchronous=FULL") && !r) {
        ts_sql_format_error(ret_error, "maintenance failed: cannot restore PRAGMA synchronous");
        r = TS_ESTORE;
    }
    if (r)
        return r;
    *ret_result = (struct ts_maintain_result){.more = more,
                                              .longest_pruned = step.longest_pruned,
                                              .rows_built = step.rows_built,
                                              .rows_pruned = step.rows_pruned,
                                              .completed_width = step.completed_width};
    return ts_store_checkpoint(store, CHECKPOINT_PAGES, ret_error);
}
