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

struct tsd_shard;

/* Descriptors are the shard's own once it was asked to start, also where that failed; -1: none. All are bound,
 * non-blocking, close-on-exec. */
struct tsd_shard_sockets {
    int udp;
    int tcp;         /* listening */
    int unix_stream; /* listening */
    int unix_datagram;
};

/* What all shards share, in place while any of them lives. */
struct tsd_shard_shared {
    struct tsd_limits limits;
    struct tsd_rejects *rejects;
    tsd_count *writer_waiting_bytes; /* counted into the memory limit beside what the shards hold */
    _Atomic uint64_t waiting_bytes;  /* of all shards: counters not handed over, and partial lines */
    _Atomic uint64_t partial_bytes;  /* of all shards: partial lines */
    _Atomic uint32_t connections;    /* of all shards */
    _Atomic uint64_t max_message;    /* the atomic ones change at a reload */
    _Atomic uint32_t max_connections;
    _Atomic uint64_t memory_limit;
    _Atomic uint64_t
        commit_budget; /* bytes of counters that the store takes in less than a second, as the writer found */
    struct tsd_ledger *ledger;
    void (*on_mark)(void *data);     /* on a shard's thread: a mark waits for a commit */
    void (*on_pressure)(void *data); /* on a shard's thread: memory is short, commit now */
    void *data;
};

/* Bytes that count into ingest.memory_limit, of all threads. */
uint64_t tsd_shard_waiting(const struct tsd_shard_shared *shared);

/*
 * Hand over what has been counted: the shard first reads its sockets until they would block (within a bound), so that
 * what a sender had sent before the request is in it. The callback fires exactly once, on the shard's thread.
 */
struct tsd_collect {
    struct tsd_batch *batch; /* cleared; the caller's */
    bool prompt;             /* what has been read already, and no more */
    void *data;
    void (*cb)(struct tsd_collect *collect, int status); /* 0, or TS_ENOMEM: nothing was moved */
    struct tsd_collect *next;                            /* the shard's */
};

struct tsd_shard_config {
    struct tsd_shard_shared *shared;
    struct tsd_shard_sockets sockets;
    unsigned number;
};

int tsd_shard_start(const struct tsd_shard_config *config, struct tsd_shard **ret_shard) TS_MUST_USE;
/* When its loop came by last, monotonic ns; it does at least once a second. */
int64_t tsd_shard_pulse(const struct tsd_shard *shard);
const struct tsd_stats *tsd_shard_stats(const struct tsd_shard *shard);

void tsd_shard_collect(struct tsd_shard *shard, struct tsd_collect *collect);

/* Has its acknowledged streams looked at: something was committed, or another connection wants a client. */
void tsd_shard_look(struct tsd_shard *shard);

/* Reads the sockets until they would block, at most a second, closes them, then calls back on its own thread. It goes
   on answering tsd_shard_collect(). */
void tsd_shard_drain(struct tsd_shard *shard, void (*cb)(void *data), void *data);
/* Ends the thread, joins it, frees. Sockets that are still open are closed as they are. NULL is fine. */
struct tsd_shard *tsd_shard_free(struct tsd_shard *shard);

#endif
