/*
 * Deletes names that no row refers to any more. Runs on the writer thread, except for the scan that finds them: it has
 * a thread and a read-only connection of its own, because it reads for long.
 *
 *     IDLE --the longest level has lost rows--> SCANNING --found some--> RENEWING --tables renewed--> DELETING
 *      ^------------------------------------------'found none                                            |
 *      '------------------------------------------------------------------------------------all deleted--'
 *
 * RENEWING waits for a cycle in which all ingest threads replace their name tables. From then on nobody has a number
 * that is about to be deleted, unless a batch has used it since the scan, which the number of its commit shows. A name
 * that is used again meanwhile is found in the store by its text, and is then kept.
 *
 * Tables are also renewed without a scan, to make room in a table full of locations that level 0 no longer has.
 */
#ifndef TSD_WRITE_SWEEP_H
#define TSD_WRITE_SWEEP_H

#include "daemon/base/state.h"
#include "daemon/write/pending.h"
#include "lib/store/store.h"

#include <stdbool.h>

enum tsd_sweep_state { TSD_SWEEP_IDLE, TSD_SWEEP_SCANNING, TSD_SWEEP_RENEWING, TSD_SWEEP_DELETING };

struct tsd_scan; /* private: the thread */

struct tsd_sweep {
    struct ts_store *store;
    struct tsd_state *shared;
    struct tsd_pending *pending;
    enum tsd_sweep_state state;
    bool requested;       /* names may have lost their last row */
    int64_t scanned;      /* start of the last scan, monotonic ns */
    uint64_t scan_commit; /* number of the last commit before it */
    int64_t renewed;      /* the last time a renewal was considered, monotonic ns */
    struct tsd_scan *scan;
    uint32_t *locations; /* to be deleted, ascending; the first n_deleted already are */
    size_t n_locations;
    size_t n_deleted;
    uint32_t *label_sets;
    size_t n_label_sets;
};

/* From now on pending looks names that it does not hold up in the store. */
void tsd_sweep_init(struct tsd_sweep *sweep, struct ts_store *store, struct tsd_state *shared,
                    struct tsd_pending *pending);
void tsd_sweep_deinit(struct tsd_sweep *sweep); /* ends the scan; twice is safe */

/* Rows were deleted: scan at the next opportunity. */
void tsd_sweep_request(struct tsd_sweep *sweep);
/*
 * One bounded step: starts a scan, fetches the result of one that has ended, or deletes some names. *ret_more: names
 * were deleted, and there may be more. TS_ESTORE or TS_ESYNC with ret_error.
 */
int tsd_sweep_step(struct tsd_sweep *sweep, bool *ret_more, struct ts_store_error *ret_error) TS_MUST_USE;

/* All ingest threads must renew their name tables in the next cycle. */
bool tsd_sweep_wants_renewal(struct tsd_sweep *sweep);
/* They have, and everything collected from them is committed. */
void tsd_sweep_tables_renewed(struct tsd_sweep *sweep);

#endif
