/*
 * libmicrohttpd's epoll descriptor stands under a uv_poll, its next timeout under a uv_timer; both lead to pump().
 *
 * Connections are accepted here and handed to libmicrohttpd: its own accept would spin when descriptors run out, and
 * closes what is over its limit. Here accepting pauses, and the backlog waits.
 *
 *     accept -> RECEIVING -> WORKING -> SENDING -> IDLE -> RECEIVING ... -> closed
 *
 * Each phase has a deadline that no dripping byte moves (libmicrohttpd's timeout starts anew with every byte); the
 * sweep shuts down the socket of whoever passed it, and libmicrohttpd does the rest. WORKING has none: whoever works on
 * the request bounds it. The connection is suspended then, which takes it out of epoll, so the sweep also looks
 * whether the peer has left.
 *
 * What happens:   accept, request whole, on_request, reply, response sent, the next one.
 * What may fail:  no descriptor or memory (accepting pauses); peer leaves (on_gone where it waits); deadline; body too
 *                 long (413); no memory for a request or response (the connection is closed).
 * On close:       stop accepting; MHD_stop_daemon closes all connections, each is told to on_connection(); handles.
 */
#include "daemon/control/http.h"

#include "daemon/base/log.h"

#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BODY_MAX = 64 * 1024,
    MEMORY_PER_CONNECTION = 64 * 1024, /* request line, headers and what libmicrohttpd makes of them */
    RECEIVING_MS = 10 * 1000,
    SENDING_MS = 120 * 1000,
    SENDING_BYTES_PER_MS = 64, /* who takes a long answer has a millisecond more for each of them */
    BLOCK = 64 * 1024,         /* of a body that is made while it is sent */
    IDLE_MS = 30 * 1000,
    SILENCE_S = 60, /* libmicrohttpd's own timeout; a second line behind the deadlines */
    SWEEP_MS = 1000,
    ACCEPT_PAUSE_MS = 100
};

static const char no_memory[] = "{\"error\": {\"code\": \"internal\", \"message\": \"out of memory\"}}\n";

enum phase { RECEIVING, WORKING, SENDING, IDLE };

struct tsd_request {
    struct tsd_http *http;
    struct MHD_Connection *connection;
    struct tsd_request *prev, *next;
    int fd;
    enum phase phase;
    uint64_t since; /* of the phase; the loop's ms */

    /* Of the request. */
    char *target;
    const char *method; /* libmicrohttpd's, while the request lives */
    uint64_t body;
    uint64_t sent; /* of a body that is made while it is sent */
    bool begun;    /* its headers have been seen */
    bool with_receiver;
    bool suspended;
    bool broken; /* no memory for a response */
    unsigned status;
    struct MHD_Response *response; /* to be queued */
    void *data;                    /* the receiver's */
};

struct tsd_http {
    struct tsd_http_config config;
    struct MHD_Daemon *mhd;
    struct tsd_request *requests;
    unsigned n_requests;
    uv_poll_t accepting;
    uv_poll_t epoll;
    uv_timer_t timeout; /* libmicrohttpd's */
    uv_timer_t sweep;
    uv_timer_t pause;
    unsigned handles; /* open */
    bool stopped;
    bool owns_fd;
    void (*on_closed)(void *data);
    void *closed_data;
};

static uint64_t now_ms(const struct tsd_http *http)
{
    return uv_now(http->config.loop);
}

static void enter(struct tsd_request *request, enum phase phase)
{
    request->phase = phase;
    request->since = now_ms(request->http);
}

static void on_timeout(uv_timer_t *timer);

/* ---- Requests ---- */

bool tsd_request_tcp(const struct tsd_request *request)
{
    return request->http->config.tcp;
}

const char *tsd_request_method(const struct tsd_request *request)
{
    return request->method;
}

const char *tsd_request_target(const struct tsd_request *request)
{
    return request->target;
}

void tsd_request_set_data(struct tsd_request *request, void *data)
{
    request->data = data;
}

void *tsd_request_data(const struct tsd_request *request)
{
    return request->data;
}

struct host {
    unsigned n;
    const char *value;
};

static enum MHD_Result find_host(void *data, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct host *host = data;
    (void)kind;
    if (!strcasecmp(name, MHD_HTTP_HEADER_HOST)) {
        host->n++;
        host->value = value;
    }
    return MHD_YES;
}

