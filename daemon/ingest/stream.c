/*
 * Happy path: accept -> read into the thread's one buffer -> lines through ingest -> answers of that read in one write.
 *
 * Failures: a line too long, an HTTP request, a hello and a line no memory is left for end the connection (discarding);
 * so does the end of the input. Over max_connections a connection is closed as it comes. Unfinished lines together past
 * half of memory_limit: the connection of this thread that has waited longest is closed.
 *
 * On close: libuv calls back every write and read of a handle before its close callback, so a connection's memory goes
 * there and nowhere else.
 */
#include "daemon/ingest/stream.h"

#include "daemon/base/log.h"
#include "daemon/ingest/framer.h"
#include "daemon/ingest/line.h"
#include "daemon/ingest/thread.h"

#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define STILL_NS (30 * TS_NS_PER_S) /* an unfinished line, or last answers, without progress */
#define SLOW_NS (90 * TS_NS_PER_S)  /* an unfinished line at less than SLOW_RATE */
#define DISCARD_NS TS_NS_PER_S      /* input thrown away after the last answer */
enum {
    SLOW_RATE = 1024,        /* bytes a second */
    READ_SIZE = 1024 * 1024, /* of 64 KiB to 2 MiB that were measured the smallest beyond which little is won */
    READ_MIN = 64 * 1024,
    ANSWERS_MAX = 64 * 1024, /* bytes that wait for a sender to read them */
    BACKLOG = 512,
    KEEPALIVE_IDLE = 30, /* s; with the two below a dead peer is found after 60 s */
    KEEPALIVE_INTERVAL = 10,
    KEEPALIVE_COUNT = 3
};

enum state { READING, WAITING, ACKING, ENDING, DISCARDING, CLOSING };

union stream_handle {
    uv_handle_t any;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
};

struct tsd_connection {
    union stream_handle handle;
    struct tsd_streams *streams;
    struct tsd_connection *next;
    struct tsd_connection **link; /* what points here */
    const char *kind;
    enum state state;
    bool broken; /* an answer that the sender waits for could not be made */
    bool shut;   /* half-closed from this side */
    bool ended;  /* ACKING: the sender has half-closed */
    struct tsd_session session;
    struct ts_buf rest; /* WAITING: what came behind the hello */
    struct tsd_framer framer;
    uint64_t held;         /* of the framer, as counted into the totals */
    int64_t last_progress; /* ns */
    int64_t line_began;    /* ns, of the unfinished line */
    struct ts_buf answers; /* of the read under way */
};

struct answer {
    uv_write_t request;
    char bytes[];
};

int tsd_streams_init(struct tsd_streams *streams)
{
    streams->memory = malloc(READ_SIZE);
    return streams->memory ? 0 : TS_ENOMEM;
}

void tsd_streams_deinit(struct tsd_streams *streams)
{
    tsd_framer_pool_deinit(&streams->pool);
    free(streams->memory);
    streams->memory = NULL;
}

/* ---- Closing ---- */

static void handle_gone(struct tsd_streams *streams)
{
    if (--streams->open_handles == 0 && streams->closed)
        streams->closed(streams->closed_data);
}

static void count_held(struct tsd_connection *connection)
{
    uint64_t held = tsd_framer_held(&connection->framer) + connection->rest.len;
    uint64_t more = held - connection->held; /* modulo 2^64: may be less */
    connection->held = held;
    connection->streams->partial_bytes += more;
    atomic_fetch_add_explicit(&connection->streams->shared->partial_bytes, more, memory_order_relaxed);
}

static void on_connection_closed(uv_handle_t *handle)
{
    struct tsd_connection *connection = handle->data;
    struct tsd_streams *streams = connection->streams;
    ts_buf_deinit(&connection->answers);
    free(connection);
    handle_gone(streams);
}

/* What marks there are now wait for a commit. */
static void ask_for_ack(struct tsd_streams *streams)
{
    if (streams->ingest->n_marks && !streams->ingest->ack_asked) {
        streams->ingest->ack_asked = true;
        streams->shared->on_mark(streams->shared->data);
    }
}

