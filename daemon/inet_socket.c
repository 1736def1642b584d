/*
 * With several threads, each has its own socket on the same address (SO_REUSEPORT), and the kernel distributes the
 * traffic. This option would also let a second daemon of the same user bind the address and receive part of the
 * messages. Therefore the address is first bound without it, which fails if it is in use. With one thread the option
 * is never set; SO_REUSEADDR is never set on UDP, for the same reason.
 *
 * [::], "*" and an empty host: one socket receives IPv6 and IPv4, so a key needs only one address. Any other address is
 * of one family.
 */
#include "daemon/inet_socket.h"

#include "daemon/base/address.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct target {
    const struct tsd_inet_socket *config;
    struct sockaddr_storage address;
    socklen_t len;
};

static int fail(const struct target *target, const char *action, struct tsd_socket_error *error)
{
    char text[TSD_ADDRESS_MAX];
    int number = errno;
    snprintf(error->message, sizeof(error->message), "%s: cannot %s %s: %s%s", target->config->key, action,
             tsd_address_text((const struct sockaddr *)&target->address, text), strerror(number),
             number == EADDRINUSE ? "; is another daemon running?" : "");
    return ts_errno_needs_repair(number) ? TS_EINVAL : TS_EUNAVAILABLE;
}

/* Without IPv6 in the kernel, "*" and an empty host mean all IPv4 addresses. */
static int open_socket(struct target *target)
{
    int type = target->config->type | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int fd = socket(target->address.ss_family, type, 0);
    if (fd >= 0 || errno != EAFNOSUPPORT || target->config->text[0] == '[')
        return fd;
    if (!tsd_address_is_both_families((const struct sockaddr *)&target->address))
        return fd;
    struct sockaddr_in all = {.sin_family = AF_INET};
    all.sin_port = ((const struct sockaddr_in6 *)&target->address)->sin6_port;
    memset(&target->address, 0, sizeof(target->address));
    memcpy(&target->address, &all, sizeof(all));
    target->len = sizeof(all);
    return socket(AF_INET, type, 0);
}

static int bind_socket(struct target *target, bool reuse_port, int *ret_fd, struct tsd_socket_error *error)
{
    int on = 1;
    int fd = open_socket(target);
    if (fd < 0)
        return fail(target, "open", error);
    /* Bind although connections of a previous daemon are in TIME_WAIT. */
    if (target->config->type == SOCK_STREAM)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    /* The default is a setting of the system (net.ipv6.bindv6only). */
    int v6only = !tsd_address_is_both_families((const struct sockaddr *)&target->address);
    if (target->address.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only));
    if ((reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on))) ||
        bind(fd, (const struct sockaddr *)&target->address, target->len)) {
        int rc = fail(target, "bind", error);
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

/* Binds one socket, which determines the port; then, for several, closes it and binds all with SO_REUSEPORT. */
static int bind_sockets(struct target *target, unsigned n, int *fds, unsigned *ret_open, struct tsd_socket_error *error)
{
    int rc = bind_socket(target, false, &fds[0], error);
    if (rc)
        return rc;
    *ret_open = 1;
    target->len = sizeof(target->address);
    if (getsockname(fds[0], (struct sockaddr *)&target->address, &target->len))
        return fail(target, "get the address of", error);
    if (n == 1)
        return 0;
    close(fds[0]);
    for (*ret_open = 0; !rc && *ret_open < n;) {
        rc = bind_socket(target, true, &fds[*ret_open], error);
        if (!rc)
            ++*ret_open;
    }
    return rc;
}

int tsd_inet_socket_open(const struct tsd_inet_socket *config, unsigned n, int *ret_fds,
                         struct sockaddr_storage *ret_address, struct tsd_socket_error *ret_error)
{
    struct target target = {.config = config};
    unsigned n_open = 0;
    assert(n > 0);
    if (tsd_address_parse(config->text, &target.address, &target.len)) {
        snprintf(ret_error->message, sizeof(ret_error->message),
                 "%s: %.200s is not an address such as 127.0.0.1:8137 or [::1]:8137", config->key, config->text);
        return TS_EINVAL;
    }
    int rc = bind_sockets(&target, n, ret_fds, &n_open, ret_error);
    for (unsigned i = 0; !rc && config->type == SOCK_STREAM && i < n; i++) {
        if (listen(ret_fds[i], TSD_BACKLOG))
            rc = fail(&target, "listen on", ret_error);
    }
    if (rc) {
        while (n_open)
            close(ret_fds[--n_open]);
        return rc;
    }
    assert(n_open == n);
    *ret_address = target.address;
    return 0;
}

/* In a sandbox without IP the sockets come from systemd, which has the addresses. */
static bool has_ip(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno != EAFNOSUPPORT;
    close(fd);
    return true;
}

int tsd_inet_socket_check(const struct tsd_inet_socket *config, struct tsd_socket_error *ret_error)
{
    struct target target = {.config = config};
    if (!has_ip() || tsd_address_parse(config->text, &target.address, &target.len))
        return 0;
    in_port_t *port = target.address.ss_family == AF_INET ? &((struct sockaddr_in *)&target.address)->sin_port
                                                          : &((struct sockaddr_in6 *)&target.address)->sin6_port;
    in_port_t configured = *port;
    int fd = open_socket(&target);
    if (fd < 0)
        return errno == EAFNOSUPPORT ? fail(&target, "open", ret_error) : 0;
    *port = 0;
    int rc = bind(fd, (const struct sockaddr *)&target.address, target.len) &&
             (errno == EADDRNOTAVAIL || errno == EINVAL || errno == ENODEV);
    *port = configured;
    if (rc)
        rc = fail(&target, "bind", ret_error);
    close(fd);
    return rc;
}

bool tsd_inet_socket_set_buffer(int fd, uint64_t bytes, int *ret_granted)
{
    int requested = bytes > INT32_MAX / 2 ? INT32_MAX / 2 : (int)bytes;
    int granted = 0;
    socklen_t len = sizeof(granted);
    /* SO_RCVBUFFORCE needs CAP_NET_ADMIN and is not limited by net.core.rmem_max. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &requested, sizeof(requested)))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &requested, sizeof(requested));
    if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &len))
        return true;
    granted /= 2; /* the kernel doubles the value, for its own overhead */
    *ret_granted = granted;
    return granted >= requested;
}
