/*
 * The writer: the only thread and the only connection that write to the database.
 *
 * Every flush_interval, or on request, it runs a cycle (cycle.h): collect from every ingest thread, merge, commit. A
 * failed commit is retried with growing pauses; a failed sync ends the process. Between cycles it does maintenance.
 */
#ifndef TSD_WRITE_WRITER_H
#define TSD_WRITE_WRITER_H

#include "daemon/base/state.h"
#include "daemon/ingest/thread.h"
#include "daemon/write/maintenance.h"
#include "lib/store/store.h"

#include <stdbool.h>
#include <sys/queue.h>

struct tsd_writer;
struct tsd_flush;

/*
 * status 0: everything that the ingest threads could read from their sockets before the request was made is on stable
 * storage. TS_ESTORE: the commit failed, for the reason in tsd_state_store_error(). TS_ECANCELED: the daemon stops.
 */
typedef void (*tsd_flush_cb)(struct tsd_flush *flush, int status);

/* Owned by the caller; in place until the callback, which is called exactly once, on the writer's thread. */
struct tsd_flush {
    void *data;
    tsd_flush_cb cb;
    bool at_once;                  /* false: such requests share commits, at most 20 per second */
    STAILQ_ENTRY(tsd_flush) entry; /* used by the writer */
};

struct tsd_writer_config {
    struct ts_store *store; /* owned by the writer after a successful start */
    struct tsd_state *state;
    struct tsd_thread **threads;
    size_t n_threads;
    uint32_t max_locations;
    uint32_t max_label_sets;
    _Atomic uint64_t *commit_budget; /* kept up to date: member of struct tsd_shared */
    struct tsd_clients *clients;
    const struct tsd_clock *clock;  /* for the horizon */
    int64_t flush_interval;         /* ns */
    int64_t ack_interval;           /* ns */
    int64_t client_expiry;          /* ns */
    void (*on_fatal)(void *data);   /* once, on the writer's thread, after logging the reason: end the process */
    void (*on_stopped)(void *data); /* on the writer's thread, at its end */
    void *data;
};

/* Loads the stored names, then starts the thread. TS_ENOMEM, TS_ESTORE or TS_EREFUSED with ret_error. */
int tsd_writer_start(const struct tsd_writer_config *config, struct tsd_writer **ret_writer,
                     struct ts_store_error *ret_error) TS_MUST_USE;

/* After the writer's end it calls back at once, on the caller's thread. */
void tsd_writer_flush(struct tsd_writer *writer, struct tsd_flush *flush);
/* Runs tasks between commits, one after the other. After the writer's end it cancels at once, on the caller's thread.
 */
void tsd_writer_task(struct tsd_writer *writer, struct tsd_task *task);
/* Memory is short: run a cycle now. */
void tsd_writer_hurry(struct tsd_writer *writer);
/* A mark of an acknowledged stream waits: run a cycle within ack_interval. */
void tsd_writer_ack(struct tsd_writer *writer);
/* The start of its current cycle or step, or the time until which it waits: monotonic ns. */
int64_t tsd_writer_pulse(const struct tsd_writer *writer);
/* For a reload. The limits apply to names that are new from now on. */
void tsd_writer_reconfigure(struct tsd_writer *writer, uint32_t max_locations, uint32_t max_label_sets,
                            int64_t flush_interval, int64_t ack_interval, int64_t client_expiry);

/* Ends the thread after a last cycle, which is retried for a few seconds; then on_stopped. The ingest threads must
   still hand over. */
void tsd_writer_stop(struct tsd_writer *writer);
/* Joins the thread after tsd_writer_stop() and closes the store. True: everything was committed. The ingest threads may
   call tsd_writer_hurry() until tsd_writer_free(). */
bool tsd_writer_join(struct tsd_writer *writer);
struct tsd_writer *tsd_writer_free(struct tsd_writer *writer); /* NULL is fine */

#endif