static void leave(struct tsd_connection *connection)
{
    struct tsd_streams *streams = connection->streams;
    if (!connection->session.client)
        return;
    bool contested = atomic_load(&connection->session.client->contested);
    tsd_session_leave(&connection->session, streams->ingest, streams->shared->clients, connection);
    tsd_session_deinit(&connection->session);
    if (contested) /* that it was used until now is in no hurry, unless somebody waits */
        ask_for_ack(streams);
}

static void connection_close(struct tsd_connection *connection)
{
    if (connection->state == CLOSING)
        return;
    struct tsd_streams *streams = connection->streams;
    connection->state = CLOSING;
    leave(connection);
    ts_buf_deinit(&connection->rest);
    tsd_framer_deinit(&connection->framer);
    count_held(connection);
    *connection->link = connection->next;
    if (connection->next)
        connection->next->link = connection->link;
    atomic_fetch_sub(&streams->shared->connections, 1);
    tsd_set(&streams->ingest->stats.connections_open, tsd_get(&streams->ingest->stats.connections_open) - 1);
    uv_close(&connection->handle.any, on_connection_closed);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    (void)status;
    struct tsd_connection *connection = request->data;
    free(request);
    connection->shut = true;
    if (connection->state == ENDING)
        connection_close(connection);
}

/* Half-closes once the queued answers are out; without memory for that it is closed as it is. */
static void finish(struct tsd_connection *connection, enum state state)
{
    uv_shutdown_t *request = malloc(sizeof(*request));
    connection->state = state;
    connection->last_progress = tsd_clock_mono();
    tsd_framer_deinit(&connection->framer);
    count_held(connection);
    if (request)
        request->data = connection;
    if (!request || uv_shutdown(request, &connection->handle.stream, on_shutdown)) {
        free(request);
        connection_close(connection);
    }
}

/* ---- Answers ---- */

static void on_written(uv_write_t *request, int status)
{
    (void)status; /* a broken connection shows at the next read */
    free(request->data);
}

static void send_answers(struct tsd_connection *connection)
{
    struct ts_buf *answers = &connection->answers;
    uv_stream_t *stream = &connection->handle.stream;
    size_t sent = 0;
    if (!answers->len || ts_buf_failed(answers)) {
        connection->broken |= ts_buf_failed(answers) && connection->session.client;
        ts_buf_reset(answers);
        return;
    }
    if (uv_stream_get_write_queue_size(stream) == 0) {
        uv_buf_t buf = uv_buf_init(answers->data, (unsigned)answers->len);
        int n = uv_try_write(stream, &buf, 1);
        sent = n > 0 ? (size_t)n : 0;
    }
    size_t rest = answers->len - sent;
    bool queued = !rest;
    struct answer *answer = rest ? malloc(sizeof(*answer) + rest) : NULL;
    if (answer) {
        memcpy(answer->bytes, answers->data + sent, rest);
        answer->request.data = answer;
        uv_buf_t buf = uv_buf_init(answer->bytes, (unsigned)rest);
        queued = uv_write(&answer->request, stream, &buf, 1, on_written) == 0;
        if (!queued)
            free(answer);
    }
    connection->broken |= !queued && (sent || connection->session.client); /* half a line is none */
    ts_buf_reset(answers);
}

/* Room for one more answer? What stands in the queue and what this read has made so far are bounded together. */
static bool may_answer(struct tsd_connection *connection)
{
    if (connection->answers.len + uv_stream_get_write_queue_size(&connection->handle.stream) < ANSWERS_MAX)
        return true;
    send_answers(connection);
    return uv_stream_get_write_queue_size(&connection->handle.stream) < ANSWERS_MAX;
}

/* ---- Lines ---- */

/* What was acknowledged since the last look, into the answers. */
static void acknowledge(struct tsd_connection *connection)
{
    struct tsd_session *session = &connection->session;
    uint64_t due = session->client ? tsd_session_due(session) : 0;
    if (!due || !may_answer(connection)) /* a later ack says this one too */
        return;
    tsd_line_answer_ack(&connection->answers, due);
    tsd_session_acked(session, due);
}

