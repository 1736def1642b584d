/*
 * The table of clients of acknowledged streams, shared by all ingest threads: who owns each client, and up to which
 * number its messages are committed.
 *
 * A client has at most one connection that owns it, and at most one that waits for it:
 *
 *     hello -> [another connection owns it: that one must leave]
 *           -> wait until nobody owns it and everything received from it is committed
 *           -> own it: messages
 *           -> leave: the number of its last message is kept until it is committed
 *
 * So two threads never hold messages or marks of the same client: marks reach the writer in order. Each number is
 * counted once: an ingest thread hands over the sums of the messages up to a number together with that number
 * (struct tsd_mark), and the writer commits both in one transaction.
 *
 * Invariant: committed <= processed.
 *
 * Threads: hello, leave and the writer's calls take the lock; processing a message does not. The owner reads
 * `committed` without the lock to send acks. An entry stays in place while a connection holds it (as owner, as waiter,
 * or superseded without knowing it yet) or while one of its marks is outstanding.
 */
#ifndef TSD_INGEST_CLIENTS_H
#define TSD_INGEST_CLIENTS_H

#include "lib/profile/profile.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

enum { TSD_CLIENTS_MAX = 100000 };

struct tsd_client {
    char id[TS_CLIENT_MAX + 1];
    _Atomic uint64_t committed; /* the last number on stable storage */
    atomic_bool contested;      /* another connection waits: the owner must leave */
    atomic_uint marks;          /* outstanding: on an ingest thread or pending */
    size_t pending_mark;        /* of the writer: 1 + index of its mark in struct tsd_pending; 0: none */
    /* Under the lock of the table: */
    SLIST_ENTRY(tsd_client) entry;
    const void *owner; /* a connection; only compared */
    const void *waiter;
    unsigned owner_thread;
    unsigned waiter_thread;
    unsigned holders;   /* connections between hello and leave */
    uint64_t processed; /* the last number the previous owner counted or rejected */
    int64_t used;       /* uptime of the last use, ns */
    bool forgetting;    /* a mark that forgets it is outstanding */
};

/* Passed from an ingest thread to the writer, with the sums of the messages up to seq. */
struct tsd_mark {
    struct tsd_client *client;
    uint64_t seq;
    bool forget; /* delete the client with the commit */
};

SLIST_HEAD(tsd_clients_slot, tsd_client);

struct tsd_clients {
    uv_mutex_t lock;
    struct tsd_clients_slot *slots;
    size_t n_slots;
    uint64_t seed;
    _Atomic uint64_t n;
    int64_t previous_uptime; /* of earlier daemons on this database, ns */
    int64_t started;         /* monotonic, ns */
    /* Makes an ingest thread call tsd_streams_update(). Called without the lock. */
    void (*wake)(void *data, unsigned thread);
    void *data;
};

int tsd_clients_init(struct tsd_clients *clients) TS_MUST_USE;
void tsd_clients_deinit(struct tsd_clients *clients);
/* Adds a client that is stored. data: struct tsd_clients, so that ts_store_load_clients() can call it.
 * TS_ENOMEM, or TS_ESTORE if the id is not a valid one. */
int tsd_clients_load(void *data, struct ts_str id, uint64_t last_seq, int64_t used) TS_MUST_USE;
/* Time that daemons have run on this database, ns. */
int64_t tsd_clients_uptime(const struct tsd_clients *clients);

/* ---- For ingest threads; `connection` identifies a connection and is never dereferenced ---- */

enum { TSD_TOO_MANY_CLIENTS = 1 };

/* The connection now waits for the client, in place of any that waited before. 0, TSD_TOO_MANY_CLIENTS, TS_ENOMEM. */
int tsd_clients_hello(struct tsd_clients *clients, struct ts_str id, unsigned thread, const void *connection,
                      struct tsd_client **ret_client) TS_MUST_USE;

enum tsd_claim {
    TSD_CLAIM_WAIT,
    TSD_CLAIM_OWNED, /* ret_last_seq is set; everything up to it is on stable storage */
    TSD_CLAIM_LOST   /* superseded by a later hello */
};
enum tsd_claim tsd_clients_claim(struct tsd_clients *clients, struct tsd_client *client, const void *connection,
                                 uint64_t *ret_last_seq);

/* The connection releases the client, whether it owns it, waits for it or was superseded. processed: for the owner, the
 * last number it counted or rejected; its mark has been made. forgotten: that mark forgets the client. */
void tsd_clients_leave(struct tsd_clients *clients, struct tsd_client *client, const void *connection,
                       uint64_t processed, bool forgotten);

/* ---- For the writer ---- */

/* The mark is on stable storage. If it forgets the client, or if nothing is known of it, this may free the client. */
void tsd_clients_committed(struct tsd_clients *clients, const struct tsd_mark *mark, int64_t uptime);

/* Makes a forgetting mark for clients unused for `expiry` ns of uptime, at most `max`. Returns their number. */
size_t tsd_clients_expire(struct tsd_clients *clients, int64_t expiry, struct tsd_mark *marks, size_t max);

#endif
