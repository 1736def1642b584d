/*
 * Control with a real writer, store and ingest threads: its loop runs on a thread of its own; tests send requests on
 * its Unix socket and on TCP.
 */
#ifndef CONTROL_FIXTURE_H
#define CONTROL_FIXTURE_H

#include "daemon/control/control.h"
#include "tests/unit/daemon/daemon_fixture.h"

#include <netinet/in.h>

struct controlling {
    struct fixture *f;
    struct tsd_writer *writer;
    struct tsd_control *control;
    uv_loop_t loop;
    uv_thread_t thread;
    uv_async_t close;
    bool closed; /* control has called back */
    char socket[96];
    uint16_t port;
};

static inline void on_fatal(void *data)
{
    (void)data;
    abort();
}

static inline void on_stopped(void *data)
{
    (void)data;
}

static inline void on_control_closed(void *data)
{
    struct controlling *c = data;
    c->closed = true;
}

static inline void on_close(uv_async_t *async)
{
    struct controlling *c = async->data;
    uv_close((uv_handle_t *)async, NULL);
    tsd_control_close(c->control, on_control_closed, c);
}

static inline void run_loop(void *data)
{
    struct controlling *c = data;
    uv_run(&c->loop, UV_RUN_DEFAULT);
}

static inline int listen_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static inline int listen_tcp(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static inline void start_writer(struct controlling *c)
{
    struct fixture *f = c->f;
    struct ts_store_error error;
    const struct tsd_writer_config config = {.store = f->store,
                                             .state = &f->state,
                                             .threads = f->threads,
                                             .n_threads = THREADS,
                                             .max_locations = 1000,
                                             .max_label_sets = 100,
                                             .commit_budget = &f->shared.commit_budget,
                                             .clients = &f->clients,
                                             .clock = &f->shared.limits.clock,
                                             .flush_interval = 3600 * S,
                                             .ack_interval = S / 100,
                                             .client_expiry = 3600 * S,
                                             .on_fatal = on_fatal,
                                             .on_stopped = on_stopped,
                                             .data = c};
    assert_int_equal(tsd_writer_start(&config, &c->writer, &error), 0);
    f->store = NULL; /* the writer's */
}

static inline int start_control(void **state)
{
    struct controlling *c = calloc(1, sizeof(*c));
    void *fixture;
    if (!c || setup(&fixture))
        return -1;
    c->f = fixture;
    open_store(c->f);
    for (unsigned i = 0; i < THREADS; i++)
        start_thread(c->f, i);
    c->f->state.n_threads = THREADS;
    start_writer(c);
    snprintf(c->socket, sizeof(c->socket), "%s/control", c->f->folder);
    uv_loop_init(&c->loop);
    const struct tsd_control_config config = {.loop = &c->loop,
                                              .unix_fd = listen_unix(c->socket),
                                              .http_fd = listen_tcp(&c->port),
                                              .allowed_hosts = "metrics.example, other",
                                              .state = &c->f->state,
                                              .writer = c->writer,
                                              .rejects = &c->f->rejects};
    if (tsd_control_start(&config, &c->control) || uv_async_init(&c->loop, &c->close, on_close))
        return -1;
    c->close.data = c;
    *state = c;
    return uv_thread_create(&c->thread, run_loop, c);
}

/* As the server does it: the writer first, so that it has called back for every flush. */
static inline void close_control(struct controlling *c)
{
    if (c->closed)
        return;
    tsd_writer_stop(c->writer);
    tsd_writer_join(c->writer);
    uv_async_send(&c->close);
    uv_thread_join(&c->thread);
    assert_true(c->closed);
    assert_int_equal(uv_loop_close(&c->loop), 0); /* no handle is left */
}

static inline int end_control(void **state)
{
    struct controlling *c = *state;
    void *fixture = c->f;
    close_control(c);
    tsd_control_free(c->control);
    for (unsigned i = 0; i < THREADS; i++)
        stop_thread(c->f, i);
    tsd_writer_free(c->writer);
    free(c);
    return teardown(&fixture);
}

/* ---- Requests ---- */

static inline int connect_control(const struct controlling *c, bool tcp)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in inet = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(c->port)};
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    snprintf(local.sun_path, sizeof(local.sun_path), "%s", c->socket);
    int fd = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    assert_int_equal(tcp ? connect(fd, (struct sockaddr *)&inet, sizeof(inet))
                         : connect(fd, (struct sockaddr *)&local, sizeof(local)),
                     0);
    return fd;
}

/* Sends a request whose connection ends with its response. Returns the socket. */
static inline int begin_request(const struct controlling *c, bool tcp, const char *method, const char *target,
                                const char *host)
{
    char text[512];
    int fd = connect_control(c, tcp);
    snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", method, target, host);
    write_text(fd, text);
    return fd;
}

/* Reads until the connection ends. Returns the status; 0: there was no response. */
static inline int end_request(int fd, char *text, size_t size)
{
    size_t len = 0;
    ssize_t n;
    while (len < size - 1 && (n = recv(fd, text + len, size - 1 - len, 0)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    close(fd);
    return len > 12 ? atoi(text + strlen("HTTP/1.1 ")) : 0;
}

static inline int request(const struct controlling *c, bool tcp, const char *method, const char *target, char *text,
                          size_t size)
{
    return end_request(begin_request(c, tcp, method, target, "localhost"), text, size);
}

#endif