const char *tsd_request_host(const struct tsd_request *request)
{
    struct host host = {0};
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, find_host, &host);
    return host.n == 1 ? host.value : NULL;
}

/* ---- Responses ---- */

struct body {
    char *bytes;
    size_t len;
    void (*on_released)(void *data, size_t len);
    void *data;
};

static void release_body(void *data)
{
    struct body *body = data;
    if (body->on_released)
        body->on_released(body->data, body->len);
    free(body->bytes);
    free(body);
}

struct stream {
    struct tsd_request *request; /* outlives the reading: libmicrohttpd reads for an open connection only */
    struct tsd_body source;
    struct ts_buf buf;
    size_t at;
};

static ssize_t read_stream(void *data, uint64_t position, char *bytes, size_t room)
{
    struct stream *stream = data;
    (void)position;
    if (stream->at == stream->buf.len) {
        ts_buf_reset(&stream->buf);
        stream->at = 0;
        int rc = stream->source.next(stream->source.data, &stream->buf);
        if (rc == 0)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (rc < 0 || ts_buf_failed(&stream->buf) || !stream->buf.len)
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t n = stream->buf.len - stream->at;
    n = n < room ? n : room;
    memcpy(bytes, stream->buf.data + stream->at, n);
    stream->at += n;
    stream->request->sent += n;
    return (ssize_t)n;
}

static void free_stream(void *data)
{
    struct stream *stream = data;
    stream->source.free(stream->source.data);
    ts_buf_deinit(&stream->buf);
    free(stream);
}

/* Takes the stream. */
static struct MHD_Response *make_streamed(struct tsd_request *request, const struct tsd_body *source)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    if (!stream) {
        source->free(source->data);
        return NULL;
    }
    *stream = (struct stream){.request = request, .source = *source};
    ts_buf_init(&stream->buf);
    uint64_t len = source->len < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)source->len;
    struct MHD_Response *response = MHD_create_response_from_callback(len, BLOCK, read_stream, stream, free_stream);
    if (!response)
        free_stream(stream);
    return response;
}

/* Takes the reply's body. NULL where there is no memory. */
static struct MHD_Response *make_response(struct tsd_request *request, const struct tsd_reply *reply,
                                          unsigned *ret_status)
{
    struct body *body = reply->body ? malloc(sizeof(*body)) : NULL;
    struct MHD_Response *response;
    bool streamed = reply->stream.next;
    if (streamed) {
        response = make_streamed(request, &reply->stream);
    } else if (body) {
        *body = (struct body){reply->body, reply->len, reply->on_released, reply->data};
        response = MHD_create_response_from_buffer_with_free_callback_cls(body->len, body->bytes, release_body, body);
        if (!response)
            release_body(body);
    } else {
        if (reply->body && reply->on_released)
            reply->on_released(reply->data, reply->len);
        free(reply->body);
        union {
            const char *constant;
            void *as_declared; /* libmicrohttpd does not write to it */
        } text = {no_memory};
        response = MHD_create_response_from_buffer(sizeof(no_memory) - 1, text.as_declared, MHD_RESPMEM_PERSISTENT);
    }
    if (!response)
        return NULL;
    bool whole = body || streamed;
    unsigned status = whole ? reply->status : MHD_HTTP_INTERNAL_SERVER_ERROR;
    bool busy = status == MHD_HTTP_SERVICE_UNAVAILABLE;
    if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, whole ? reply->type : TSD_TYPE_JSON) &&
        MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") &&
        MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") &&
        (!reply->allow || MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, reply->allow)) &&
        (!busy || MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1"))) {
        *ret_status = status;
        return response;
    }
    MHD_destroy_response(response);
    return NULL;
}

static enum MHD_Result queue_response(struct tsd_request *request)
{
    struct MHD_Response *response = request->response;
    request->response = NULL;
    enter(request, SENDING);
    enum MHD_Result result = MHD_queue_response(request->connection, request->status, response);
    MHD_destroy_response(response); /* the connection holds its own reference */
    return result;
}

void tsd_request_reply(struct tsd_request *request, const struct tsd_reply *reply)
{
    request->with_receiver = false;
    request->data = NULL;
    request->response = make_response(request, reply, &request->status);
    request->broken = !request->response;
    if (request->suspended) { /* on_access() is called again and queues it */
        request->suspended = false;
        MHD_resume_connection(request->connection);
        uv_timer_start(&request->http->timeout, on_timeout, 0, 0); /* it takes effect at the next MHD_run() */
    }
}

