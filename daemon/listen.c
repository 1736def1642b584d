/*
 * UDP and TCP spread over ingest threads by SO_REUSEPORT, one socket a thread. Since with it a second daemon of the
 * same user could bind the same port and take part of the messages, the port is first bound without it: that fails
 * where anybody is there. With one thread it is not set at all. A UDP socket never has SO_REUSEADDR, for the same
 * reason.
 *
 * A Unix listener, and a socket passed by systemd, is one socket whose descriptor is duplicated for each thread:
 * whoever is free accepts. Datagrams of a Unix or a passed socket are read by the first thread alone.
 *
 * Socket files. One that nobody listens on is left over from a daemon that was killed, and is replaced; a live one is
 * refused. It is bound under a umask that lets nobody in, and gets group and mode before it listens.
 */
#include "daemon/listen.h"

#include "daemon/base/address.h"
#include "daemon/base/log.h"
#include "daemon/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 512 };

static void add_listener(struct tsd_state *state, const char *name, const char *address)
{
    struct tsd_listener *listener = &state->listeners[state->n_listeners++];
    listener->name = name;
    snprintf(listener->address, sizeof(listener->address), "%s", address);
}

/* ---- UDP and TCP ---- */

struct inet {
    const char *name; /* the key's, for messages */
    struct sockaddr_storage address;
    socklen_t len;
    int type;
};

static int fail_inet(const struct inet *inet, const char *what, struct tsd_listen_error *error)
{
    char words[TSD_ADDRESS_MAX];
    int number = errno;
    snprintf(error->message, sizeof(error->message), "%s: cannot %s %s: %s%s", inet->name, what,
             tsd_address_text((const struct sockaddr *)&inet->address, words), strerror(number),
             number == EADDRINUSE ? "; is another daemon running?" : "");
    return TS_EINVAL;
}

static int bind_inet(const struct inet *inet, bool share, int *ret_fd, struct tsd_listen_error *error)
{
    int on = 1;
    int fd = socket(inet->address.ss_family, inet->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail_inet(inet, "open", error);
    /* A listener may bind while connections of its predecessor linger. */
    if (inet->type == SOCK_STREAM)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (inet->address.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if ((share && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on))) ||
        bind(fd, (const struct sockaddr *)&inet->address, inet->len)) {
        int rc = fail_inet(inet, "bind", error);
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

/* The address with the port that the kernel chose, where it was to choose. */
static int learn_address(struct inet *inet, int fd, struct tsd_listen_error *error)
{
    inet->len = sizeof(inet->address);
    return getsockname(fd, (struct sockaddr *)&inet->address, &inet->len) ? fail_inet(inet, "look at", error) : 0;
}

/* n sockets on one address. */
static int open_inet(struct inet *inet, unsigned n, int *fds, struct tsd_listen_error *error)
{
    unsigned open = 0;
    int rc = bind_inet(inet, false, &fds[0], error);
    if (rc)
        return rc;
    open = 1;
    rc = learn_address(inet, fds[0], error);
    if (!rc && n > 1) {
        close(fds[0]);
        for (open = 0; !rc && open < n; open++) {
            rc = bind_inet(inet, true, &fds[open], error);
            if (rc)
                break;
        }
    }
    for (unsigned i = 0; !rc && inet->type == SOCK_STREAM && i < n; i++) {
        if (listen(fds[i], BACKLOG))
            rc = fail_inet(inet, "listen on", error);
    }
    for (unsigned i = 0; rc && i < open; i++)
        close(fds[i]);
    return rc;
}

static int parse_inet(struct inet *inet, const char *name, const char *text, int type, struct tsd_listen_error *error)
{
    inet->name = name;
    inet->type = type;
    if (tsd_address_parse(text, &inet->address, &inet->len) == 0)
        return 0;
    snprintf(error->message, sizeof(error->message),
             "%s: %.200s is not an address such as 127.0.0.1:8137 or [::1]:8137", name, text);
    return TS_EINVAL;
}

static void note_inet(struct tsd_state *state, const struct inet *inet, const char *name)
{
    char words[TSD_ADDRESS_MAX];
    const struct sockaddr *address = (const struct sockaddr *)&inet->address;
    add_listener(state, name, tsd_address_text(address, words));
    if (!tsd_address_is_loopback(address))
        tsd_log_warning("%s listens beyond loopback, on %s: whoever reaches it may %s", inet->name, words,
                        strcmp(name, "http") == 0 ? "read all profiles" : "send profiles");
}

/* ---- The kernel's buffer ---- */

static void ask_for_buffer(int fd, uint64_t bytes)
{
    int wanted = bytes > INT32_MAX / 2 ? INT32_MAX / 2 : (int)bytes;
    int granted = 0;
    socklen_t len = sizeof(granted);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &wanted, sizeof(wanted)))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &wanted, sizeof(wanted));
    if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &len))
        return;
    granted /= 2; /* the kernel doubles it, for its own overhead */
    if (granted < wanted)
        tsd_log_warning("ingest.receive_buffer: %d bytes were asked for, the kernel grants %d; raise net.core.rmem_max",
                        wanted, granted);
}

