/*
 * A commit: BEGIN IMMEDIATE; names; deltas; clients and times; COMMIT; a checkpoint if the log has grown.
 *
 * Any failure before the end of COMMIT ends in ROLLBACK, and the same batch may be committed again, with the same
 * numbers.
 *
 * Sums saturate: SQLite turns an integer overflow into a REAL, which a STRICT table rejects, so that the batch would
 * fail for ever. The upserts use the function ts_add() instead, registered at opening.
 */
#include "lib/store/clients.h"
#include "lib/store/deltas.h"
#include "lib/store/names.h"

#include <assert.h>

enum { CHECKPOINT_PAGES = 1000 /* SQLite's own default */ };

static bool is_empty(const struct ts_store_batch *batch)
{
    const struct ts_counters *counters = batch->counters;
    return (!counters || (!counters->n_rows && !counters->n_profiles)) && !batch->n_locations && !batch->n_label_sets &&
           !batch->n_clients;
}

/* New numbers follow the largest one: `last` is 0 while that is not known. */
static TS_FOR_ASSERT bool follows(uint32_t first, uint32_t n, uint32_t last)
{
    return n == 0 || (first > 0 && (last == 0 || first == last + 1) && first <= UINT32_MAX - (n - 1));
}

static int put_batch(struct ts_store *store, const struct ts_store_batch *batch, struct ts_levels *ret_levels)
{
    int rc = ts_store_put_names(store, batch);
    if (!rc && batch->counters)
        rc = ts_store_put_deltas(store, batch->counters, batch->horizon, ret_levels);
    if (!rc)
        rc = ts_store_put_clients(store, batch);
    return rc ? rc : ts_store_put_times(store, batch->uptime, batch->horizon);
}

int ts_store_commit(struct ts_store *store, const struct ts_store_batch *batch, uint64_t *ret_saturated,
                    struct ts_store_error *ret_error)
{
    struct ts_levels levels = store->levels;
    assert(follows(batch->first_location, batch->n_locations, store->last_location));
    assert(follows(batch->first_label_set, batch->n_label_sets, store->last_label_set));
    int r = ts_store_ready(store, ret_error);
    if (r)
        return r;
    if (is_empty(batch)) {
        *ret_saturated = 0;
        return 0;
    }
    if (batch->counters && ts_store_reserve_deltas(store, batch->counters)) {
        ts_sql_format_error(ret_error, "cannot commit: out of memory");
        return TS_ESTORE;
    }
    store->saturated = 0;
    int rc = ts_store_begin(store);
    if (!rc)
        rc = put_batch(store, batch, &levels);
    if (!rc)
        rc = ts_store_end(store);
    if (rc)
        return ts_store_fail(store, rc, "cannot commit", ret_error);
    store->levels = levels;
    if (batch->n_locations)
        store->last_location = batch->first_location + batch->n_locations - 1;
    if (batch->n_label_sets)
        store->last_label_set = batch->first_label_set + batch->n_label_sets - 1;
    *ret_saturated = store->saturated;
    r = ts_store_check_files(store, ret_error); /* moved during the commit: it must not be acknowledged */
    if (r)
        return r;
    return ts_store_checkpoint(store, CHECKPOINT_PAGES, ret_error);
}