static void reply_too_large(struct tsd_request *request)
{
    struct tsd_reply reply;
    tsd_reply_error(MHD_HTTP_CONTENT_TOO_LARGE, "too_large", NULL,
                    "a request's body is ignored, and has 64 KiB at most", &reply);
    tsd_request_reply(request, &reply);
}

/* ---- What libmicrohttpd calls ---- */

/* The request line is there. */
static void *on_target(void *data, const char *target, struct MHD_Connection *connection)
{
    (void)data;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct tsd_request *request = info->socket_context;
    if (!request)
        return NULL;
    free(request->target);
    request->target = strdup(target);
    request->body = 0;
    request->sent = 0;
    request->begun = false;
    if (request->phase == IDLE)
        enter(request, RECEIVING);
    return request;
}

static enum MHD_Result begin(struct tsd_request *request, const char *method)
{
    request->begun = true;
    request->method = method;
    const char *length =
        MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (!length || strtoull(length, NULL, 10) <= BODY_MAX)
        return MHD_YES;
    reply_too_large(request);
    return request->broken ? MHD_NO : queue_response(request);
}

/* First without body, then for each piece of it, then once more when the request is whole; and again on resumption. */
static enum MHD_Result on_access(void *data, struct MHD_Connection *connection, const char *url, const char *method,
                                 const char *version, const char *upload, size_t *upload_size, void **context)
{
    (void)data, (void)connection, (void)url, (void)version, (void)upload;
    struct tsd_request *request = *context;
    if (!request || !request->target || request->broken)
        return MHD_NO;
    if (request->response)
        return queue_response(request);
    if (!request->begun)
        return begin(request, method);
    if (*upload_size) {
        request->body += *upload_size;
        *upload_size = 0;
        return MHD_YES;
    }
    enter(request, WORKING);
    request->with_receiver = true;
    if (request->body > BODY_MAX) /* in chunks, which do not tell beforehand */
        reply_too_large(request);
    else
        request->http->config.on_request(request->http->config.data, request);
    if (request->broken)
        return MHD_NO;
    if (request->response)
        return queue_response(request);
    request->suspended = true;
    MHD_suspend_connection(connection);
    return MHD_YES;
}

static void forget_request(struct tsd_request *request)
{
    if (request->with_receiver) {
        request->with_receiver = false;
        request->http->config.on_gone(request->http->config.data, request);
        request->data = NULL;
    }
    if (request->response)
        MHD_destroy_response(request->response);
    request->response = NULL;
    request->method = NULL;
    free(request->target);
    request->target = NULL;
    request->begun = false;
}

static void on_completed(void *data, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode how)
{
    (void)data, (void)connection, (void)how;
    struct tsd_request *request = *context;
    if (!request)
        return;
    forget_request(request);
    enter(request, IDLE);
}

static void resume_accepting(struct tsd_http *http);
static void on_sweep(uv_timer_t *timer);

static struct tsd_request *request_new(struct tsd_http *http, struct MHD_Connection *connection)
{
    struct tsd_request *request = calloc(1, sizeof(*request));
    if (!request)
        return NULL;
    request->http = http;
    request->connection = connection;
    request->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    enter(request, RECEIVING);
    request->next = http->requests;
    if (request->next)
        request->next->prev = request;
    http->requests = request;
    if (!http->n_requests++)
        uv_timer_start(&http->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    return request;
}

static void request_free(struct tsd_request *request)
{
    struct tsd_http *http = request->http;
    forget_request(request);
    if (request->next)
        request->next->prev = request->prev;
    *(request->prev ? &request->prev->next : &http->requests) = request->next;
    free(request);
    if (!--http->n_requests)
        uv_timer_stop(&http->sweep);
    resume_accepting(http);
}

static void on_connection(void *data, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = request_new(data, connection);
    } else if (*context) {
        request_free(*context);
        *context = NULL;
    }
}

