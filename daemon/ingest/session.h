/*
 * The numbers of an acknowledged stream: one connection's use of a client. No I/O, no lock.
 *
 *     number     of the previous line; a line without a number gets the next one
 *     processed  every message up to this number was counted or rejected, perhaps not committed yet
 *     acked      the last number acknowledged to the sender
 *
 * Invariant while the client is owned: acked <= client->committed <= processed. A number up to `processed` is a
 * duplicate, processed + 1 is processed next, a greater one leaves a gap and is rejected.
 */
#ifndef TSD_INGEST_SESSION_H
#define TSD_INGEST_SESSION_H

#include "daemon/ingest/clients.h"
#include "daemon/ingest/ingest.h"

struct tsd_session {
    struct tsd_client *client; /* NULL: a plain stream */
    uint64_t number;
    uint64_t processed;
    uint64_t acked;
    bool ack_again; /* a duplicate of an acknowledged message was received: repeat the ack */
    bool owned;     /* false: waits for the client */
    bool bye;       /* forget the client when everything is acknowledged */
    struct tsd_mark_place place;
    struct tsd_labels labels; /* of messages without labels; owned */
};

/* Copies the labels of the hello. TS_ENOMEM. */
int tsd_session_keep_labels(struct tsd_session *session, const struct ts_hello *hello) TS_MUST_USE;
void tsd_session_deinit(struct tsd_session *session); /* frees the labels; tsd_session_leave() releases the client */

/* The connection owns the client from now on. */
void tsd_session_open(struct tsd_session *session, uint64_t last_seq);

/* The message of this number, processed + 1, was counted or rejected. The mark was reserved. */
void tsd_session_advance(struct tsd_session *session, struct tsd_ingest *ingest, uint64_t number);
/* Releases the client. A mark records the time of its last use, or that it must be forgotten. */
void tsd_session_leave(struct tsd_session *session, struct tsd_ingest *ingest, struct tsd_clients *clients,
                       const void *connection);

/* The number to acknowledge now; 0: none. */
uint64_t tsd_session_due(const struct tsd_session *session);
void tsd_session_acked(struct tsd_session *session, uint64_t number);
/* Everything processed is acknowledged. */
bool tsd_session_done(const struct tsd_session *session);

#endif
