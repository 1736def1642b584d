/*
 * Happy path: accept -> read into the thread's buffer -> each line through line.h -> the replies of that read in one
 * write.
 *
 * Failures: a line that is too long or for which there is no memory, an HTTP request and a misplaced hello end the
 * connection (DISCARDING). If unfinished lines together exceed half of memory_limit, this thread closes the
 * connection that has made no progress for longest.
 *
 * Close: libuv calls all write and shutdown callbacks of a handle before its close callback; that one frees the
 * connection.
 */
#include "daemon/ingest/connection.h"

#include "daemon/ingest/line.h"
#include "daemon/ingest/outbox.h"

#include <assert.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    READ_MIN = 64 * 1024,
    KEEPALIVE_IDLE = 30, /* s; with the next two a dead peer is detected after 60 s */
    KEEPALIVE_INTERVAL = 10,
    KEEPALIVE_COUNT = 3
};

static void set_state(struct tsd_connection *connection, enum tsd_connection_state next)
{
    static const unsigned allowed[] = {
        [TSD_READING] = 1 << TSD_WAITING | 1 << TSD_ACKING | 1 << TSD_ENDING | 1 << TSD_DISCARDING | 1 << TSD_CLOSING,
        [TSD_WAITING] = 1 << TSD_READING | 1 << TSD_CLOSING,
        [TSD_ACKING] = 1 << TSD_ENDING | 1 << TSD_DISCARDING | 1 << TSD_CLOSING,
        [TSD_ENDING] = 1 << TSD_CLOSING,
        [TSD_DISCARDING] = 1 << TSD_ENDING | 1 << TSD_CLOSING,
        [TSD_CLOSING] = 0,
    };
    assert(allowed[connection->state] & 1u << next);
    (void)allowed;
    connection->state = next;
}

/* ---- Closing ---- */

void tsd_connections_handle_closed(struct tsd_connections *set)
{
    assert(set->open_handles > 0);
    if (--set->open_handles == 0 && set->closed)
        set->closed(set->closed_data);
}

static void count_held(struct tsd_connection *connection)
{
    uint64_t held = tsd_framer_held(&connection->framer) + connection->rest.len;
    uint64_t more = held - connection->held; /* modulo 2^64: may be a decrease */
    connection->held = held;
    connection->set->partial_bytes += more;
    atomic_fetch_add_explicit(&connection->set->shared->partial_bytes, more, memory_order_relaxed);
}

static void on_closed(uv_handle_t *handle)
{
    struct tsd_connection *connection = handle->data;
    struct tsd_connections *set = connection->set;
    tsd_outbox_deinit(&connection->outbox);
    free(connection);
    tsd_connections_handle_closed(set);
}

/* Asks the writer to commit the marks made so far. */
void tsd_connections_request_ack(struct tsd_connections *set)
{
    if (set->ingest->n_marks && !set->ingest->ack_requested) {
        set->ingest->ack_requested = true;
        set->shared->on_mark(set->shared->data);
    }
}

static void leave_client(struct tsd_connection *connection)
{
    struct tsd_connections *set = connection->set;
    if (!connection->session.client)
        return;
    bool contested = atomic_load(&connection->session.client->contested);
    tsd_session_leave(&connection->session, set->ingest, set->shared->clients, connection);
    tsd_session_deinit(&connection->session);
    if (contested) /* otherwise the mark, which only records the time of use, can wait for any commit */
        tsd_connections_request_ack(set);
}

void tsd_connection_close(struct tsd_connection *connection)
{
    if (connection->state == TSD_CLOSING)
        return;
    struct tsd_connections *set = connection->set;
    set_state(connection, TSD_CLOSING);
    leave_client(connection);
    ts_buf_deinit(&connection->rest);
    tsd_framer_deinit(&connection->framer);
    count_held(connection);
    assert(connection->held == 0);
    LIST_REMOVE(connection, entry);
    atomic_fetch_sub(&set->shared->connections, 1);
    tsd_set(&set->ingest->stats.connections_open, tsd_get(&set->ingest->stats.connections_open) - 1);
    uv_close(&connection->handle.any, on_closed);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    (void)status;
    struct tsd_connection *connection = request->data;
    free(request);
    connection->shut = true;
    if (connection->state == TSD_ENDING)
        tsd_connection_close(connection);
}