static void on_log(void *data, const char *format, va_list args) TS_PRINTF(2, 0);
static void on_log(void *data, const char *format, va_list args)
{
    const struct tsd_http *http = data;
    char line[256];
    vsnprintf(line, sizeof(line), format, args);
    line[strcspn(line, "\n")] = '\0';
    /* It tries TCP's options on Unix sockets too, with every response, and tells of each. */
    if (!http->config.tcp && (strstr(line, "TCP_") || strstr(line, "Failed to push")))
        return;
    tsd_log_debug("libmicrohttpd: %s", line);
}

/* ---- The loop ---- */

static void pump(struct tsd_http *http)
{
    MHD_run(http->mhd);
    MHD_UNSIGNED_LONG_LONG wait;
    if (MHD_get_timeout(http->mhd, &wait))
        uv_timer_start(&http->timeout, on_timeout, wait, 0);
    else
        uv_timer_stop(&http->timeout);
}

static void on_timeout(uv_timer_t *timer)
{
    pump(timer->data);
}

static void on_epoll(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events; /* what an epoll descriptor has to say, MHD_run() finds out */
    pump(poll->data);
}

/* libmicrohttpd sees the end of both directions at its next run, and lets go of the connection. */
static void shut(struct tsd_request *request)
{
    shutdown(request->fd, SHUT_RDWR);
}

/* A peer that waits has closed, not merely ended its side: a Unix socket tells the two apart. TCP does not; whoever
 * half-closes there is taken to have left, as web servers do. */
static bool has_left(const struct tsd_request *request)
{
    struct pollfd look = {.fd = request->fd, .events = request->http->config.tcp ? POLLRDHUP : 0};
    return request->with_receiver && poll(&look, 1, 0) > 0;
}

/* No request will come: the peer has ended its side, some time ago. libmicrohttpd does not see it where the end came
 * together with the last bytes, as its epoll is edge-triggered. */
static bool has_ended(const struct tsd_request *request)
{
    struct pollfd look = {.fd = request->fd, .events = POLLRDHUP};
    return (request->phase == RECEIVING || request->phase == IDLE) &&
           now_ms(request->http) - request->since >= SWEEP_MS && poll(&look, 1, 0) > 0;
}

static void leave(struct tsd_request *request)
{
    struct tsd_reply reply;
    request->http->config.on_gone(request->http->config.data, request);
    tsd_reply_error(MHD_HTTP_SERVICE_UNAVAILABLE, "canceled", NULL, "the connection was closed", &reply);
    tsd_request_reply(request, &reply); /* nobody reads it, but so the request ends */
}

static bool is_late(const struct tsd_request *request)
{
    static const uint64_t limits[] = {
        [RECEIVING] = RECEIVING_MS, [WORKING] = UINT64_MAX / 2, [SENDING] = SENDING_MS, [IDLE] = IDLE_MS};
    uint64_t more = request->phase == SENDING ? request->sent / SENDING_BYTES_PER_MS : 0;
    return now_ms(request->http) - request->since >= limits[request->phase] + more;
}

static void on_sweep(uv_timer_t *timer)
{
    struct tsd_http *http = timer->data;
    for (struct tsd_request *request = http->requests; request; request = request->next) {
        if (has_left(request))
            leave(request);
        else if (is_late(request) || has_ended(request))
            shut(request);
    }
}

/* ---- Accepting ---- */

static void on_acceptable(uv_poll_t *poll, int status, int events);

static void resume_accepting(struct tsd_http *http)
{
    if (!http->stopped && !uv_is_active((uv_handle_t *)&http->pause) && !uv_is_active((uv_handle_t *)&http->accepting))
        uv_poll_start(&http->accepting, UV_READABLE, on_acceptable);
}

static void on_pause_over(uv_timer_t *timer)
{
    resume_accepting(timer->data);
}

/* Whoever has been idle longest makes room. */
static void make_room(struct tsd_http *http)
{
    struct tsd_request *oldest = NULL;
    for (struct tsd_request *request = http->requests; request; request = request->next) {
        if (request->phase == IDLE && (!oldest || request->since <= oldest->since))
            oldest = request;
    }
    if (oldest)
        shut(oldest);
}

static void pause_accepting(struct tsd_http *http)
{
    uv_poll_stop(&http->accepting);
    make_room(http);
    uv_timer_start(&http->pause, on_pause_over, ACCEPT_PAUSE_MS, 0);
}

