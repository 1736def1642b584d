/*
 * Streams in: TCP and Unix stream connections, each line one message; what is wrong is answered on the same stream.
 *
 * A connection:
 *
 *     reading <-> paused          memory is short: nothing is read until it is not
 *        |  ^  \
 *        |  |   `-> acking -.     acknowledged: no more is taken; waits until all that was is acknowledged
 *        |  v               |
 *        |  waiting         |     a hello: the client is another connection's, or not all of it is committed yet;
 *        |                  |     nothing is read, what had come behind the hello is kept
 *        |`-> ending <------|     its end came: the last answers go out, then it is closed
 *         `-> discarding <--'     nothing more of it can be taken: answered, half-closed, its input thrown away for up
 *                                 to a second, so that a reset does not overtake the answer; then closed
 *
 * Answers never wait for a reader: what the kernel does not take is queued up to a bound, past it answers are dropped
 * and counted.
 */
#ifndef TSD_INGEST_STREAM_H
#define TSD_INGEST_STREAM_H

#include "daemon/ingest/framer.h"
#include "daemon/ingest/ingest.h"

#include <uv.h>

struct tsd_shared;
struct tsd_connection;

enum { TSD_STREAM_LISTENERS = 2 };

struct tsd_stream_listener {
    union {
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } handle;
    struct tsd_streams *streams;
    const char *kind; /* "tcp", "unix_stream" */
    bool owed;        /* a connection that there was no memory for is still to be taken, and closed */
};

/* All streams of one ingest thread; embedded, in place. */
struct tsd_streams {
    uv_loop_t *loop;
    struct tsd_ingest *ingest;
    struct tsd_shared *shared;
    unsigned thread;             /* the ingest thread's number */
    void (*on_read)(void *data); /* after each read, and each connection accepted */
    void *data;

    char *memory; /* what is read into, by all connections in turn */
    struct tsd_framer_pool pool;
    union {
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } spare; /* what takes a connection where there is no memory for one */
    bool spare_busy;
    struct tsd_stream_listener listeners[TSD_STREAM_LISTENERS];
    size_t n_listeners;
    struct tsd_connection *connections; /* a list */
    uint64_t partial_bytes;             /* of this thread's unfinished lines */
    bool paused;
    size_t open_handles;
    void (*closed)(void *data); /* once all handles are gone */
    void *closed_data;
};

int tsd_streams_init(struct tsd_streams *streams) TS_MUST_USE;
void tsd_streams_deinit(struct tsd_streams *streams); /* after close has called back, or before any listen */

/* fd: listening, non-blocking, owned from success on. */
int tsd_streams_listen(struct tsd_streams *streams, int fd, const char *kind) TS_MUST_USE;

/* Once a second: closes what has stood still for too long. */
void tsd_streams_tick(struct tsd_streams *streams);
/* What became of acknowledged streams elsewhere: commits to acknowledge, a client that is free now, or wanted. */
void tsd_streams_look(struct tsd_streams *streams);
void tsd_streams_pause(struct tsd_streams *streams, bool paused);

/* Closes listeners and connections as they are. The callback comes on the loop, or at once where nothing is open. */
void tsd_streams_close(struct tsd_streams *streams, void (*cb)(void *data), void *data);

#endif
