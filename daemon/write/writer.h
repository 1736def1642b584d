/*
 * The one thread and the one connection that write the database.
 *
 * Every flush_interval, or when somebody asks, a cycle: collect from every ingest thread -> translate numbers, merge
 * into what is pending -> one transaction. A transaction that fails keeps what is pending and is tried again with
 * growing pauses; a sync that fails ends the process.
 */
#ifndef TSD_WRITE_WRITER_H
#define TSD_WRITE_WRITER_H

#include "daemon/base/state.h"
#include "daemon/ingest/thread.h"
#include "daemon/write/maintenance.h"
#include "lib/store/store.h"

#include <stdbool.h>

struct tsd_writer;
struct tsd_flush;

/*
 * status 0: everything that the ingest threads could read from their sockets before the request was made is on stable
 * storage. Else TS_ESTORE (why in tsd_state_store_error()) or TS_ECANCELED (the daemon stops).
 */
typedef void (*tsd_flush_cb)(struct tsd_flush *flush, int status);

/* Owned by the caller, in place until the callback, which fires exactly once, on the writer's thread. */
struct tsd_flush {
    void *data;
    tsd_flush_cb cb;
    bool at_once;           /* false: the commits that such requests force are shared, at most 20 a second */
    struct tsd_flush *next; /* the writer's */
};

struct tsd_writer_config {
    struct ts_store *store; /* owned by the writer from a successful start on */
    struct tsd_state *state;
    struct tsd_thread **threads;
    size_t n_threads;
    uint32_t max_locations;
    uint32_t max_label_sets;
    _Atomic uint64_t *commit_budget; /* kept up here: struct tsd_shared has its meaning */
    struct tsd_clients *clients;
    const struct tsd_clock *clock;  /* its horizon */
    int64_t flush_interval;         /* ns */
    int64_t ack_interval;           /* ns */
    int64_t client_expiry;          /* ns */
    void (*on_fatal)(void *data);   /* on the writer's thread, once, after it has been logged: end the process */
    void (*on_stopped)(void *data); /* on the writer's thread, its last act */
    void *data;
};

/* Reads the names that the store has, then starts the thread. TS_ENOMEM or TS_ESTORE with ret_error. */
int tsd_writer_start(const struct tsd_writer_config *config, struct tsd_writer **ret_writer,
                     struct ts_store_error *ret_error) TS_MUST_USE;

/* After the writer's end it is called back at once, on this thread. */
void tsd_writer_flush(struct tsd_writer *writer, struct tsd_flush *flush);
/* Does a task between commits, one after the other. After the writer's end it is done at once, on this thread. */
void tsd_writer_task(struct tsd_writer *writer, struct tsd_task *task);
/* Memory is short: a cycle now. */
void tsd_writer_hurry(struct tsd_writer *writer);
/* A mark of an acknowledged stream waits: a cycle within ack_interval. */
void tsd_writer_ack(struct tsd_writer *writer);
/* When it began the cycle or step that it is at, or until when it waits: monotonic ns. */
int64_t tsd_writer_pulse(const struct tsd_writer *writer);
/* At a reload. Limits hold for names that are new from now on. */
void tsd_writer_reconfigure(struct tsd_writer *writer, uint32_t max_locations, uint32_t max_label_sets,
                            int64_t flush_interval, int64_t ack_interval, int64_t client_expiry);

/* Ends the thread after a last cycle, which is tried for a few seconds; then on_stopped. The threads still answer. */
void tsd_writer_stop(struct tsd_writer *writer);
/* Joins the thread, which has been told to stop, and closes the store. True where everything was committed. The ingest
   threads may still call tsd_writer_hurry() until tsd_writer_free(). */
bool tsd_writer_join(struct tsd_writer *writer);
struct tsd_writer *tsd_writer_free(struct tsd_writer *writer); /* NULL is fine */

#endif
