/*
 * An acknowledged stream: who sends, and by which number. No I/O, no lock.
 *
 *     number  of the line before: what a line that has no number of its own goes on from
 *     taken   all up to it was counted, or rejected; it may not be committed yet
 *     acked   what the sender was told
 *
 * acked <= client->committed <= taken. A number up to `taken` is a duplicate, taken + 1 is taken, beyond is a gap.
 */
#ifndef TSD_INGEST_SESSION_H
#define TSD_INGEST_SESSION_H

#include "daemon/ingest/clients.h"
#include "daemon/ingest/ingest.h"

struct tsd_session {
    struct tsd_client *client; /* NULL: a plain stream */
    uint64_t number;
    uint64_t taken;
    uint64_t acked;
    bool ack_again; /* a duplicate of what is acknowledged already came */
    bool owned;     /* false: waits for the client */
    bool bye;       /* forget the client once all is acknowledged */
    struct tsd_mark_place place;
    struct tsd_labels labels; /* of messages that have none; owned */
};

/* Keeps the labels. TS_ENOMEM. */
int tsd_session_keep_labels(struct tsd_session *session, const struct ts_hello *hello) TS_MUST_USE;
void tsd_session_deinit(struct tsd_session *session); /* what it owns; the client is left elsewhere */

/* The client is this connection's now. */
void tsd_session_open(struct tsd_session *session, uint64_t last_seq);

/* `number` has been counted or rejected; room for the mark was reserved. */
void tsd_session_take(struct tsd_session *session, struct tsd_ingest *ingest, uint64_t number);
/* Leaves the client: a mark says that it was used until now, or that it is to be forgotten. */
void tsd_session_leave(struct tsd_session *session, struct tsd_ingest *ingest, struct tsd_clients *clients,
                       const void *connection);

/* The number to acknowledge now; 0: none. */
uint64_t tsd_session_due(const struct tsd_session *session);
void tsd_session_acked(struct tsd_session *session, uint64_t number);
/* All that was taken is acknowledged. */
bool tsd_session_done(const struct tsd_session *session);

#endif
