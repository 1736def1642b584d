/*
 * An ingest thread: its loop, its sockets, its name tables, its counters. No lock on the way of a message.
 *
 *     start -> reading -> [paused <-> reading] -> draining -> quiet -> gone
 *
 * Others talk to it by requests only (a short locked list and an async handle), and read its tsd_stats.
 */
#ifndef TSD_INGEST_THREAD_H
#define TSD_INGEST_THREAD_H

#include "daemon/ingest/ingest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tsd_thread;

/* Descriptors are the thread's own once it was asked to start, also where that failed; -1: none. All are bound,
 * non-blocking, close-on-exec. */
struct tsd_thread_sockets {
    int udp;
    int tcp;         /* listening */
    int unix_stream; /* listening */
    int unix_datagram;
};

/* What all ingest threads share, in place while any of them lives. */
struct tsd_shared {
    struct tsd_limits limits;
    struct tsd_rejects *rejects;
    tsd_count *writer_waiting_bytes; /* counted into the memory limit beside what the threads hold */
    _Atomic uint64_t waiting_bytes;  /* of all ingest threads: counters not handed over, and partial lines */
    _Atomic uint64_t partial_bytes;  /* of all ingest threads: partial lines */
    _Atomic uint32_t connections;    /* of all ingest threads */
    _Atomic uint64_t max_message;    /* the atomic ones change at a reload */
    _Atomic uint32_t max_connections;
    _Atomic uint64_t memory_limit;
    _Atomic uint64_t
        commit_budget; /* bytes of counters that the store takes in less than a second, as the writer found */
    struct tsd_clients *clients;
    void (*on_mark)(void *data);     /* on an ingest thread: a mark waits for a commit */
    void (*on_pressure)(void *data); /* on an ingest thread: memory is short, commit now */
    void *data;
};

/* Bytes that count into ingest.memory_limit, of all threads. */
uint64_t tsd_shared_waiting(const struct tsd_shared *shared);

/*
 * Hand over what has been counted: the thread first reads its sockets until they would block (within a bound), so that
 * what a sender had sent before the request is in it. The callback fires exactly once, on the ingest thread.
 */
struct tsd_collect {
    struct tsd_batch *batch; /* cleared; the caller's */
    bool prompt;             /* what has been read already, and no more */
    void *data;
    void (*cb)(struct tsd_collect *collect, int status); /* 0, or TS_ENOMEM: nothing was moved */
    struct tsd_collect *next;                            /* the thread's */
};

struct tsd_thread_config {
    struct tsd_shared *shared;
    struct tsd_thread_sockets sockets;
    unsigned number;
};

int tsd_thread_start(const struct tsd_thread_config *config, struct tsd_thread **ret_thread) TS_MUST_USE;
/* When its loop came by last, monotonic ns; it does at least once a second. */
int64_t tsd_thread_pulse(const struct tsd_thread *thread);
const struct tsd_stats *tsd_thread_stats(const struct tsd_thread *thread);

void tsd_thread_collect(struct tsd_thread *thread, struct tsd_collect *collect);

/* Has its acknowledged streams looked at: something was committed, or another connection wants a client. */
void tsd_thread_look(struct tsd_thread *thread);

/* Reads the sockets until they would block, at most a second, closes them, then calls back on its own thread. It goes
   on answering tsd_thread_collect(). */
void tsd_thread_drain(struct tsd_thread *thread, void (*cb)(void *data), void *data);
/* Ends the thread, joins it, frees. Sockets that are still open are closed as they are. NULL is fine. */
struct tsd_thread *tsd_thread_free(struct tsd_thread *thread);

#endif
