/*
 * An ingest thread: its loop, sockets, name tables and counters. A message is processed without a lock.
 *
 *     start -> reading -> [paused <-> reading] -> draining -> sockets closed -> free
 *
 * Other threads use requests only (a short list under a lock, and an async handle), and read its tsd_stats.
 */
#ifndef TSD_INGEST_THREAD_H
#define TSD_INGEST_THREAD_H

#include "daemon/ingest/batch.h"
#include "daemon/ingest/shared.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct tsd_thread;

/* Bound, non-blocking, close-on-exec; -1: none. tsd_thread_start() takes ownership even if it fails. */
struct tsd_thread_sockets {
    int udp;
    int tcp;         /* listening */
    int unix_stream; /* listening */
    int unix_datagram;
};

/*
 * A request to hand over what has been collected. The thread first reads its sockets until they would block, within a
 * time limit, so that everything sent before the request is included. The callback is called exactly once, on the
 * ingest thread.
 */
struct tsd_collect {
    struct tsd_batch *batch; /* cleared; owned by the caller */
    bool prompt;             /* hand over at once, without reading the sockets */
    void *data;
    void (*cb)(struct tsd_collect *collect, int status); /* 0, or TS_ENOMEM: nothing was moved */
    STAILQ_ENTRY(tsd_collect) entry;                     /* used by the thread */
};

struct tsd_thread_config {
    struct tsd_shared *shared;
    struct tsd_thread_sockets sockets;
    unsigned number;
};

/* Sets ret_thread before the thread runs, because other ingest threads may wake it at once. */
int tsd_thread_start(const struct tsd_thread_config *config, struct tsd_thread **ret_thread) TS_MUST_USE;
/* Time of the last turn of its loop, monotonic ns; at least once a second. */
int64_t tsd_thread_pulse(const struct tsd_thread *thread);
const struct tsd_stats *tsd_thread_stats(const struct tsd_thread *thread);

void tsd_thread_collect(struct tsd_thread *thread, struct tsd_collect *collect);

/* Makes it call tsd_streams_update(): something was committed, or a connection of another thread wants a client. */
void tsd_thread_update_streams(struct tsd_thread *thread);

/* Reads the sockets until they would block, for at most a second, closes them, then calls back on the ingest thread.
   The thread continues to handle tsd_thread_collect(). */
void tsd_thread_drain(struct tsd_thread *thread, void (*cb)(void *data), void *data);
/* Ends the thread, joins it, frees. Open sockets are closed as they are. NULL is fine. */
struct tsd_thread *tsd_thread_free(struct tsd_thread *thread);

#endif