/* ---- Shared descriptors ---- */

/* The first thread gets fd itself, the others duplicates. */
static int share(struct tsd_sockets *sockets, size_t offset, int fd, unsigned n, struct tsd_listen_error *error)
{
    for (unsigned i = 0; i < n; i++) {
        int *place = (int *)(void *)((char *)&sockets->threads[i] + offset);
        *place = i ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : fd;
        if (*place < 0) {
            snprintf(error->message, sizeof(error->message), "cannot share a socket: %s", strerror(errno));
            return TS_EINVAL;
        }
    }
    return 0;
}

static void note_passed(struct tsd_state *state, int fd, const char *name)
{
    struct inet inet = {.name = name};
    struct tsd_listen_error ignored;
    struct sockaddr_un address = {0};
    socklen_t len = sizeof(address);
    if (learn_address(&inet, fd, &ignored) == 0 && inet.address.ss_family != AF_UNIX) {
        note_inet(state, &inet, name);
        return;
    }
    if (getsockname(fd, (struct sockaddr *)&address, &len) == 0)
        add_listener(state, name, address.sun_path[0] ? address.sun_path : "(abstract)");
}

/* ---- One kind after the other ---- */

struct opening {
    const struct tsd_config *config;
    const struct tsd_passed *passed;
    struct tsd_state *state;
    struct tsd_sockets *sockets;
    struct tsd_listen_error *error;
};

static int open_ingest_inet(struct opening *o, const char *text, int passed, int type, size_t offset, const char *name,
                            const char *key)
{
    struct inet inet;
    int fds[TSD_THREADS_MAX];
    unsigned n = o->sockets->n_threads;
    bool datagrams = type == SOCK_DGRAM;
    if (passed >= 0) {
        note_passed(o->state, passed, name);
        return share(o->sockets, offset, passed, datagrams ? 1 : n, o->error);
    }
    if (!text)
        return 0;
    int rc = parse_inet(&inet, key, text, type, o->error);
    if (!rc)
        rc = open_inet(&inet, n, fds, o->error);
    for (unsigned i = 0; !rc && i < n; i++)
        *(int *)(void *)((char *)&o->sockets->threads[i] + offset) = fds[i];
    if (!rc)
        note_inet(o->state, &inet, name);
    return rc;
}

static int open_ingest_unix(struct opening *o, const char *path, int passed, int type, size_t offset, const char *name,
                            const char *key)
{
    unsigned n = type == SOCK_DGRAM ? 1 : o->sockets->n_threads;
    int fd = passed;
    if (fd >= 0) {
        note_passed(o->state, fd, name);
        return share(o->sockets, offset, fd, n, o->error);
    }
    if (!path)
        return 0;
    struct tsd_unix_socket how = {
        .key = key, .path = path, .type = type, .mode = o->config->ingest.socket_mode, .group = NULL};
    int rc = tsd_unix_socket_open(&how, &fd, o->error->message, sizeof(o->error->message));
    if (rc)
        return rc;
    o->sockets->made[o->sockets->n_made++] = path;
    add_listener(o->state, name, path);
    return share(o->sockets, offset, fd, n, o->error);
}