/* Half-closes after the queued replies; without memory for that, closes. */
static void finish(struct tsd_connection *connection, enum tsd_connection_state state)
{
    uv_shutdown_t *request = malloc(sizeof(*request));
    set_state(connection, state);
    connection->last_progress = tsd_clock_mono();
    tsd_framer_deinit(&connection->framer);
    count_held(connection);
    if (request)
        request->data = connection;
    if (!request || uv_shutdown(request, &connection->handle.stream, on_shutdown)) {
        free(request);
        tsd_connection_close(connection);
    }
}

/* ---- Replies ---- */

/* False: the stream cannot go on. The sender of an acknowledged stream waits for each of its replies. */
static bool send_replies(struct tsd_connection *connection)
{
    tsd_outbox_send(&connection->outbox);
    return !connection->outbox.torn && !(connection->outbox.lost && connection->session.client);
}

/* Replies with an ack if one is due. */
static void acknowledge(struct tsd_connection *connection)
{
    struct tsd_session *session = &connection->session;
    uint64_t due = session->client ? tsd_session_due(session) : 0;
    if (!due || !tsd_outbox_has_room(&connection->outbox)) /* a later ack includes this one */
        return;
    tsd_line_reply_ack(&connection->outbox.replies, due);
    tsd_session_acked(session, due);
}

/* ---- Lines ---- */

/* The connection owns the client: replies to the hello. */
static void open_session(struct tsd_connection *connection, uint64_t last_seq)
{
    const struct tsd_shared *shared = connection->set->shared;
    tsd_session_open(&connection->session, last_seq);
    tsd_line_reply_hello(&connection->outbox.replies, last_seq,
                         atomic_load_explicit(&shared->max_message, memory_order_relaxed));
}

/* After a hello. False: the client is not free yet; what was received after the hello is kept. */
static bool claim_client(struct tsd_connection *connection)
{
    uint64_t last_seq;
    struct tsd_clients *clients = connection->set->shared->clients;
    if (tsd_clients_claim(clients, connection->session.client, connection, &last_seq) == TSD_CLAIM_OWNED) {
        open_session(connection, last_seq);
        return true;
    }
    set_state(connection, TSD_WAITING);
    uv_read_stop(&connection->handle.stream);
    ts_buf_append(&connection->rest, connection->framer.piece, connection->framer.left);
    connection->framer.left = 0;
    return false;
}

static enum tsd_line_next process_line(struct tsd_connection *connection, enum tsd_frame frame, const char *line,
                                       size_t len)
{
    struct tsd_connections *set = connection->set;
    struct tsd_peer peer = {.kind = connection->kind, .fd = -1};
    struct tsd_line_context context = {
        .ingest = set->ingest,
        .session = &connection->session,
        .clients = set->shared->clients,
        .thread = set->thread,
        .connection = connection,
        .peer = &peer,
        .max_message = atomic_load_explicit(&set->shared->max_message, memory_order_relaxed),
    };
    struct tsd_line_result result;
    uv_os_fd_t fd;
    if (uv_fileno(&connection->handle.any, &fd) == 0)
        peer.fd = fd;
    tsd_line_process(&context, frame, line, len, connection->framer.line, &result);
    if (result.code) {
        if (tsd_outbox_has_room(&connection->outbox))
            tsd_line_reply(&connection->outbox.replies, &result, connection->framer.line);
        else
            tsd_add(&set->ingest->stats.answers_dropped, 1);
    }
    return result.next;
}

/* Until the piece is used up, or no further line can be processed. */
static enum tsd_line_next process_lines(struct tsd_connection *connection)
{
    const char *line;
    size_t len;
    for (;;) {
        size_t max = atomic_load_explicit(&connection->set->shared->max_message, memory_order_relaxed);
        enum tsd_frame frame = tsd_framer_next(&connection->framer, max, &line, &len);
        if (frame == TSD_FRAME_MORE)
            return TSD_LINE_CONTINUE;
        enum tsd_line_next next = process_line(connection, frame, line, len);
        if (next == TSD_LINE_HELLO) {
            if (!claim_client(connection))
                return TSD_LINE_CONTINUE;
        } else if (next != TSD_LINE_CONTINUE) {
            return next;
        }
    }
}

