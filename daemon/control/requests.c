/*
 * While the receiver has a request, its connection is suspended, which removes it from libmicrohttpd's epoll; so the
 * sweep also looks whether the peer has left.
 *
 * What happens:  request line, headers, body, on_request, reply, response sent, the next request.
 * Failures:      the peer leaves (on_gone if the receiver has the request); a deadline; a long body (413); no memory
 * for a request or a response (the connection is closed).
 * On close:      libmicrohttpd closes each connection: tsd_request_free().
 *
 * A connection holds one of few places. Those without a complete request make room for new ones when all are taken; a
 * response that the peer does not read is cut off; and one address over TCP has a limited number of requests in
 * progress, so that it cannot hold all places with responses that it reads slowly.
 */
#include "daemon/control/requests.h"

#include "daemon/control/address_key.h"
#include "daemon/control/response.h"

#include <assert.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>

enum {
    BODY_MAX = 64 * 1024,
    RECEIVING_MS = 10 * 1000,
    SENDING_MS = 120 * 1000,
    SENDING_BYTES_PER_MS = 64, /* the deadline of a long response: a millisecond more for each of them */
    STALLED_MS = 10 * 1000,    /* the peer has accepted no byte of a response */
    IDLE_MS = 30 * 1000,
    ENDED_MS = 1000,
    /* How long a new connection may be silent if all places are taken: over TCP from an address with few connections,
     * and otherwise. A local client sends its request at once. */
    SILENT_TCP_MS = 1000,
    SILENT_MS = 200
};

enum phase { RECEIVING, WORKING, SENDING, IDLE };

struct tsd_request {
    struct tsd_requests *requests;
    struct MHD_Connection *connection;
    LIST_ENTRY(tsd_request) entry;
    int fd;
    enum phase phase;
    uint64_t since; /* of the phase; the loop's ms */
    struct tsd_address_key address;
    bool shut; /* its socket has been shut down: it is about to close */
    /* While SENDING, at the last sweep that saw progress. */
    uint64_t progress_at;
    uint64_t progress_sent;
    int progress_queued; /* bytes in the socket that the peer has not accepted */

    /* Of the request. */
    char *target;
    const char *target_end; /* in libmicrohttpd's buffer, as method */
    const char *method;     /* libmicrohttpd's, while the request lives */
    uint64_t body;          /* bytes received */
    uint64_t sent;          /* bytes of a body that is sent in pieces */
    bool begun;             /* its headers have been seen */
    bool with_receiver;
    bool suspended;
    bool broken; /* no memory for a response */
    unsigned status;
    struct MHD_Response *response; /* to be queued */
    void *data;                    /* the receiver's */
};

static void enter(struct tsd_request *request, enum phase phase)
{
    request->phase = phase;
    request->since = uv_now(request->requests->loop);
    request->progress_at = request->since;
}

/* ---- For the receiver ---- */

bool tsd_request_tcp(const struct tsd_request *request)
{
    return request->requests->tcp;
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

/*
 * libmicrohttpd ends its strings at a NUL byte that a peer sent, and drops the rest of the line. But the strings lie in
 * the buffer that received the head, where each line end was overwritten with NUL bytes. So a value was sent without a
 * NUL byte if there are only NUL bytes between its end and the next header, or the end of the head.
 */
struct head {
    const char *begin; /* libmicrohttpd's copy of the request line and the headers */
    const char *end;
};

static struct head head_of(const struct tsd_request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return (struct head){request->method, request->method + (info ? info->header_size : 0)};
}

static bool is_within(const struct head *head, const char *p)
{
    return (uintptr_t)p >= (uintptr_t)head->begin && (uintptr_t)p < (uintptr_t)head->end;
}

static bool has_only(const char *from, const char *to, char byte)
{
    while (from < to && (!*from || *from == byte))
        from++;
    return from >= to;
}

struct host {
    struct head head;
    unsigned n;
    const char *value;
    const char *next; /* header after Host */
};

static enum MHD_Result find_host(void *data, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct host *host = data;
    (void)kind;
    if (!strcasecmp(name, MHD_HTTP_HEADER_HOST)) {
        host->n++;
        host->value = value;
    } else if (host->n && !host->next) {
        host->next = name;
    }
    return MHD_YES;
}

const char *tsd_request_host(const struct tsd_request *request)
{
    struct host host = {.head = head_of(request)};
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, find_host, &host);
    /* The value of a header that is continued on a second line, which HTTP forbids, was moved out of the head. */
    if (host.n != 1 || !host.value || !is_within(&host.head, host.value))
        return NULL;
    const char *next = host.next && is_within(&host.head, host.next) ? host.next : host.head.end;
    return has_only(host.value + strlen(host.value), next, '\0') ? host.value : NULL;
}

