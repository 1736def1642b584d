/*
 * What the writer does between commits: building wider levels, pruning old rows, letting go of names that nothing
 * refers to, and tasks that others give it (a backup, a deletion). On the writer's thread, a bounded step at a time,
 * whenever nothing is to be committed; steps take a third of the time at most, so that queries and ingest have the
 * rest.
 *
 * Names. Which ones have no row any more is found out by a thread of its own with a read-only connection:
 *
 *     IDLE --what is kept longest has lost rows--> LOOKING --found some--> RENEWING --tables renewed--> DROPPING
 *      ^---------------------------------------------found none--'                                          |
 *      ^----------------------------------------------------------------------------------all are gone------'
 *
 * RENEWING waits for a cycle in which all ingest threads begin their name tables anew: from then on nobody has a number
 * that is about to go, unless a batch has used it since, which is known by the commit's number. In between a name that
 * comes again is found in the store by its text, and then stays.
 */
#ifndef TSD_WRITE_MAINTENANCE_H
#define TSD_WRITE_MAINTENANCE_H

#include "daemon/base/state.h"
#include "daemon/write/pending.h"
#include "lib/store/maintain.h"
#include "lib/store/store.h"
#include "lib/store/unused.h"

#include <stdbool.h>

/* Given to the writer, in place until done, which is called exactly once, on the writer's thread. */
struct tsd_task {
    void *data;
    /* One bounded step on the store. 0, and ret_more false once all is done; TS_ESTORE and others end it. */
    int (*step)(struct tsd_task *task, struct ts_store *store, bool *ret_more);
    void (*done)(struct tsd_task *task, int status); /* TS_ECANCELED: the daemon stops */
    struct tsd_task *next;                           /* the writer's */
};

enum tsd_maintenance_state {
    TSD_MAINTENANCE_IDLE,
    TSD_MAINTENANCE_LOOKING,
    TSD_MAINTENANCE_RENEWING,
    TSD_MAINTENANCE_DROPPING
};

struct tsd_sweep; /* private: the thread that looks */

struct tsd_maintenance {
    struct ts_store *store;
    struct tsd_state *shared;
    struct tsd_pending *pending;
    int64_t due;     /* monotonic ns: of the next step */
    uint32_t rows;   /* of a step */
    bool in_trouble; /* said already */
    int64_t noted;   /* when horizon and uptime were stored last */
    enum tsd_maintenance_state state;
    bool names_wanted; /* names may have lost their last row */
    int64_t looked;    /* when that was looked at last */
    uint64_t looked_at_commit;
    int64_t forgot; /* when held names were let go of last */
    struct tsd_sweep *sweep;
    uint32_t *locations; /* to be dropped, ascending; the first `dropped` of them are */
    size_t n_locations;
    size_t dropped;
    uint32_t *label_sets;
    size_t n_label_sets;
};

void tsd_maintenance_init(struct tsd_maintenance *maintenance, struct ts_store *store, struct tsd_state *shared,
                          struct tsd_pending *pending);
void tsd_maintenance_deinit(struct tsd_maintenance *maintenance); /* ends the thread that looks */

/*
 * One step of a task, else of what there is to maintain. Nothing may be pending. horizon: as it was when the ingest
 * threads were collected from last. TS_ESYNC, or 0: other trouble is said once, and tried again.
 */
int tsd_maintenance_step(struct tsd_maintenance *maintenance, struct tsd_task *task, int64_t horizon, int64_t uptime,
                         bool *ret_task_done, int *ret_task_status) TS_MUST_USE;

/* Stores horizon and uptime, at the end. */
void tsd_maintenance_note(struct tsd_maintenance *maintenance, int64_t horizon, int64_t uptime);

/* The next cycle is to have all ingest threads renew their name tables. */
bool tsd_maintenance_wants_renewal(struct tsd_maintenance *maintenance);
/* They did, and all that they had is committed. */
void tsd_maintenance_renewed(struct tsd_maintenance *maintenance);

#endif
