/*
 * Processes one line of a stream: a message, a hello or a bye. The result has the reply, and what happens to the
 * connection next. No I/O.
 *
 * On an acknowledged stream a line has a number: its seq or, if it has none (not a positive integer, or unreadable),
 * the number after the previous line's. A message without a seq is processed under that number like any other.
 */
#ifndef TSD_INGEST_LINE_H
#define TSD_INGEST_LINE_H

#include "daemon/ingest/framer.h"
#include "daemon/ingest/ingest.h"
#include "daemon/ingest/session.h"

enum tsd_line_next {
    TSD_LINE_CONTINUE,
    TSD_LINE_HELLO,    /* reply to the hello once the connection owns the client */
    TSD_LINE_END,      /* no further line of this connection can be processed */
    TSD_LINE_END_ACKED /* the same, after everything processed is acknowledged */
};

struct tsd_line_result {
    enum tsd_line_next next;
    const char *code;  /* of the reply; NULL: the line is good, no reply */
    bool numbered;     /* reply with a reject that has a number, not with an error */
    uint64_t seq;      /* of the reject */
    uint64_t expected; /* the number expected, if seq leaves a gap; else 0 */
    struct ts_fault fault;
};

/* What processing a line needs besides its text. */
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
void tsd_line_process(const struct tsd_line_context *context, enum tsd_frame frame, const char *line, size_t len,
                      uint64_t number, struct tsd_line_result *ret_result);

/* Appends {"error": {...}} or {"reject": {...}} and a newline. */
void tsd_line_reply(struct ts_buf *out, const struct tsd_line_result *result, uint64_t number);
/* Append the reply to a hello, and an ack. */
void tsd_line_reply_hello(struct ts_buf *out, uint64_t last_seq, uint64_t max_message);
void tsd_line_reply_ack(struct ts_buf *out, uint64_t seq);

#endif