static bool accept_one(struct tsd_http *http)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    int fd = accept4(http->config.fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        /* Closes fd where it fails. */
        if (!MHD_add_connection(http->mhd, fd, (struct sockaddr *)&address, len))
            tsd_log_debug("control: a connection was not taken: %s", strerror(errno));
        return true;
    }
    if (errno == EINTR || errno == ECONNABORTED)
        return true;
    if (errno != EAGAIN) { /* no descriptors, no memory: the backlog stays readable, so not at once again */
        tsd_log_debug("control: cannot accept: %s", strerror(errno));
        pause_accepting(http);
    }
    return false;
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    struct tsd_http *http = poll->data;
    unsigned room = http->config.max_requests - http->n_requests;
    if (!room) {
        uv_poll_stop(&http->accepting); /* until one is closed */
        make_room(http);
    }
    while (room && accept_one(http))
        room--;
    pump(http);
}

/* ---- Start and close ---- */

static struct MHD_Daemon *start_mhd(struct tsd_http *http)
{
    unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    return MHD_start_daemon(flags, 0, NULL, NULL, on_access, http,                             //
                            MHD_OPTION_EXTERNAL_LOGGER, on_log, http,                          //
                            MHD_OPTION_URI_LOG_CALLBACK, on_target, http,                      //
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, http,                 //
                            MHD_OPTION_NOTIFY_COMPLETED, on_completed, http,                   //
                            MHD_OPTION_CONNECTION_LIMIT, http->config.max_requests,            //
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_PER_CONNECTION, //
                            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_S,                //
                            MHD_OPTION_END);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct tsd_http *http = handle->data;
    if (--http->handles)
        return;
    if (http->owns_fd)
        close(http->config.fd);
    http->on_closed(http->closed_data);
}

static void close_handles(struct tsd_http *http)
{
    uv_handle_t *handles[] = {(uv_handle_t *)&http->timeout, (uv_handle_t *)&http->sweep, (uv_handle_t *)&http->pause,
                              (uv_handle_t *)&http->accepting, (uv_handle_t *)&http->epoll};
    for (unsigned i = http->handles; i > 0; i--)
        uv_close(handles[i - 1], on_handle_closed);
}

static void free_failed(void *data)
{
    tsd_http_free(data);
}

static int open_handles(struct tsd_http *http)
{
    uv_loop_t *loop = http->config.loop;
    int epoll = MHD_get_daemon_info(http->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    uv_timer_init(loop, &http->timeout);
    uv_timer_init(loop, &http->sweep);
    uv_timer_init(loop, &http->pause);
    http->handles = 3;
    http->timeout.data = http->sweep.data = http->pause.data = http->accepting.data = http->epoll.data = http;
    if (uv_poll_init(loop, &http->accepting, http->config.fd))
        return TS_EINVAL;
    http->handles++;
    if (uv_poll_init(loop, &http->epoll, epoll))
        return TS_EINVAL;
    http->handles++;
    if (uv_poll_start(&http->epoll, UV_READABLE, on_epoll) ||
        uv_poll_start(&http->accepting, UV_READABLE, on_acceptable))
        return TS_EINVAL;
    return 0;
}

int tsd_http_start(const struct tsd_http_config *config, struct tsd_http **ret_http)
{
    struct tsd_http *http = calloc(1, sizeof(*http));
    if (!http)
        return TS_ENOMEM;
    http->config = *config;
    http->mhd = start_mhd(http);
    if (!http->mhd) {
        free(http);
        return TS_EINVAL;
    }
    int rc = open_handles(http);
    if (rc) {
        tsd_http_close(http, free_failed, http);
        return rc;
    }
    http->owns_fd = true;
    *ret_http = http;
    return 0;
}

void tsd_http_disown(struct tsd_http *http)
{
    http->owns_fd = false;
}

void tsd_http_stop(struct tsd_http *http)
{
    http->stopped = true;
    uv_poll_stop(&http->accepting);
    uv_timer_stop(&http->pause);
}

void tsd_http_close(struct tsd_http *http, void (*cb)(void *data), void *data)
{
    http->stopped = true;
    http->on_closed = cb;
    http->closed_data = data;
    MHD_run(http->mhd);  /* takes back what was resumed, and sends */
    close_handles(http); /* before the descriptor in one of them is closed */
    MHD_stop_daemon(http->mhd);
}

struct tsd_http *tsd_http_free(struct tsd_http *http)
{
    free(http);
    return NULL;
}
