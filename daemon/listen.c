/*
 * UDP and TCP: a socket for each ingest thread (inet_socket.c). A Unix listener, and any listener passed by systemd, is
 * one socket with a duplicate descriptor for each thread: an idle thread accepts. Datagrams of a Unix or a passed
 * socket are read by the first thread only.
 */
#include "daemon/listen.h"

#include "daemon/base/address.h"
#include "daemon/base/log.h"
#include "daemon/inet_socket.h"
#include "daemon/unix_socket.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- The list of listeners ---- */

static void add_listener(struct tsd_state *state, const char *name, const char *address)
{
    assert(state->n_listeners < TSD_LISTENERS_MAX);
    struct tsd_listener *listener = &state->listeners[state->n_listeners++];
    listener->name = name;
    snprintf(listener->address, sizeof(listener->address), "%s", address);
}

static void add_inet_listener(struct tsd_state *state, const char *name, const struct sockaddr *address)
{
    char text[TSD_ADDRESS_MAX];
    add_listener(state, name, tsd_address_text(address, text));
    if (!tsd_address_is_loopback(address))
        tsd_log_warning("%s listens on %s, which is not a loopback address: any host that can reach it can %s", name,
                        text, strcmp(name, "http") == 0 ? "read all profiles" : "send profiles");
}

static void add_passed_listener(struct tsd_state *state, const char *name, int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    if (getsockname(fd, (struct sockaddr *)&address, &len))
        return;
    if (address.ss_family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)&address;
        add_listener(state, name, un->sun_path[0] ? un->sun_path : "(abstract)");
    } else {
        add_inet_listener(state, name, (const struct sockaddr *)&address);
    }
}

/* ---- Ingest ---- */

struct opener {
    const struct tsd_config *config;
    const struct tsd_passed *passed;
    struct tsd_state *state;
    struct tsd_sockets *sockets;
    struct tsd_socket_error *error;
};

struct endpoint {
    const char *name; /* in state->listeners */
    const char *key;
    const char *value; /* of the key; NULL: off */
    int passed;        /* -1: none */
    bool is_unix;
    int type;
    size_t offset; /* of the descriptor in struct tsd_thread_sockets */
};

static int *slot(struct tsd_sockets *sockets, unsigned thread, size_t offset)
{
    assert(thread < sockets->n_threads && offset < sizeof(sockets->threads[thread]));
    return (int *)(void *)((char *)&sockets->threads[thread] + offset);
}

/* The first thread gets fd, the others duplicates. A datagram socket has one reader. */
static int share(struct opener *o, const struct endpoint *endpoint, int fd)
{
    unsigned n = endpoint->type == SOCK_DGRAM ? 1 : o->sockets->n_threads;
    for (unsigned i = 0; i < n; i++) {
        int *one = slot(o->sockets, i, endpoint->offset);
        *one = i ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : fd;
        if (*one < 0) {
            snprintf(o->error->message, sizeof(o->error->message), "%s: cannot duplicate the socket: %s", endpoint->key,
                     strerror(errno));
            return TS_EUNAVAILABLE;
        }
    }
    return 0;
}

static int open_inet(struct opener *o, const struct endpoint *endpoint)
{
    struct tsd_inet_socket config = {.key = endpoint->key, .text = endpoint->value, .type = endpoint->type};
    struct sockaddr_storage address;
    int fds[TSD_THREADS_MAX];
    unsigned n = o->sockets->n_threads;
    int rc = tsd_inet_socket_open(&config, n, fds, &address, o->error);
    if (rc)
        return rc;
    for (unsigned i = 0; i < n; i++)
        *slot(o->sockets, i, endpoint->offset) = fds[i];
    add_inet_listener(o->state, endpoint->name, (const struct sockaddr *)&address);
    return 0;
}

static int open_unix(struct opener *o, const struct endpoint *endpoint)
{
    struct tsd_unix_socket config = {.key = endpoint->key,
                                     .path = endpoint->value,
                                     .type = endpoint->type,
                                     .mode = o->config->ingest.socket_mode,
                                     .group = NULL};
    int fd;
    int rc = tsd_unix_socket_open(&config, &fd, o->error);
    if (rc)
        return rc;
    assert(o->sockets->n_ingest_files < TSD_INGEST_FILES_MAX);
    o->sockets->ingest_files[o->sockets->n_ingest_files++] = endpoint->value;
    add_listener(o->state, endpoint->name, endpoint->value);
    return share(o, endpoint, fd);
}

static void set_receive_buffers(const struct opener *o)
{
    uint64_t bytes = o->config->ingest.receive_buffer;
    for (unsigned i = 0; i < o->sockets->n_threads; i++) {
        int granted;
        int fd = o->sockets->threads[i].udp;
        if (fd >= 0 && !tsd_inet_socket_set_buffer(fd, bytes, &granted))
            tsd_log_warning("ingest.receive_buffer is %llu bytes, but the kernel grants %d; raise net.core.rmem_max",
                            (unsigned long long)bytes, granted);
    }
}