static int open_control(struct opening *o)
{
    const struct tsd_config *config = o->config;
    if (o->passed->control >= 0) {
        o->sockets->control = o->passed->control;
        note_passed(o->state, o->passed->control, "control");
        return 0;
    }
    struct tsd_unix_socket how = {.key = "control.socket",
                                  .path = config->control.socket,
                                  .type = SOCK_STREAM,
                                  .mode = config->control.socket_mode,
                                  .group = config->control.socket_group};
    if (!how.path)
        return 0;
    int rc = tsd_unix_socket_open(&how, &o->sockets->control, o->error->message, sizeof(o->error->message));
    if (rc)
        return rc;
    o->sockets->made_control = how.path;
    add_listener(o->state, "control", how.path);
    return 0;
}

static int open_http(struct opening *o)
{
    struct inet inet;
    if (o->passed->http >= 0) {
        o->sockets->http = o->passed->http;
        note_passed(o->state, o->passed->http, "http");
        return 0;
    }
    if (!o->config->control.http)
        return 0;
    int rc = parse_inet(&inet, "control.http", o->config->control.http, SOCK_STREAM, o->error);
    if (!rc)
        rc = open_inet(&inet, 1, &o->sockets->http, o->error);
    if (!rc)
        note_inet(o->state, &inet, "http");
    return rc;
}

static int open_all(struct opening *o)
{
    const struct tsd_config *config = o->config;
    const struct tsd_passed *passed = o->passed;
    int rc = open_ingest_inet(o, config->ingest.udp, passed->udp, SOCK_DGRAM, offsetof(struct tsd_thread_sockets, udp),
                              "udp", "ingest.udp");
    if (!rc)
        rc = open_ingest_inet(o, config->ingest.tcp, passed->tcp, SOCK_STREAM, offsetof(struct tsd_thread_sockets, tcp),
                              "tcp", "ingest.tcp");
    if (!rc)
        rc = open_ingest_unix(o, config->ingest.unix_stream, passed->unix_stream, SOCK_STREAM,
                              offsetof(struct tsd_thread_sockets, unix_stream), "unix_stream", "ingest.unix_stream");
    if (!rc)
        rc = open_ingest_unix(o, config->ingest.unix_datagram, passed->unix_datagram, SOCK_DGRAM,
                              offsetof(struct tsd_thread_sockets, unix_datagram), "unix_datagram",
                              "ingest.unix_datagram");
    if (!rc)
        rc = open_http(o);
    if (!rc)
        rc = open_control(o);
    for (unsigned i = 0; !rc && i < o->sockets->n_threads; i++) {
        if (o->sockets->threads[i].udp >= 0 && passed->udp < 0) /* ReceiveBuffer= may exceed what we can ask for */
            ask_for_buffer(o->sockets->threads[i].udp, config->ingest.receive_buffer);
    }
    return rc;
}

int tsd_listen_open(const struct tsd_config *config, const struct tsd_passed *passed, struct tsd_state *state,
                    struct tsd_sockets *ret_sockets, struct tsd_listen_error *ret_error)
{
    struct tsd_sockets sockets = {.n_threads = config->ingest.threads, .control = -1, .http = -1};
    for (unsigned i = 0; i < TSD_THREADS_MAX; i++)
        sockets.threads[i] = (struct tsd_thread_sockets){-1, -1, -1, -1};
    struct opening opening = {config, passed, state, &sockets, ret_error};
    int rc = open_all(&opening);
    if (rc) {
        tsd_listen_close(&sockets);
        return rc;
    }
    *ret_sockets = sockets;
    return 0;
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void tsd_listen_unlink_ingest(struct tsd_sockets *sockets)
{
    for (; sockets->n_made; sockets->n_made--)
        unlink(sockets->made[sockets->n_made - 1]);
}

void tsd_listen_unlink_control(struct tsd_sockets *sockets)
{
    if (sockets->made_control)
        unlink(sockets->made_control);
    sockets->made_control = NULL;
}

void tsd_listen_close(struct tsd_sockets *sockets)
{
    tsd_listen_unlink_ingest(sockets);
    tsd_listen_unlink_control(sockets);
    for (unsigned i = 0; i < sockets->n_threads; i++) {
        close_one(&sockets->threads[i].udp);
        close_one(&sockets->threads[i].tcp);
        close_one(&sockets->threads[i].unix_stream);
        close_one(&sockets->threads[i].unix_datagram);
    }
    close_one(&sockets->control);
    close_one(&sockets->http);
}