/* No more lines are processed; ends the connection as soon as everything processed is acknowledged. */
static void finish_acked(struct tsd_connection *connection)
{
    acknowledge(connection);
    if (!send_replies(connection)) {
        tsd_connection_close(connection);
        return;
    }
    if (connection->session.client && !tsd_session_done(&connection->session)) {
        if (connection->state != TSD_ACKING)
            set_state(connection, TSD_ACKING);
        return;
    }
    if (connection->session.bye)
        leave_client(connection);
    finish(connection, connection->ended ? TSD_ENDING : TSD_DISCARDING);
}

/* The lines of a piece that was fed, and what follows from them. */
static void process_piece(struct tsd_connection *connection)
{
    enum tsd_line_next next = process_lines(connection);
    acknowledge(connection);
    bool sent = send_replies(connection);
    tsd_connections_request_ack(connection->set);
    if (!sent || ts_buf_failed(&connection->rest))
        tsd_connection_close(connection); /* no memory: the sender reconnects */
    else if (next == TSD_LINE_CONTINUE)
        count_held(connection);
    else if (next == TSD_LINE_END_ACKED)
        finish_acked(connection);
    else
        finish(connection, TSD_DISCARDING);
}

static void end_of_input(struct tsd_connection *connection)
{
    const char *line;
    size_t len;
    if (connection->state == TSD_READING) {
        enum tsd_line_next next = TSD_LINE_CONTINUE;
        if (tsd_framer_end(&connection->framer, &line, &len) == TSD_FRAME_LINE)
            next = process_line(connection, TSD_FRAME_LINE, line, len);
        connection->ended = true;
        tsd_connections_request_ack(connection->set);
        if (next == TSD_LINE_HELLO && !claim_client(connection))
            return;
        finish_acked(connection);
    } else if (connection->state == TSD_ACKING) {
        connection->ended = true;
    } else if (connection->shut) {
        tsd_connection_close(connection);
    } else {
        set_state(connection, TSD_ENDING); /* the last replies are still being sent */
    }
}

/* ---- Reading ---- */

/* While unfinished lines hold too much memory: closes the connection of this thread without progress for longest. */
void tsd_connections_limit_partial_lines(struct tsd_connections *set)
{
    uint64_t limit = atomic_load(&set->shared->memory_limit) / 2;
    while (atomic_load_explicit(&set->shared->partial_bytes, memory_order_relaxed) > limit) {
        struct tsd_connection *oldest = NULL;
        struct tsd_connection *c;
        LIST_FOREACH (c, &set->list, entry) {
            if (c->held && (!oldest || c->last_progress < oldest->last_progress))
                oldest = c;
        }
        if (!oldest)
            return;
        tsd_add(&set->ingest->stats.connections_cut, 1);
        tsd_connection_close(oldest);
    }
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    (void)suggested;
    struct tsd_connection *connection = handle->data;
    const struct tsd_shared *shared = connection->set->shared;
    uint64_t limit = atomic_load_explicit(&shared->memory_limit, memory_order_relaxed);
    uint64_t waiting = tsd_shared_waiting(shared);
    uint64_t room = waiting < limit ? limit - waiting : 0;
    /* The limit is checked only after a read: do not read much more than there is room for. */
    size_t size = room / 2 > TSD_READ_SIZE ? TSD_READ_SIZE : room / 2 < READ_MIN ? READ_MIN : (size_t)room / 2;
    *ret_buf = uv_buf_init(connection->set->memory, (unsigned)size);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct tsd_connection *connection = stream->data;
    struct tsd_connections *set = connection->set;
    if (n == 0)
        return;
    if (n < 0) {
        uv_read_stop(stream);
        /* A sender that closes without reading its replies causes a reset after its data: as good as an end. */
        if (n == UV_EOF || n == UV_ECONNRESET)
            end_of_input(connection);
        else
            tsd_connection_close(connection);
        set->on_read(set->data);
        return;
    }
    if (connection->state != TSD_READING)
        return;
    uint64_t line = connection->framer.line;
    connection->last_progress = tsd_clock_mono();
    if (!connection->held)
        connection->line_began = connection->last_progress;
    tsd_framer_feed(&connection->framer, buf->base, (size_t)n);
    process_piece(connection);
    if (connection->framer.line != line)
        connection->line_began = connection->last_progress;
    tsd_connections_limit_partial_lines(set);
    set->on_read(set->data);
}

