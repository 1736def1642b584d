/*
 * Stream input of one ingest thread: TCP and Unix listeners, and the connections they accept (connections.h).
 *
 * With max_connections open, or without memory, a connection is accepted and closed at once.
 */
#ifndef TSD_INGEST_STREAM_H
#define TSD_INGEST_STREAM_H

#include "daemon/ingest/connections.h"

enum { TSD_STREAM_LISTENERS = 2 };

struct tsd_stream_listener {
    union tsd_stream_handle handle;
    struct tsd_streams *streams;
    const char *kind; /* "tcp", "unix_stream" */
    bool owed;        /* a connection has yet to be accepted and closed */
};

/* Embedded, in place. */
struct tsd_streams {
    struct tsd_connections connections; /* the caller sets its first members before init */
    union tsd_stream_handle spare;      /* accepts a connection to be closed, without memory */
    bool spare_busy;
    struct tsd_stream_listener listeners[TSD_STREAM_LISTENERS];
    size_t n_listeners;
};

int tsd_streams_init(struct tsd_streams *streams) TS_MUST_USE;
void tsd_streams_deinit(struct tsd_streams *streams); /* after close has called back, or before any listen */

/* fd: listening, non-blocking; owned after success. */
int tsd_streams_listen(struct tsd_streams *streams, int fd, const char *kind) TS_MUST_USE;

/* Call once a second: updates, and closes connections that have timed out. */
void tsd_streams_tick(struct tsd_streams *streams);
/* Call when the table of clients has changed: sends acks after a commit, opens streams whose client has become free,
 * closes those whose client another connection wants. */
void tsd_streams_update(struct tsd_streams *streams);
/* Stops and resumes reading. */
void tsd_streams_pause(struct tsd_streams *streams, bool paused);

/* Closes listeners and connections as they are. Calls back from the loop, or at once if nothing is open. */
void tsd_streams_close(struct tsd_streams *streams, void (*cb)(void *data), void *data);

#endif
