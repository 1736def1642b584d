#include "daemon/activation.h"

#include "daemon/base/address.h"
#include "daemon/base/log.h"
#include "daemon/config/keys.h"

#include <assert.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

struct kind {
    const char *name; /* FileDescriptorName= */
    size_t offset;    /* in struct tsd_passed */
    int type;
    bool is_unix;
};

static const struct kind kinds[] = {
    {"udp", offsetof(struct tsd_passed, udp), SOCK_DGRAM, false},
    {"tcp", offsetof(struct tsd_passed, tcp), SOCK_STREAM, false},
    {"unix_stream", offsetof(struct tsd_passed, unix_stream), SOCK_STREAM, true},
    {"unix_datagram", offsetof(struct tsd_passed, unix_datagram), SOCK_DGRAM, true},
    {"control", offsetof(struct tsd_passed, control), SOCK_STREAM, true},
    {"http", offsetof(struct tsd_passed, http), SOCK_STREAM, false},
};
enum { N_KINDS = sizeof(kinds) / sizeof(*kinds) };

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        if (strcmp(name, kinds[i].name) == 0)
            return &kinds[i];
    }
    return NULL;
}

static bool has_type(const struct kind *kind, int fd)
{
    int listening = kind->type == SOCK_STREAM ? 1 : -1;
    bool is_unix = sd_is_socket(fd, AF_UNIX, 0, -1) > 0;
    return sd_is_socket(fd, AF_UNSPEC, kind->type, listening) > 0 && is_unix == kind->is_unix;
}

static int accept_socket(struct tsd_passed *passed, int fd, const char *name, struct tsd_socket_error *error)
{
    const struct kind *kind = find_kind(name);
    if (!kind) {
        tsd_log_warning("systemd passed a socket named %s, which is closed: expected udp, tcp, unix_stream,"
                        " unix_datagram, control or http",
                        name);
        close(fd);
        return 0;
    }
    int *slot = (int *)(void *)((char *)passed + kind->offset);
    if (*slot >= 0) {
        snprintf(error->message, sizeof(error->message), "systemd passed two sockets named %s; only one is supported",
                 name);
        return TS_EINVAL;
    }
    if (!has_type(kind, fd)) {
        snprintf(error->message, sizeof(error->message), "systemd passed a socket named %s that has another type",
                 name);
        return TS_EINVAL;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    /* systemd sets SO_REUSEADDR on all sockets. On UDP it would let any user bind the same port and receive from it. */
    int off = 0;
    if (kind->type == SOCK_DGRAM && !kind->is_unix)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &off, sizeof(off));
    *slot = fd;
    return 0;
}

int tsd_activation_sockets(struct tsd_passed *ret_passed, struct tsd_socket_error *ret_error)
{
    struct tsd_passed passed = {-1, -1, -1, -1, -1, -1};
    char **names = NULL;
    int n = sd_listen_fds_with_names(1, &names);
    int rc = 0;
    if (n < 0) {
        snprintf(ret_error->message, sizeof(ret_error->message), "cannot read the sockets that systemd passed: %s",
                 strerror(-n));
        return TS_EINVAL;
    }
    for (int i = 0; i < n; i++) {
        if (!rc)
            rc = accept_socket(&passed, SD_LISTEN_FDS_START + i, names[i], ret_error);
        free(names[i]);
    }
    free(names);
    if (!rc)
        *ret_passed = passed;
    return rc;
}

/* ---- Comparison with the configuration ---- */

static const char *address_of(const struct tsd_state *state, const char *name)
{
    for (size_t i = 0; i < state->n_listeners; i++) {
        if (strcmp(state->listeners[i].name, name) == 0)
            return state->listeners[i].address;
    }
    return NULL;
}

/* Two texts of one address (*:8137 and [::]:8137), or the same path. */
static bool is_same(const char *a, const char *b)
{
    struct sockaddr_storage address_a, address_b;
    socklen_t len_a, len_b;
    if (strcmp(a, b) == 0)
        return true;
    return !tsd_address_parse(a, &address_a, &len_a) && !tsd_address_parse(b, &address_b, &len_b) && len_a == len_b &&
           memcmp(&address_a, &address_b, len_a) == 0;
}

/* A key with its default is not compared: the operator did not set it. */
static void compare(const struct tsd_state *state, const char *name, const char *key_name, const char *value)
{
    const struct tsd_config_key *key = tsd_config_find_key(key_name);
    const char *address = address_of(state, name);
    assert(key);
    if (!value)
        value = "off";
    if (address && !is_same(value, address) && strcmp(value, key->default_text) != 0)
        tsd_log_warning("%s is %s, but is replaced by the socket that systemd passed, %s: change or mask the socket"
                        " unit",
                        key_name, value, address);
}

void tsd_activation_compare(const struct tsd_config *config, const struct tsd_passed *passed,
                            const struct tsd_state *state)
{
    const struct {
        int fd;
        const char *name;
        const char *key;
        const char *value;
    } sockets[] = {
        {passed->udp, "udp", "ingest.udp", config->ingest.udp},
        {passed->tcp, "tcp", "ingest.tcp", config->ingest.tcp},
        {passed->unix_stream, "unix_stream", "ingest.unix_stream", config->ingest.unix_stream},
        {passed->unix_datagram, "unix_datagram", "ingest.unix_datagram", config->ingest.unix_datagram},
        {passed->control, "control", "control.socket", config->control.socket},
        {passed->http, "http", "control.http", config->control.http},
    };
    for (size_t i = 0; i < sizeof(sockets) / sizeof(*sockets); i++) {
        if (sockets[i].fd >= 0)
            compare(state, sockets[i].name, sockets[i].key, sockets[i].value);
    }
    if (passed->udp >= 0 && config->ingest.threads > 1)
        tsd_log_info("only one of the %u ingest threads reads the UDP socket that systemd passed",
                     config->ingest.threads);
}
