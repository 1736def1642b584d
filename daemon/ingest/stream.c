#include "daemon/ingest/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { BACKLOG = 512 };

int tsd_streams_init(struct tsd_streams *streams)
{
    return tsd_connections_init(&streams->connections);
}

void tsd_streams_deinit(struct tsd_streams *streams)
{
    tsd_connections_deinit(&streams->connections);
}

/* ---- Refusing ---- */

static void refuse(struct tsd_stream_listener *listener);

static void on_refused_closed(uv_handle_t *handle)
{
    struct tsd_streams *streams = handle->data;
    if (handle == &streams->spare.any)
        streams->spare_busy = false;
    else
        free(handle);
    for (size_t i = 0; i < streams->n_listeners && !streams->connections.closed; i++) {
        if (streams->listeners[i].owed && !streams->spare_busy) {
            streams->listeners[i].owed = false;
            refuse(&streams->listeners[i]);
        }
    }
    tsd_connections_handle_closed(&streams->connections);
}

/*
 * Accepts a connection and closes it, so that the sender notices at once. It must be accepted: until then libuv accepts
 * no other from this listener. So without memory there is a spare handle, and while that is in use the listener owes
 * this.
 */
static void refuse(struct tsd_stream_listener *listener)
{
    struct tsd_streams *streams = listener->streams;
    union tsd_stream_handle *handle = malloc(sizeof(*handle));
    if (!handle && streams->spare_busy) {
        listener->owed = true;
        return;
    }
    if (!handle) {
        streams->spare_busy = true;
        handle = &streams->spare;
    }
    int rc = tsd_stream_handle_init(handle, streams->connections.loop, listener->kind);
    assert(!rc);
    (void)rc;
    streams->connections.open_handles++;
    handle->any.data = streams;
    if (uv_accept(&listener->handle.stream, &handle->stream) == 0)
        tsd_add(&streams->connections.ingest->stats.connections_refused, 1);
    uv_close(&handle->any, on_refused_closed);
}

/* ---- Listening ---- */

static void on_connection(uv_stream_t *server, int status)
{
    struct tsd_stream_listener *listener = server->data;
    struct tsd_connections *connections = &listener->streams->connections;
    if (status)
        return; /* out of descriptors: libuv has closed the connections that waited */
    connections->on_read(connections->data);
    if (!tsd_connection_accept(connections, server, listener->kind))
        refuse(listener);
}

int tsd_streams_listen(struct tsd_streams *streams, int fd, const char *kind)
{
    assert(streams->n_listeners < TSD_STREAM_LISTENERS);
    struct tsd_stream_listener *listener = &streams->listeners[streams->n_listeners];
    union tsd_stream_handle *handle = &listener->handle;
    bool tcp = strcmp(kind, "tcp") == 0;
    if (tsd_stream_handle_init(handle, streams->connections.loop, kind))
        return TS_ENOMEM;
    listener->streams = streams;
    listener->kind = kind;
    handle->any.data = listener;
    streams->connections.open_handles++;
    streams->n_listeners++;
    if ((tcp ? uv_tcp_open(&handle->tcp, fd) : uv_pipe_open(&handle->pipe, fd)) ||
        uv_listen(&handle->stream, BACKLOG, on_connection))
        return TS_ENOMEM; /* tsd_streams_close() closes the handle */
    return 0;
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct tsd_stream_listener *listener = handle->data;
    tsd_connections_handle_closed(&listener->streams->connections);
}

void tsd_streams_close(struct tsd_streams *streams, void (*cb)(void *data), void *data)
{
    if (!streams->connections.open_handles) {
        cb(data);
        return;
    }
    streams->connections.closed = cb;
    streams->connections.closed_data = data;
    for (size_t i = 0; i < streams->n_listeners; i++)
        uv_close(&streams->listeners[i].handle.any, on_listener_closed);
    tsd_connections_close(&streams->connections);
}

/* ---- To the connections ---- */

void tsd_streams_tick(struct tsd_streams *streams)
{
    tsd_connections_tick(&streams->connections);
}

void tsd_streams_update(struct tsd_streams *streams)
{
    tsd_connections_update(&streams->connections);
}

void tsd_streams_pause(struct tsd_streams *streams, bool paused)
{
    tsd_connections_pause(&streams->connections, paused);
}
