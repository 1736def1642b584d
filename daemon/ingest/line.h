/*
 * One line of a stream: what it is, what becomes of it, what is answered. No I/O.
 *
 * On an acknowledged stream a line has a number: its seq, or where it has none (no positive integer, or it cannot be
 * read) the one after the line before. A message without a seq is taken under that number like any other.
 */
#ifndef TSD_INGEST_LINE_H
#define TSD_INGEST_LINE_H

#include "daemon/ingest/framer.h"
#include "daemon/ingest/ingest.h"
#include "daemon/ingest/session.h"

enum tsd_line_next {
    TSD_LINE_GOES_ON,
    TSD_LINE_HELLO,      /* to be answered once the session's client is this connection's */
    TSD_LINE_ENDS,       /* no further line of this connection can be taken */
    TSD_LINE_ENDS_ACKED, /* the same, once all that was taken is acknowledged */
};

struct tsd_line_result {
    enum tsd_line_next next;
    const char *code;  /* NULL: nothing is wrong with it */
    bool numbered;     /* the answer is a reject with a number, not an error with a place */
    uint64_t seq;      /* of the reject */
    uint64_t expected; /* in place of a gap's seq; else 0 */
    struct ts_fault fault;
};

/* What a line may need beside its text. */
struct tsd_line_context {
    struct tsd_ingest *ingest;
    struct tsd_session *session;
    struct tsd_clients *clients;
    unsigned thread;
    const void *connection;
    const struct tsd_peer *peer;
    size_t max_message;
};

/* frame: LINE, TOO_LARGE (line is its beginning) or NO_MEMORY. number: of the line, from 1. */
void tsd_line_take(const struct tsd_line_context *context, enum tsd_frame frame, const char *line, size_t len,
                   uint64_t number, struct tsd_line_result *ret_result);

/* Appends {"error": {...}} or {"reject": {...}} and a newline. */
void tsd_line_answer(struct ts_buf *out, const struct tsd_line_result *result, uint64_t number);
/* The answer to a hello, and an acknowledgement. */
void tsd_line_answer_hello(struct ts_buf *out, uint64_t last_seq, uint64_t max_message);
void tsd_line_answer_ack(struct ts_buf *out, uint64_t seq);

#endif