static int open_ingest(struct opener *o)
{
    const struct tsd_config *config = o->config;
    const struct tsd_passed *passed = o->passed;
    const struct endpoint endpoints[] = {
        {"udp", "ingest.udp", config->ingest.udp, passed->udp, false, SOCK_DGRAM,
         offsetof(struct tsd_thread_sockets, udp)},
        {"tcp", "ingest.tcp", config->ingest.tcp, passed->tcp, false, SOCK_STREAM,
         offsetof(struct tsd_thread_sockets, tcp)},
        {"unix_stream", "ingest.unix_stream", config->ingest.unix_stream, passed->unix_stream, true, SOCK_STREAM,
         offsetof(struct tsd_thread_sockets, unix_stream)},
        {"unix_datagram", "ingest.unix_datagram", config->ingest.unix_datagram, passed->unix_datagram, true, SOCK_DGRAM,
         offsetof(struct tsd_thread_sockets, unix_datagram)},
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(*endpoints) && !rc; i++) {
        const struct endpoint *endpoint = &endpoints[i];
        if (endpoint->passed >= 0) {
            add_passed_listener(o->state, endpoint->name, endpoint->passed);
            rc = share(o, endpoint, endpoint->passed);
        } else if (endpoint->value) {
            rc = endpoint->is_unix ? open_unix(o, endpoint) : open_inet(o, endpoint);
        }
    }
    if (!rc && passed->udp < 0) /* that of a passed socket (ReceiveBuffer=) may be larger than we can request */
        set_receive_buffers(o);
    return rc;
}

/* ---- Control ---- */

static int open_control(struct opener *o)
{
    const struct tsd_config *config = o->config;
    if (o->passed->control >= 0) {
        o->sockets->control = o->passed->control;
        add_passed_listener(o->state, "control", o->passed->control);
        return 0;
    }
    struct tsd_unix_socket socket_config = {.key = "control.socket",
                                            .path = config->control.socket,
                                            .type = SOCK_STREAM,
                                            .mode = config->control.socket_mode,
                                            .group = config->control.socket_group};
    if (!socket_config.path)
        return 0;
    int rc = tsd_unix_socket_open(&socket_config, &o->sockets->control, o->error);
    if (rc)
        return rc;
    o->sockets->control_file = socket_config.path;
    add_listener(o->state, "control", socket_config.path);
    return 0;
}

static int open_http(struct opener *o)
{
    if (o->passed->http >= 0) {
        o->sockets->http = o->passed->http;
        add_passed_listener(o->state, "http", o->passed->http);
        return 0;
    }
    struct tsd_inet_socket config = {.key = "control.http", .text = o->config->control.http, .type = SOCK_STREAM};
    struct sockaddr_storage address;
    if (!config.text)
        return 0;
    int rc = tsd_inet_socket_open(&config, 1, &o->sockets->http, &address, o->error);
    if (!rc)
        add_inet_listener(o->state, "http", (const struct sockaddr *)&address);
    return rc;
}

/* ---- Everything ---- */

void tsd_listen_init(struct tsd_sockets *sockets)
{
    *sockets = (struct tsd_sockets){.control = -1, .http = -1};
    for (unsigned i = 0; i < TSD_THREADS_MAX; i++)
        sockets->threads[i] = (struct tsd_thread_sockets){-1, -1, -1, -1};
}

int tsd_listen_open(const struct tsd_config *config, const struct tsd_passed *passed, struct tsd_state *state,
                    struct tsd_sockets *ret_sockets, struct tsd_socket_error *ret_error)
{
    struct tsd_sockets sockets;
    tsd_listen_init(&sockets);
    assert(config->ingest.threads > 0 && config->ingest.threads <= TSD_THREADS_MAX);
    sockets.n_threads = config->ingest.threads;
    struct opener opener = {config, passed, state, &sockets, ret_error};
    int rc = open_ingest(&opener);
    if (!rc)
        rc = open_http(&opener);
    if (!rc)
        rc = open_control(&opener);
    if (rc) {
        tsd_listen_close(&sockets);
        return rc;
    }
    *ret_sockets = sockets;
    return 0;
}

void tsd_listen_unlink_ingest(struct tsd_sockets *sockets)
{
    for (; sockets->n_ingest_files; sockets->n_ingest_files--)
        unlink(sockets->ingest_files[sockets->n_ingest_files - 1]);
}

void tsd_listen_unlink_control(struct tsd_sockets *sockets)
{
    if (sockets->control_file)
        unlink(sockets->control_file);
    sockets->control_file = NULL;
}

static void close_socket(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void tsd_listen_close(struct tsd_sockets *sockets)
{
    tsd_listen_unlink_ingest(sockets);
    tsd_listen_unlink_control(sockets);
    for (unsigned i = 0; i < sockets->n_threads; i++) {
        close_socket(&sockets->threads[i].udp);
        close_socket(&sockets->threads[i].tcp);
        close_socket(&sockets->threads[i].unix_stream);
        close_socket(&sockets->threads[i].unix_datagram);
    }
    close_socket(&sockets->control);
    close_socket(&sockets->http);
}
