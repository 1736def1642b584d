#include "daemon/ingest/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static char *append(char *to, struct ts_str *str)
{
    memcpy(to, str->data, str->len);
    str->data = to;
    return to + str->len;
}

int tsd_session_keep_labels(struct tsd_session *session, const struct ts_hello *hello)
{
    size_t bytes = 0;
    for (size_t i = 0; i < hello->n_labels; i++)
        bytes += hello->labels[i].key.len + hello->labels[i].value.len;
    if (!hello->n_labels)
        return 0;
    struct ts_label *labels = malloc(hello->n_labels * sizeof(*labels) + bytes);
    if (!labels)
        return TS_ENOMEM;
    memcpy(labels, hello->labels, hello->n_labels * sizeof(*labels));
    char *at = (char *)(labels + hello->n_labels);
    for (size_t i = 0; i < hello->n_labels; i++) {
        at = append(at, &labels[i].key);
        at = append(at, &labels[i].value);
    }
    session->labels = (struct tsd_labels){labels, hello->n_labels};
    return 0;
}

void tsd_session_deinit(struct tsd_session *session)
{
    union {
        const struct ts_label *kept;
        void *owned;
    } labels = {session->labels.labels};
    free(labels.owned);
    session->labels = (struct tsd_labels){NULL, 0};
}

void tsd_session_open(struct tsd_session *session, uint64_t last_seq)
{
    assert(session->client && !session->owned);
    session->owned = true;
    session->number = session->processed = session->acked = last_seq;
}

void tsd_session_advance(struct tsd_session *session, struct tsd_ingest *ingest, uint64_t number)
{
    assert(session->owned && number == session->processed + 1);
    struct tsd_mark mark = {.client = session->client, .seq = number};
    session->processed = number;
    tsd_ingest_mark(ingest, &session->place, &mark);
}

void tsd_session_leave(struct tsd_session *session, struct tsd_ingest *ingest, struct tsd_clients *clients,
                       const void *connection)
{
    bool forget = session->owned && session->bye && tsd_session_done(session);
    /* Without memory for the mark, the time that this stream was open does not count as use of the client. */
    if (session->owned && session->processed && tsd_ingest_reserve_mark(ingest) == 0) {
        struct tsd_mark mark = {.client = session->client, .seq = session->processed, .forget = forget};
        tsd_ingest_mark(ingest, &session->place, &mark);
    } else {
        forget = false;
    }
    tsd_clients_leave(clients, session->client, connection, session->processed, forget);
    session->client = NULL;
    session->owned = false;
}

uint64_t tsd_session_due(const struct tsd_session *session)
{
    if (!session->owned)
        return 0;
    uint64_t committed = atomic_load(&session->client->committed);
    assert(session->acked <= committed && committed <= session->processed);
    return committed > session->acked || (session->ack_again && committed) ? committed : 0;
}

void tsd_session_acked(struct tsd_session *session, uint64_t number)
{
    assert(number >= session->acked && number <= session->processed);
    session->acked = number;
    session->ack_again = false;
}

bool tsd_session_done(const struct tsd_session *session)
{
    assert(session->acked <= session->processed);
    return session->acked == session->processed;
}
