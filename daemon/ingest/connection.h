/*
 * A stream connection of an ingest thread: each line is one message; replies are sent on the same stream.
 *
 * States of a connection:
 *
 *     READING --> WAITING      hello: another connection owns the client, or not everything of it is committed yet.
 *        |  ^-------'          Nothing is read; what was received after the hello is kept.
 *        |
 *        |-> ACKING            acknowledged stream: no more lines are processed; waits until everything processed is
 *        |     |               acknowledged
 *        |     |
 *        |-----|-> DISCARDING  no further line can be processed: the reply is sent, the connection half-closed, and
 *        |     |       |       input discarded for up to a second, so that a reset does not overtake the reply
 *        |     |       v
 *        `-----`--> ENDING     the sender has half-closed: the last replies are sent
 *
 *     any state --> CLOSING    closed as it is
 *
 * While memory is short all connections are paused: READING, but nothing is read.
 */
#ifndef TSD_INGEST_CONNECTION_H
#define TSD_INGEST_CONNECTION_H

#include "daemon/ingest/framer.h"
#include "daemon/ingest/ingest.h"
#include "daemon/ingest/outbox.h"
#include "daemon/ingest/session.h"
#include "daemon/ingest/shared.h"

#include <sys/queue.h>
#include <uv.h>

union tsd_stream_handle {
    uv_handle_t any;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
};

/* kind: "tcp" or "unix_stream". Needs neither memory nor a descriptor. */
int tsd_stream_handle_init(union tsd_stream_handle *handle, uv_loop_t *loop, const char *kind) TS_MUST_USE;

struct tsd_connection;

enum { TSD_READ_SIZE = 1024 * 1024 /* of 64 KiB to 2 MiB measured, the smallest beyond which little is gained */ };

/* All connections of one ingest thread, and what they share; see connections.h. */
struct tsd_connections {
    /* Set by the caller before init: */
    uv_loop_t *loop;
    struct tsd_ingest *ingest;
    struct tsd_shared *shared;
    unsigned thread;             /* number of the ingest thread */
    void (*on_read)(void *data); /* after each read and each accepted connection */
    void *data;

    char *memory; /* the read buffer of TSD_READ_SIZE bytes, used by all connections in turn */
    struct tsd_framer_pool pool;
    LIST_HEAD(, tsd_connection) list;
    uint64_t partial_bytes; /* of unfinished lines, and of what waits after a hello */
    bool paused;
    size_t open_handles; /* of connections and listeners */
    void (*closed)(void *data);
    void *closed_data;
};

enum tsd_connection_state { TSD_READING, TSD_WAITING, TSD_ACKING, TSD_ENDING, TSD_DISCARDING, TSD_CLOSING };

struct tsd_connection {
    union tsd_stream_handle handle;
    struct tsd_connections *set;
    LIST_ENTRY(tsd_connection) entry;
    const char *kind;
    enum tsd_connection_state state;
    bool shut;  /* half-closed by us */
    bool ended; /* half-closed by the sender */
    struct tsd_session session;
    struct ts_buf rest; /* TSD_WAITING: received after the hello */
    struct tsd_framer framer;
    uint64_t held;         /* bytes of framer and rest, as counted in the totals */
    int64_t last_progress; /* monotonic ns */
    int64_t line_began;    /* monotonic ns, of the unfinished line */
    struct tsd_outbox outbox;
};

/* Accepts what the listener offers. False: no memory, or too many connections; the caller must refuse it. */
bool tsd_connection_accept(struct tsd_connections *set, uv_stream_t *listener, const char *kind) TS_MUST_USE;
/* The table of clients has changed: sends acks, continues after the hello, or makes room for another connection. */
void tsd_connection_update(struct tsd_connection *connection);
void tsd_connection_pause(struct tsd_connection *connection, bool paused);
/* Closes it as it is, and removes it from the list. */
void tsd_connection_close(struct tsd_connection *connection);

/* Asks the writer to commit the marks made so far. */
void tsd_connections_request_ack(struct tsd_connections *set);
/* While unfinished lines hold too much memory: closes the connection of this thread without progress for longest. */
void tsd_connections_limit_partial_lines(struct tsd_connections *set);
/* Call when a handle counted in open_handles has been closed. */
void tsd_connections_handle_closed(struct tsd_connections *set);

#endif