/* The client is this connection's now: its lines may come. */
static void open_session(struct tsd_connection *connection, uint64_t last_seq)
{
    const struct tsd_shared *shared = connection->streams->shared;
    tsd_session_open(&connection->session, last_seq);
    tsd_line_answer_hello(&connection->answers, last_seq,
                          atomic_load_explicit(&shared->max_message, memory_order_relaxed));
}

/* After a hello. False where the client is not free yet: what has been read behind it is kept. */
static bool claim(struct tsd_connection *connection)
{
    uint64_t last_seq;
    struct tsd_clients *clients = connection->streams->shared->clients;
    if (tsd_clients_claim(clients, connection->session.client, connection, &last_seq) == TSD_CLAIM_OWNED) {
        open_session(connection, last_seq);
        return true;
    }
    connection->state = WAITING;
    uv_read_stop(&connection->handle.stream);
    ts_buf_append(&connection->rest, connection->framer.piece, connection->framer.left);
    connection->framer.left = 0;
    return false;
}

static enum tsd_line_next take_line(struct tsd_connection *connection, enum tsd_frame frame, const char *line,
                                    size_t len)
{
    struct tsd_streams *streams = connection->streams;
    struct tsd_peer peer = {.kind = connection->kind, .fd = -1};
    struct tsd_line_context context = {
        .ingest = streams->ingest,
        .session = &connection->session,
        .clients = streams->shared->clients,
        .thread = streams->thread,
        .connection = connection,
        .peer = &peer,
        .max_message = atomic_load_explicit(&streams->shared->max_message, memory_order_relaxed),
    };
    struct tsd_line_result result;
    uv_os_fd_t fd;
    if (uv_fileno(&connection->handle.any, &fd) == 0)
        peer.fd = fd;
    tsd_line_take(&context, frame, line, len, connection->framer.line, &result);
    if (result.code) {
        if (may_answer(connection))
            tsd_line_answer(&connection->answers, &result, connection->framer.line);
        else
            tsd_add(&streams->ingest->stats.answers_dropped, 1);
    }
    return result.next;
}

/* Until the piece is used up, or the connection takes no more of it. */
static enum tsd_line_next take_lines(struct tsd_connection *connection)
{
    const char *line;
    size_t len;
    for (;;) {
        size_t max = atomic_load_explicit(&connection->streams->shared->max_message, memory_order_relaxed);
        enum tsd_frame frame = tsd_framer_next(&connection->framer, max, &line, &len);
        if (frame == TSD_FRAME_MORE)
            return TSD_LINE_GOES_ON;
        enum tsd_line_next next = take_line(connection, frame, line, len);
        if (next == TSD_LINE_HELLO) {
            if (!claim(connection))
                return TSD_LINE_GOES_ON;
        } else if (next != TSD_LINE_GOES_ON) {
            return next;
        }
    }
}

/* No more is taken; once all that was is acknowledged, the connection goes its way. */
static void finish_acked(struct tsd_connection *connection)
{
    acknowledge(connection);
    send_answers(connection);
    if (connection->broken) {
        connection_close(connection);
        return;
    }
    if (connection->session.client && !tsd_session_done(&connection->session)) {
        connection->state = ACKING;
        return;
    }
    bool bye = connection->session.bye;
    if (bye)
        leave(connection);
    finish(connection, connection->ended ? ENDING : DISCARDING);
}

/* Lines of a piece that was fed, and what comes of them. */
static void take_piece(struct tsd_connection *connection)
{
    enum tsd_line_next next = take_lines(connection);
    acknowledge(connection);
    send_answers(connection);
    ask_for_ack(connection->streams);
    if (connection->broken || ts_buf_failed(&connection->rest))
        connection_close(connection); /* the sender comes again, and is told then */
    else if (next == TSD_LINE_GOES_ON)
        count_held(connection);
    else if (next == TSD_LINE_ENDS_ACKED)
        finish_acked(connection);
    else
        finish(connection, DISCARDING);
}

