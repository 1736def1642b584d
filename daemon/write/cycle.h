/*
 * One cycle of the writer:
 *
 *     collect from all ingest threads at once -> merge into what is pending -> commit
 *
 * Failures: a commit that the store rejects keeps what is pending, and the next cycle commits it too; collecting
 * continues, and pending data then grows only with new (bucket, label set, location) keys. Without memory for a merge
 * the batch stays full, and its thread is not asked again until it is merged. A failed sync is fatal.
 *
 * Runs on the writer thread, or before that is started.
 */
#ifndef TSD_WRITE_CYCLE_H
#define TSD_WRITE_CYCLE_H

#include "daemon/base/state.h"
#include "daemon/ingest/thread.h"
#include "daemon/write/pending.h"
#include "lib/store/store.h"

#include <stdbool.h>

struct tsd_cycle_source {
    struct tsd_source source;
    struct tsd_collect collect;
};

struct tsd_cycle {
    /* Set by the caller before init: */
    struct ts_store *store;
    struct tsd_state *state;
    struct tsd_thread **threads;
    size_t n_threads;
    struct tsd_clients *clients;
    const struct tsd_clock *clock;
    _Atomic uint64_t *commit_budget; /* member of struct tsd_shared */

    struct tsd_pending pending;
    struct tsd_cycle_source sources[TSD_THREADS_MAX];
    int64_t horizon;     /* of the last collection */
    int64_t retry_pause; /* ns until the next attempt; 0: the last commit succeeded */
    int64_t last_expiry; /* of clients, monotonic ns */

    uv_mutex_t lock; /* for the rest */
    uv_cond_t collected;
    size_t collecting; /* ingest threads that have not called back */
};

/* Loads the stored names. TS_ENOMEM, TS_ESTORE or TS_EREFUSED; deinit is not needed then. */
int tsd_cycle_init(struct tsd_cycle *cycle, uint32_t max_locations, uint32_t max_label_sets) TS_MUST_USE;
void tsd_cycle_deinit(struct tsd_cycle *cycle);

struct tsd_cycle_options {
    bool prompt;           /* do not read the sockets: nobody waits for what they hold */
    bool renew;            /* all threads must replace their name tables */
    int64_t client_expiry; /* ns: forget clients idle for longer */
};

/* 0: everything collected is on stable storage. TS_ESTORE: not everything; logged, see retry_pause. TS_ESYNC. */
int tsd_cycle_run(struct tsd_cycle *cycle, const struct tsd_cycle_options *options) TS_MUST_USE;

/* Nothing is pending, and no collected batch waits to be merged. */
bool tsd_cycle_is_clean(const struct tsd_cycle *cycle);
/* The same, and no ingest thread has numbers that it would use again: all have replaced their name tables. */
bool tsd_cycle_is_renewed(const struct tsd_cycle *cycle);

#endif
