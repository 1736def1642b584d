/*
 * Who has sent up to which number: the clients of acknowledged streams, across all ingest threads.
 *
 * A client has at most one connection that owns it, and at most one that waits for it:
 *
 *     hello -> [owned by another: that one is told to go] -> waits until nobody owns it and all that was taken from it
 *              is committed -> owns it: messages -> leaves: what it has taken stays noted until it is committed
 *
 * So no two threads ever hold messages or marks of one client at a time: marks reach the writer in their order, and a
 * number is counted once: an ingest thread hands the
 * sums of the messages up to a number over together with that number (struct tsd_mark), and the writer commits both in
 * one transaction.
 *
 * The lock is taken for a hello, for leaving and by the writer; a message takes none. `committed` is what an ack may
 * say, read by the owner without the lock. An entry stays in place while any connection holds it (owning, waiting, or
 * not knowing yet that it was superseded) or a mark of it is outstanding.
 */
#ifndef TSD_INGEST_CLIENTS_H
#define TSD_INGEST_CLIENTS_H

#include "lib/profile/profile.h"
#include "lib/store/store.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum { TSD_CLIENTS_MAX = 100000 };

struct tsd_client {
    char id[TS_CLIENT_MAX + 1];
    _Atomic uint64_t committed; /* on stable storage */
    atomic_bool contested;      /* another connection waits: the owner is to leave */
    atomic_uint marks;          /* outstanding: with an ingest thread, or pending */
    size_t row;                 /* the writer's: 1 + its place among the pending rows; 0: none */
    /* Under the lock of the table: */
    struct tsd_client *next;
    const void *owner; /* a connection; only compared */
    const void *waiter;
    unsigned owner_thread;
    unsigned waiter_thread;
    unsigned holders; /* connections between hello and leave */
    uint64_t taken;   /* by whoever owned it last */
    int64_t used;     /* uptime, ns */
    bool leaving;     /* a mark that forgets it is outstanding */
};

/* Goes from an ingest thread to the writer with the sums of the messages up to seq. */
struct tsd_mark {
    struct tsd_client *client;
    uint64_t seq;
    bool forget;
};

struct tsd_clients {
    uv_mutex_t lock;
    struct tsd_client **slots;
    size_t n_slots;
    uint64_t seed;
    _Atomic uint64_t n;
    int64_t uptime_before; /* of earlier daemons on this database, ns */
    int64_t started;       /* monotonic, ns */
    /* Makes an ingest thread look at its acknowledged connections; called without the lock. */
    void (*wake)(void *data, unsigned thread);
    void *data;
};

int tsd_clients_init(struct tsd_clients *clients) TS_MUST_USE;
void tsd_clients_deinit(struct tsd_clients *clients);
/* Reads what the store has. TS_ENOMEM or TS_ESTORE. */
int tsd_clients_load(struct tsd_clients *clients, struct ts_store *store) TS_MUST_USE;
int64_t tsd_clients_uptime(const struct tsd_clients *clients);

/* ---- From ingest threads; `connection` stands for one of theirs, and is not looked into ---- */

enum { TSD_TOO_MANY_CLIENTS = 1 };

/* The connection waits for the client from now on, instead of one that may have. 0, TSD_TOO_MANY_CLIENTS, TS_ENOMEM. */
int tsd_clients_hello(struct tsd_clients *clients, struct ts_str id, unsigned thread, const void *connection,
                      struct tsd_client **ret_client) TS_MUST_USE;

enum tsd_claim {
    TSD_CLAIM_WAIT,
    TSD_CLAIM_OWNED, /* ret_last_seq is set: all of it is on stable storage */
    TSD_CLAIM_LOST   /* a later hello has taken its place */
};
enum tsd_claim tsd_clients_claim(struct tsd_clients *clients, struct tsd_client *client, const void *connection,
                                 uint64_t *ret_last_seq);

/* The connection goes, whether it owns, waits or has lost. For one that owned, taken: the last number that it took, its
 * mark made. */
void tsd_clients_leave(struct tsd_clients *clients, struct tsd_client *client, const void *connection, uint64_t taken,
                       bool forgotten);

/* ---- From the writer ---- */

/* The mark is on stable storage. A forgotten client is gone after this. */
void tsd_clients_committed(struct tsd_clients *clients, const struct tsd_mark *mark, int64_t uptime);

/* Clients that nobody has used for `expiry` ns of uptime: a mark that forgets each, made outstanding. Gives how many.
 */
size_t tsd_clients_expire(struct tsd_clients *clients, int64_t expiry, struct tsd_mark *marks, size_t max);

#endif