static void end_of_input(struct tsd_connection *connection)
{
    const char *line;
    size_t len;
    if (connection->state == READING) {
        enum tsd_line_next next = TSD_LINE_GOES_ON;
        if (tsd_framer_end(&connection->framer, &line, &len) == TSD_FRAME_LINE)
            next = take_line(connection, TSD_FRAME_LINE, line, len);
        connection->ended = true;
        ask_for_ack(connection->streams);
        if (next == TSD_LINE_HELLO && !claim(connection))
            return;
        finish_acked(connection);
    } else if (connection->state == ACKING) {
        connection->ended = true;
    } else if (connection->shut) {
        connection_close(connection);
    } else {
        connection->state = ENDING; /* the last answers are still on their way */
    }
}

/* The unfinished lines hold too much: the one of this thread that has waited longest goes. */
static void bound_partial_lines(struct tsd_streams *streams)
{
    uint64_t limit = atomic_load(&streams->shared->memory_limit) / 2;
    while (atomic_load_explicit(&streams->shared->partial_bytes, memory_order_relaxed) > limit) {
        struct tsd_connection *oldest = NULL;
        for (struct tsd_connection *c = streams->connections; c; c = c->next) {
            if (c->held && (!oldest || c->last_progress < oldest->last_progress))
                oldest = c;
        }
        if (!oldest)
            return;
        tsd_add(&streams->ingest->stats.connections_cut, 1);
        connection_close(oldest);
    }
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    (void)suggested;
    struct tsd_connection *connection = handle->data;
    const struct tsd_shared *shared = connection->streams->shared;
    uint64_t limit = atomic_load_explicit(&shared->memory_limit, memory_order_relaxed);
    uint64_t waiting = tsd_shared_waiting(shared);
    uint64_t room = waiting < limit ? limit - waiting : 0;
    /* What is read in one go is counted before anybody looks at the limit: not much more than there is room for. */
    size_t size = room / 2 > READ_SIZE ? READ_SIZE : room / 2 < READ_MIN ? READ_MIN : (size_t)room / 2;
    *ret_buf = uv_buf_init(connection->streams->memory, (unsigned)size);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct tsd_connection *connection = stream->data;
    struct tsd_streams *streams = connection->streams;
    if (n == 0)
        return;
    if (n < 0) {
        uv_read_stop(stream);
        /* A sender that closes without having read its answers gives a reset behind its data: as good an end. */
        if (n == UV_EOF || n == UV_ECONNRESET)
            end_of_input(connection);
        else
            connection_close(connection);
        streams->on_read(streams->data);
        return;
    }
    if (connection->state != READING)
        return;
    uint64_t line = connection->framer.line;
    connection->last_progress = tsd_clock_mono();
    if (!connection->held)
        connection->line_began = connection->last_progress;
    tsd_framer_feed(&connection->framer, buf->base, (size_t)n);
    take_piece(connection);
    if (connection->framer.line != line)
        connection->line_began = connection->last_progress;
    bound_partial_lines(streams);
    streams->on_read(streams->data);
}

/* ---- Acknowledged streams ---- */

/* The client has become free: the hello is answered, and what came behind it is taken. */
static void go_on(struct tsd_connection *connection, uint64_t last_seq)
{
    struct tsd_streams *streams = connection->streams;
    struct ts_buf rest = connection->rest;
    ts_buf_init(&connection->rest);
    connection->state = READING;
    connection->last_progress = tsd_clock_mono();
    open_session(connection, last_seq);
    if (connection->ended) { /* before the hello was answered */
        finish_acked(connection);
    } else {
        tsd_framer_feed(&connection->framer, rest.data, rest.len);
        take_piece(connection);
    }
    ts_buf_deinit(&rest);
    /* Also to throw away what comes while the last acks or answers are on their way. */
    bool reads = connection->state == READING ? !streams->paused
                                              : connection->state == ACKING || connection->state == DISCARDING;
    if (reads && !connection->ended && uv_read_start(&connection->handle.stream, give_buffer, on_read))
        connection_close(connection);
}

