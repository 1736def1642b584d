/*
 * Stream connections of one ingest thread: each line is one message; replies go back on the same stream.
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

struct tsd_connection; /* private */

/* All connections of one ingest thread, and what they have in common. */
struct tsd_connections {
    /* Set by the caller before init: */
    uv_loop_t *loop;
    struct tsd_ingest *ingest;
    struct tsd_shared *shared;
    unsigned thread;             /* number of the ingest thread */
    void (*on_read)(void *data); /* after each read and each accepted connection */
    void *data;

    char *memory; /* the read buffer, used by all connections in turn */
    struct tsd_framer_pool pool;
    LIST_HEAD(, tsd_connection) list;
    uint64_t partial_bytes; /* of unfinished lines, and of what waits after a hello */
    bool paused;
    size_t open_handles; /* of connections and listeners */
    void (*closed)(void *data);
    void *closed_data;
};

int tsd_connections_init(struct tsd_connections *set) TS_MUST_USE;
void tsd_connections_deinit(struct tsd_connections *set); /* twice is safe */

/* Accepts what the listener offers. False: no memory, or too many connections; the caller must refuse it. */
bool tsd_connection_accept(struct tsd_connections *set, uv_stream_t *listener, const char *kind) TS_MUST_USE;
/* Call when a handle counted in open_handles has been closed. */
void tsd_connections_handle_closed(struct tsd_connections *set);

/* See stream.h. */
void tsd_connections_tick(struct tsd_connections *set);
void tsd_connections_update(struct tsd_connections *set);
void tsd_connections_pause(struct tsd_connections *set, bool paused);
void tsd_connections_close(struct tsd_connections *set);

#endif
