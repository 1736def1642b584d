/*
 * Background maintenance, between the commits of the writer and on its thread: builds wider levels, prunes old rows,
 * deletes unreferenced names (sweep.h), and runs tasks that others pass to the writer (a backup, a deletion).
 *
 * It works in bounded steps while nothing is pending. Steps take at most a third of the time; queries and ingest get
 * the rest.
 */
#ifndef TSD_WRITE_MAINTENANCE_H
#define TSD_WRITE_MAINTENANCE_H

#include "daemon/base/state.h"
#include "daemon/write/sweep.h"
#include "lib/store/store.h"

#include <stdbool.h>
#include <sys/queue.h>

/* Passed to the writer; in place until `done`, which is called exactly once, on the writer's thread. */
struct tsd_task {
    void *data;
    /* One bounded step on the store. 0, with *ret_more false when everything is done; an error ends the task. */
    int (*step)(struct tsd_task *task, struct ts_store *store, bool *ret_more);
    void (*done)(struct tsd_task *task, int status); /* TS_ECANCELED: the daemon stops */
    STAILQ_ENTRY(tsd_task) entry;                    /* used by the writer */
};

struct tsd_maintenance {
    struct ts_store *store;
    struct tsd_state *state;
    struct tsd_sweep sweep;
    int64_t due;         /* of the next step, monotonic ns */
    uint32_t rows;       /* of a step */
    bool failing;        /* the last step failed, which is logged once */
    int64_t times_saved; /* when horizon and uptime were last stored, monotonic ns */
};

void tsd_maintenance_init(struct tsd_maintenance *maintenance, struct ts_store *store, struct tsd_state *state,
                          struct tsd_pending *pending);
void tsd_maintenance_deinit(struct tsd_maintenance *maintenance); /* twice is safe */

/*
 * One step: of the task if there is one, else of maintenance. Nothing may be pending. horizon: of the last collection.
 * 0 or TS_ESYNC; other errors of maintenance are logged once and retried. *ret_task_done: the task has ended, with
 * *ret_task_status.
 */
int tsd_maintenance_step(struct tsd_maintenance *maintenance, struct tsd_task *task, int64_t horizon, int64_t uptime,
                         bool *ret_task_done, int *ret_task_status) TS_MUST_USE;

/* Stores horizon and uptime, at the end. */
void tsd_maintenance_save_times(struct tsd_maintenance *maintenance, int64_t horizon, int64_t uptime);

#endif