/* Detects a peer that has disappeared without closing. */
static void set_keepalive(uv_stream_t *stream)
{
    int fd;
    int interval = KEEPALIVE_INTERVAL;
    int count = KEEPALIVE_COUNT;
    uv_tcp_keepalive((uv_tcp_t *)stream, 1, KEEPALIVE_IDLE);
    if (uv_fileno((uv_handle_t *)stream, &fd))
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

int tsd_stream_handle_init(union tsd_stream_handle *handle, uv_loop_t *loop, const char *kind)
{
    return strcmp(kind, "tcp") == 0 ? uv_tcp_init(loop, &handle->tcp) : uv_pipe_init(loop, &handle->pipe, 0);
}

bool tsd_connection_accept(struct tsd_connections *set, uv_stream_t *listener, const char *kind)
{
    if (atomic_fetch_add(&set->shared->connections, 1) >= atomic_load(&set->shared->max_connections)) {
        atomic_fetch_sub(&set->shared->connections, 1);
        return false;
    }
    struct tsd_connection *connection = calloc(1, sizeof(*connection));
    if (!connection || tsd_stream_handle_init(&connection->handle, set->loop, kind)) {
        free(connection);
        atomic_fetch_sub(&set->shared->connections, 1);
        return false;
    }
    set->open_handles++;
    connection->handle.any.data = connection;
    connection->set = set;
    connection->kind = kind;
    connection->last_progress = tsd_clock_mono();
    tsd_framer_init(&connection->framer, &set->pool);
    tsd_outbox_init(&connection->outbox, &connection->handle.stream);
    LIST_INSERT_HEAD(&set->list, connection, entry);
    tsd_add(&set->ingest->stats.connections, 1);
    tsd_add(&set->ingest->stats.connections_open, 1);
    int rc = uv_accept(listener, &connection->handle.stream);
    if (!rc && strcmp(kind, "tcp") == 0)
        set_keepalive(&connection->handle.stream);
    if (!rc && !set->paused)
        rc = uv_read_start(&connection->handle.stream, give_buffer, on_read);
    if (rc)
        tsd_connection_close(connection);
    return true;
}

/* ---- Acknowledged streams ---- */

/* The client has become free: replies to the hello and processes what was received after it. */
static void resume(struct tsd_connection *connection, uint64_t last_seq)
{
    struct tsd_connections *set = connection->set;
    struct ts_buf rest = connection->rest;
    ts_buf_init(&connection->rest);
    set_state(connection, TSD_READING);
    connection->last_progress = tsd_clock_mono();
    open_session(connection, last_seq);
    if (connection->ended) { /* before the reply to the hello */
        finish_acked(connection);
    } else {
        tsd_framer_feed(&connection->framer, rest.data, rest.len);
        process_piece(connection);
    }
    ts_buf_deinit(&rest);
    /* In the other two states input is read to be discarded while the last acks or replies are being sent. */
    bool reads = connection->state == TSD_READING
                     ? !set->paused
                     : connection->state == TSD_ACKING || connection->state == TSD_DISCARDING;
    if (reads && !connection->ended && uv_read_start(&connection->handle.stream, give_buffer, on_read))
        tsd_connection_close(connection);
}

void tsd_connection_update(struct tsd_connection *connection)
{
    struct tsd_session *session = &connection->session;
    if (connection->state == TSD_WAITING) {
        uint64_t last_seq;
        struct tsd_clients *clients = connection->set->shared->clients;
        enum tsd_claim claim = tsd_clients_claim(clients, session->client, connection, &last_seq);
        if (claim == TSD_CLAIM_LOST)
            tsd_connection_close(connection);
        else if (claim == TSD_CLAIM_OWNED)
            resume(connection, last_seq);
    } else if (atomic_load(&session->client->contested)) {
        acknowledge(connection); /* the sender may still read this last ack */
        send_replies(connection);
        tsd_connection_close(connection);
    } else if (connection->state == TSD_ACKING) {
        finish_acked(connection);
    } else if (connection->state == TSD_READING) {
        acknowledge(connection);
        if (!send_replies(connection))
            tsd_connection_close(connection);
    }
}

void tsd_connection_pause(struct tsd_connection *connection, bool paused)
{
    if (connection->state != TSD_READING)
        return;
    if (paused)
        uv_read_stop(&connection->handle.stream);
    else if (uv_read_start(&connection->handle.stream, give_buffer, on_read) == 0)
        connection->last_progress = connection->line_began = tsd_clock_mono(); /* the pause was ours */
}
