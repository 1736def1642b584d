/*
 * State that all ingest threads share, and how much memory and data may wait before senders have to.
 *
 * The server fills it before it starts the first ingest thread, and keeps it until the last one has ended. Later only
 * the atomic members change.
 */
#ifndef TSD_INGEST_SHARED_H
#define TSD_INGEST_SHARED_H

#include "daemon/ingest/clients.h"
#include "daemon/ingest/ingest.h"

struct tsd_shared {
    struct tsd_limits limits;
    struct tsd_rejects *rejects;
    tsd_count *writer_waiting_bytes; /* the writer's part of what counts towards the memory limit */
    _Atomic uint64_t waiting_bytes;  /* all threads: counters not handed over, and partial lines */
    _Atomic uint64_t partial_bytes;  /* all threads: partial lines */
    _Atomic uint32_t connections;    /* all threads */
    /* Changed by a reload: */
    _Atomic uint64_t max_message;
    _Atomic uint32_t max_connections;
    _Atomic uint64_t memory_limit;
    /* Set by the writer: bytes of counters that it commits in less than a second, as measured; 0: not known */
    _Atomic uint64_t commit_budget;
    struct tsd_clients *clients;
    /* Both are called on an ingest thread. */
    void (*on_mark)(void *data);     /* a mark waits for a commit */
    void (*on_pressure)(void *data); /* memory is short: commit now */
    void *data;
};

/* Bytes that count towards ingest.memory_limit, of all threads. */
uint64_t tsd_shared_waiting(const struct tsd_shared *shared);
/* More than `percent` of the memory limit is in use. */
bool tsd_shared_over_limit(const struct tsd_shared *shared, unsigned percent);
/* More than `percent` of the commit budget waits: queries would have to wait for a long commit. */
bool tsd_shared_over_budget(const struct tsd_shared *shared, unsigned percent);

#endif