/* Between the target and the version of the protocol there are only spaces, which libmicrohttpd overwrites. */
static bool has_complete_target(const struct tsd_request *request, const char *version)
{
    struct head head = head_of(request);
    return !is_within(&head, request->target_end) || !is_within(&head, version) ||
           has_only(request->target_end, version, ' ');
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

void tsd_request_reply(struct tsd_request *request, struct tsd_reply *reply)
{
    assert(!request->response && !request->broken);
    request->with_receiver = false;
    request->data = NULL;
    request->response = tsd_response_new(reply, &request->sent, &request->status);
    request->broken = !request->response;
    if (request->suspended) { /* on_access() is called again and queues it */
        struct tsd_requests *requests = request->requests;
        request->suspended = false;
        MHD_resume_connection(request->connection);
        uv_timer_start(requests->run_timer, requests->on_run_timer, 0, 0); /* it takes effect at the next MHD_run() */
    }
}

static void reply_too_large(struct tsd_request *request)
{
    struct tsd_reply reply;
    tsd_reply_error(MHD_HTTP_CONTENT_TOO_LARGE, "too_large", NULL, "the body of a request is ignored; 64 KiB at most",
                    &reply);
    tsd_request_reply(request, &reply);
}

/* ---- libmicrohttpd's callbacks ---- */

void *tsd_requests_on_target(void *data, const char *target, struct MHD_Connection *connection)
{
    (void)data;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct tsd_request *request = info->socket_context;
    if (!request)
        return NULL;
    free(request->target);
    request->target = strdup(target);
    request->target_end = target + strlen(target);
    request->body = 0;
    request->sent = 0;
    request->begun = false;
    if (request->phase == IDLE)
        enter(request, RECEIVING);
    return request;
}

static void reply_incomplete_target(struct tsd_request *request)
{
    struct tsd_reply reply;
    tsd_reply_error(MHD_HTTP_BAD_REQUEST, "bad_parameter", NULL, "the request line has a NUL byte", &reply);
    tsd_request_reply(request, &reply);
}

static enum MHD_Result begin(struct tsd_request *request, const char *method, const char *version)
{
    request->begun = true;
    request->method = method;
    if (!has_complete_target(request, version)) {
        reply_incomplete_target(request);
        return request->broken ? MHD_NO : queue_response(request);
    }
    const char *length =
        MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (!length || strtoull(length, NULL, 10) <= BODY_MAX)
        return MHD_YES;
    reply_too_large(request);
    return request->broken ? MHD_NO : queue_response(request);
}

static bool exceeds_share(const struct tsd_request *request)
{
    const struct tsd_requests *requests = request->requests;
    const struct tsd_request *other;
    unsigned n = 0;
    if (!requests->tcp)
        return false;
    LIST_FOREACH (other, &requests->list, entry) {
        n += (other->phase == WORKING || other->phase == SENDING) &&
             tsd_address_key_equal(&other->address, &request->address);
    }
    return n > requests->max_per_address;
}

static void reply_over_share(struct tsd_request *request)
{
    struct tsd_reply reply;
    tsd_add(&request->requests->stats->requests_over_share, 1);
    tsd_reply_error(MHD_HTTP_SERVICE_UNAVAILABLE, "busy", NULL,
                    "too many requests from this address are in progress; try again", &reply);
    tsd_request_reply(request, &reply);
}

static enum MHD_Result pass_to_receiver(struct tsd_request *request)
{
    const struct tsd_request_handlers *handlers = &request->requests->handlers;
    enter(request, WORKING);
    request->with_receiver = true;
    if (request->body > BODY_MAX) /* sent in chunks, whose total is known only now */
        reply_too_large(request);
    else if (exceeds_share(request))
        reply_over_share(request);
    else
        handlers->on_request(handlers->data, request);
    if (request->broken)
        return MHD_NO;
    if (request->response)
        return queue_response(request);
    request->suspended = true;
    MHD_suspend_connection(request->connection);
    return MHD_YES;
}

/* Called without a body first, then for each piece of it, then once more when the request is complete; and again after
 * the connection was resumed. */
enum MHD_Result tsd_requests_on_access(void *data, struct MHD_Connection *connection, const char *url,
                                       const char *method, const char *version, const char *upload, size_t *upload_size,
                                       void **context)
{
    (void)data, (void)connection, (void)url, (void)upload;
    struct tsd_request *request = *context;
    if (!request || !request->target || request->broken)
        return MHD_NO;
    if (request->response)
        return queue_response(request);
    if (!request->begun)
        return begin(request, method, version);
    if (!*upload_size)
        return pass_to_receiver(request);
    request->body += *upload_size;
    *upload_size = 0;
    return MHD_YES;
}

static void tell_gone(struct tsd_request *request)
{
    const struct tsd_request_handlers *handlers = &request->requests->handlers;
    assert(request->with_receiver);
    request->with_receiver = false;
    handlers->on_gone(handlers->data, request);
    request->data = NULL;
}

/* Makes the connection ready for its next request. */
static void reset(struct tsd_request *request)
{
    if (request->with_receiver)
        tell_gone(request);
    if (request->response)
        MHD_destroy_response(request->response);
    request->response = NULL;
    request->method = NULL;
    free(request->target);
    request->target = NULL;
    request->begun = false;
}

void tsd_requests_on_completed(void *data, struct MHD_Connection *connection, void **context,
                               enum MHD_RequestTerminationCode code)
{
    (void)data, (void)connection, (void)code;
    struct tsd_request *request = *context;
    if (!request)
        return;
    reset(request);
    enter(request, IDLE);
}

struct tsd_request *tsd_request_new(struct tsd_requests *requests, struct MHD_Connection *connection)
{
    struct tsd_request *request = calloc(1, sizeof(*request));
    if (!request)
        return NULL;
    request->requests = requests;
    request->connection = connection;
    request->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    if (requests->tcp)
        tsd_address_key_set(&request->address,
                            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
    enter(request, RECEIVING);
    LIST_INSERT_HEAD(&requests->list, request, entry);
    requests->n++;
    return request;
}

struct tsd_request *tsd_request_free(struct tsd_request *request)
{
    reset(request);
    LIST_REMOVE(request, entry);
    assert(request->requests->n > 0);
    request->requests->n--;
    free(request);
    return NULL;
}

/* ---- Deadlines ---- */

/* libmicrohttpd sees the end of both directions at its next run, and closes the connection. */
static void shut_down(struct tsd_request *request)
{
    request->shut = true;
    shutdown(request->fd, SHUT_RDWR);
}

static void cut_off(struct tsd_request *request)
{
    if (request->phase == SENDING && !request->shut)
        tsd_add(&request->requests->stats->responses_cut, 1);
    shut_down(request);
}

/* A peer that waits for a reply has closed, not merely ended its side: a Unix socket tells the two apart. TCP does not;
 * a peer that half-closes there is assumed to have left, as web servers do. */
static bool has_left(const struct tsd_request *request)
{
    struct pollfd peer = {.fd = request->fd, .events = request->requests->tcp ? POLLRDHUP : 0};
    return request->with_receiver && poll(&peer, 1, 0) > 0;
}

/* No request will follow: the peer has ended its side. libmicrohttpd does not notice if the end came together with the
 * last bytes, because its epoll is edge-triggered. */
static bool has_ended(const struct tsd_request *request, uint64_t age)
{
    struct pollfd peer = {.fd = request->fd, .events = POLLRDHUP};
    return (request->phase == RECEIVING || request->phase == IDLE) && age >= ENDED_MS && poll(&peer, 1, 0) > 0;
}

static void leave(struct tsd_request *request)
{
    struct tsd_reply reply;
    tell_gone(request);
    tsd_reply_error(MHD_HTTP_SERVICE_UNAVAILABLE, "canceled", NULL, "the connection was closed", &reply);
    tsd_request_reply(request, &reply); /* nobody reads it, but it completes the request */
}

static bool is_late(const struct tsd_request *request, uint64_t age)
{
    static const uint64_t limits[] = {
        [RECEIVING] = RECEIVING_MS, [WORKING] = UINT64_MAX / 2, [SENDING] = SENDING_MS, [IDLE] = IDLE_MS};
    uint64_t more = request->phase == SENDING ? request->sent / SENDING_BYTES_PER_MS : 0;
    return age >= limits[request->phase] + more;
}

/* Progress shows in what is in the socket, which the peer's kernel or, on a Unix socket, the peer has to accept. */
static bool is_stalled(struct tsd_request *request)
{
    uint64_t now = uv_now(request->requests->loop);
    int queued = 0;
    if (request->phase != SENDING)
        return false;
    ioctl(request->fd, SIOCOUTQ, &queued);
    if (queued != request->progress_queued || request->sent != request->progress_sent) {
        request->progress_at = now;
        request->progress_queued = queued;
        request->progress_sent = request->sent;
    }
    return now - request->progress_at >= STALLED_MS;
}

void tsd_requests_sweep(struct tsd_requests *requests)
{
    struct tsd_request *request;
    LIST_FOREACH (request, &requests->list, entry) {
        uint64_t age = uv_now(requests->loop) - request->since;
        if (has_left(request))
            leave(request);
        else if (is_late(request, age) || has_ended(request, age) || is_stalled(request))
            cut_off(request);
    }
}

static struct tsd_request *oldest_in(struct tsd_requests *requests, enum phase phase)
{
    struct tsd_request *oldest = NULL;
    struct tsd_request *request;
    LIST_FOREACH (request, &requests->list, entry) {
        if (request->phase == phase && (!oldest || request->since <= oldest->since))
            oldest = request;
    }
    return oldest;
}

static bool closes_soon(const struct tsd_requests *requests)
{
    const struct tsd_request *request;
    LIST_FOREACH (request, &requests->list, entry) {
        if (request->shut)
            return true;
    }
    return false;
}

static uint64_t patience(const struct tsd_request *request)
{
    const struct tsd_requests *requests = request->requests;
    const struct tsd_request *other;
    unsigned n = 0;
    LIST_FOREACH (other, &requests->list, entry)
        n += tsd_address_key_equal(&other->address, &request->address);
    return requests->tcp && n <= requests->max_per_address ? SILENT_TCP_MS : SILENT_MS;
}

void tsd_requests_make_room(struct tsd_requests *requests)
{
    struct tsd_request *oldest = oldest_in(requests, RECEIVING);
    if (!oldest || uv_now(requests->loop) - oldest->since < patience(oldest))
        oldest = oldest_in(requests, IDLE);
    if (!oldest || closes_soon(requests))
        return;
    tsd_add(&requests->stats->connections_evicted, 1);
    shut_down(oldest);
}