static void look(struct tsd_connection *connection)
{
    struct tsd_session *session = &connection->session;
    if (connection->state == WAITING) {
        uint64_t last_seq;
        enum tsd_claim claimed =
            tsd_clients_claim(connection->streams->shared->clients, session->client, connection, &last_seq);
        if (claimed == TSD_CLAIM_LOST)
            connection_close(connection);
        else if (claimed == TSD_CLAIM_OWNED)
            go_on(connection, last_seq);
    } else if (atomic_load(&session->client->contested)) {
        acknowledge(connection); /* what is known to be stored by now: the sender may still read it */
        send_answers(connection);
        connection_close(connection);
    } else if (connection->state == ACKING) {
        finish_acked(connection);
    } else if (connection->state == READING) {
        acknowledge(connection);
        send_answers(connection);
        if (connection->broken)
            connection_close(connection);
    }
}

void tsd_streams_look(struct tsd_streams *streams)
{
    struct tsd_connection *next;
    for (struct tsd_connection *connection = streams->connections; connection; connection = next) {
        next = connection->next;
        if (connection->session.client)
            look(connection);
    }
    bound_partial_lines(streams);
    ask_for_ack(streams);            /* another connection may wait for a mark of one that has gone */
    streams->on_read(streams->data); /* lines that had waited may have been taken */
}

/* ---- Connections ---- */

static int init_handle(struct tsd_streams *streams, uv_stream_t *stream, const char *kind)
{
    if (strcmp(kind, "tcp") == 0)
        return uv_tcp_init(streams->loop, (uv_tcp_t *)stream);
    return uv_pipe_init(streams->loop, (uv_pipe_t *)stream, 0);
}

/* A peer that has vanished without a word is found by the kernel. */
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

static void refuse(struct tsd_stream_listener *listener);

static void on_refused_closed(uv_handle_t *handle)
{
    struct tsd_streams *streams = handle->data;
    if (handle == (uv_handle_t *)&streams->spare)
        streams->spare_busy = false;
    else
        free(handle);
    for (size_t i = 0; i < streams->n_listeners && !streams->closed; i++) {
        if (streams->listeners[i].owed && !streams->spare_busy) {
            streams->listeners[i].owed = false;
            refuse(&streams->listeners[i]);
        }
    }
    handle_gone(streams);
}

/*
 * Taken from the queue and closed, so that the sender knows at once. It has to be taken: libuv asks a listener for no
 * other connection until then. So without memory there is a handle in reserve, and where that is still in use, the
 * connection is owed.
 */
static void refuse(struct tsd_stream_listener *listener)
{
    struct tsd_streams *streams = listener->streams;
    uv_handle_t *handle = malloc(sizeof(union stream_handle));
    if (!handle && streams->spare_busy) {
        listener->owed = true;
        return;
    }
    if (!handle) {
        streams->spare_busy = true;
        handle = (uv_handle_t *)&streams->spare;
    }
    init_handle(streams, (uv_stream_t *)handle, listener->kind); /* takes no memory, and no descriptor */
    streams->open_handles++;
    handle->data = streams;
    if (uv_accept((uv_stream_t *)&listener->handle, (uv_stream_t *)handle) == 0)
        tsd_add(&streams->ingest->stats.connections_refused, 1);
    uv_close(handle, on_refused_closed);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct tsd_stream_listener *listener = server->data;
    struct tsd_streams *streams = listener->streams;
    if (status)
        return; /* out of descriptors: libuv has closed what was waiting */
    streams->on_read(streams->data);
    if (atomic_fetch_add(&streams->shared->connections, 1) >= atomic_load(&streams->shared->max_connections)) {
        atomic_fetch_sub(&streams->shared->connections, 1);
        refuse(listener);
        return;
    }
    struct tsd_connection *connection = calloc(1, sizeof(*connection));
    if (!connection || init_handle(streams, &connection->handle.stream, listener->kind)) {
        free(connection);
        atomic_fetch_sub(&streams->shared->connections, 1);
        refuse(listener);
        return;
    }
    streams->open_handles++;
    connection->handle.stream.data = connection;
    connection->streams = streams;
    connection->kind = listener->kind;
    connection->last_progress = tsd_clock_mono();
    tsd_framer_init(&connection->framer, &streams->pool);
    ts_buf_init(&connection->answers);
    connection->next = streams->connections;
    connection->link = &streams->connections;
    if (connection->next)
        connection->next->link = &connection->next;
    streams->connections = connection;
    tsd_add(&streams->ingest->stats.connections, 1);
    tsd_add(&streams->ingest->stats.connections_open, 1);
    int rc = uv_accept(server, &connection->handle.stream);
    if (!rc && strcmp(listener->kind, "tcp") == 0)
        set_keepalive(&connection->handle.stream);
    if (!rc && !streams->paused)
        rc = uv_read_start(&connection->handle.stream, give_buffer, on_read);
    if (rc)
        connection_close(connection);
}

