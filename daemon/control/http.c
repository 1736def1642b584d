/*
 * libmicrohttpd's epoll descriptor is polled by a uv_poll, its next timeout is a uv_timer; both lead to pump().
 *
 * Connections are accepted here and passed to libmicrohttpd: its own accept would spin when descriptors run out, and
 * closes connections above its limit. Here accepting pauses, and the backlog of the socket waits; meanwhile idle and
 * silent connections are closed one after the other.
 *
 * What happens:  accept; then as in requests.c.
 * Failures:      no descriptor or memory: accepting pauses.
 * On close:      accepting stops; MHD_stop_daemon() closes all connections, each calls on_connection(); handles.
 */
#include "daemon/control/http.h"

#include "daemon/base/log.h"
#include "daemon/control/requests.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MEMORY_PER_CONNECTION = 64 * 1024, /* request line, headers, and libmicrohttpd's data about them */
    TIMEOUT_S = 60,                    /* libmicrohttpd's own timeout, in case a deadline of requests.c fails */
    SWEEP_MS = 1000,
    ACCEPT_PAUSE_MS = 100
};

struct tsd_http {
    struct tsd_http_config config;
    struct MHD_Daemon *mhd;
    struct tsd_requests requests;
    uv_poll_t accepting;
    uv_poll_t epoll;
    uv_timer_t timeout; /* libmicrohttpd's */
    uv_timer_t sweep;   /* while there are connections */
    uv_timer_t pause;   /* of accepting */
    unsigned handles;   /* open */
    bool stopped;
    bool owns_fd;
    void (*on_closed)(void *data);
    void *closed_data;
};

static void on_timeout(uv_timer_t *timer);
static void resume_accepting(struct tsd_http *http);

static void on_sweep(uv_timer_t *timer)
{
    struct tsd_http *http = timer->data;
    tsd_requests_sweep(&http->requests);
}

static void on_connection(void *data, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct tsd_http *http = data;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = tsd_request_new(&http->requests, connection);
        if (*context && !uv_is_active((uv_handle_t *)&http->sweep))
            uv_timer_start(&http->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    } else if (*context) {
        *context = tsd_request_free(*context);
        if (!http->requests.n)
            uv_timer_stop(&http->sweep);
        uv_timer_stop(&http->pause);
        resume_accepting(http);
    }
}

static void on_log(void *data, const char *format, va_list args) TS_PRINTF(2, 0);
static void on_log(void *data, const char *format, va_list args)
{
    const struct tsd_http *http = data;
    char line[256];
    vsnprintf(line, sizeof(line), format, args);
    line[strcspn(line, "\n")] = '\0';
    /* It sets TCP options on Unix sockets too, with every response, and logs each failure. */
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
    (void)status, (void)events; /* MHD_run() finds out */
    pump(poll->data);
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

/* Until a connection is closed, or for a while: then more connections may be old enough to be closed. */
static void pause_accepting(struct tsd_http *http)
{
    uv_poll_stop(&http->accepting);
    tsd_requests_make_room(&http->requests);
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
            tsd_log_debug("control: cannot add a connection: %s", strerror(errno));
        return true;
    }
    if (errno == EINTR || errno == ECONNABORTED)
        return true;
    if (errno != EAGAIN) { /* no descriptors or memory: the socket stays readable, so pause */
        tsd_log_debug("control: cannot accept: %s", strerror(errno));
        pause_accepting(http);
    }
    return false;
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    struct tsd_http *http = poll->data;
    unsigned room = http->config.max_requests - http->requests.n;
    if (!room)
        pause_accepting(http);
    while (room && accept_one(http))
        room--;
    pump(http);
}

/* ---- Start and close ---- */

static struct MHD_Daemon *start_mhd(struct tsd_http *http)
{
    unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    return MHD_start_daemon(flags, 0, NULL, NULL, tsd_requests_on_access, http,                //
                            MHD_OPTION_EXTERNAL_LOGGER, on_log, http,                          //
                            MHD_OPTION_URI_LOG_CALLBACK, tsd_requests_on_target, http,         //
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, http,                 //
                            MHD_OPTION_NOTIFY_COMPLETED, tsd_requests_on_completed, http,      //
                            MHD_OPTION_CONNECTION_LIMIT, http->config.max_requests,            //
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_PER_CONNECTION, //
                            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S,                //
                            MHD_OPTION_END);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct tsd_http *http = handle->data;
    if (--http->handles)
        return;
    assert(!http->requests.n);
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
    http->requests = (struct tsd_requests){.loop = config->loop,
                                           .tcp = config->tcp,
                                           .max_per_address = config->max_per_address,
                                           .stats = config->stats,
                                           .handlers = config->handlers,
                                           .run_timer = &http->timeout,
                                           .on_run_timer = on_timeout};
    LIST_INIT(&http->requests.list);
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
    MHD_run(http->mhd);  /* processes resumed connections, and sends */
    close_handles(http); /* before the descriptor in one of them is closed */
    MHD_stop_daemon(http->mhd);
}

struct tsd_http *tsd_http_free(struct tsd_http *http)
{
    free(http);
    return NULL;
}