int tsd_streams_listen(struct tsd_streams *streams, int fd, const char *kind)
{
    struct tsd_stream_listener *listener = &streams->listeners[streams->n_listeners];
    uv_stream_t *stream = &listener->handle.stream;
    bool tcp = strcmp(kind, "tcp") == 0;
    if (init_handle(streams, stream, kind))
        return TS_ENOMEM;
    listener->streams = streams;
    listener->kind = kind;
    stream->data = listener;
    streams->open_handles++;
    streams->n_listeners++;
    if ((tcp ? uv_tcp_open(&listener->handle.tcp, fd) : uv_pipe_open(&listener->handle.pipe, fd)) ||
        uv_listen(stream, BACKLOG, on_connection))
        return TS_ENOMEM; /* closed with the rest */
    return 0;
}

void tsd_streams_tick(struct tsd_streams *streams)
{
    tsd_streams_look(streams);
    bound_partial_lines(streams); /* the limit may have been lowered */
    int64_t now = tsd_clock_mono();
    struct tsd_connection *next;
    for (struct tsd_connection *connection = streams->connections; connection; connection = next) {
        next = connection->next;
        int64_t still = now - connection->last_progress;
        bool waits = connection->state == ENDING || connection->state == WAITING || connection->state == ACKING ||
                     (connection->state == READING && connection->held && !streams->paused);
        int64_t age = now - connection->line_began;
        bool drips = connection->state == READING && connection->held && !streams->paused && age > SLOW_NS &&
                     connection->held < (uint64_t)(age / TS_NS_PER_S) * SLOW_RATE;
        waits = waits && (drips || still > STILL_NS);
        if (waits || (connection->state == DISCARDING && still > DISCARD_NS)) {
            tsd_add(&streams->ingest->stats.connections_cut, waits);
            connection_close(connection);
        }
    }
}

void tsd_streams_pause(struct tsd_streams *streams, bool paused)
{
    streams->paused = paused;
    for (struct tsd_connection *connection = streams->connections; connection; connection = connection->next) {
        if (connection->state != READING)
            continue;
        if (paused)
            uv_read_stop(&connection->handle.stream);
        else if (uv_read_start(&connection->handle.stream, give_buffer, on_read) == 0)
            connection->last_progress = connection->line_began = tsd_clock_mono(); /* the sender did not stand still */
    }
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct tsd_stream_listener *listener = handle->data;
    handle_gone(listener->streams);
}

void tsd_streams_close(struct tsd_streams *streams, void (*cb)(void *data), void *data)
{
    if (!streams->open_handles) {
        cb(data);
        return;
    }
    streams->closed = cb;
    streams->closed_data = data;
    for (size_t i = 0; i < streams->n_listeners; i++)
        uv_close((uv_handle_t *)&streams->listeners[i].handle, on_listener_closed);
    while (streams->connections)
        connection_close(streams->connections);
}
