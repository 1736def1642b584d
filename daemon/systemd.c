#include "daemon/systemd.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/base/state.h"
#include "daemon/config/config.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

struct kind {
    const char *name;
    size_t offset; /* in struct tsd_passed */
    int type;
    int listening;
    bool unix_only;
    bool inet_only;
};

static const struct kind kinds[] = {
    {"udp", offsetof(struct tsd_passed, udp), SOCK_DGRAM, -1, false, true},
    {"tcp", offsetof(struct tsd_passed, tcp), SOCK_STREAM, 1, false, true},
    {"unix_stream", offsetof(struct tsd_passed, unix_stream), SOCK_STREAM, 1, true, false},
    {"unix_datagram", offsetof(struct tsd_passed, unix_datagram), SOCK_DGRAM, -1, true, false},
    {"control", offsetof(struct tsd_passed, control), SOCK_STREAM, 1, true, false},
    {"http", offsetof(struct tsd_passed, http), SOCK_STREAM, 1, false, true},
};

static int take(struct tsd_passed *passed, int fd, const char *name, char *message, size_t size)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        const struct kind *kind = &kinds[i];
        if (strcmp(name, kind->name) != 0)
            continue;
        int *place = (int *)(void *)((char *)passed + kind->offset);
        if (*place >= 0) {
            snprintf(message, size, "two sockets named %s were passed; one is needed", name);
            return TS_EINVAL;
        }
        bool is_unix = sd_is_socket(fd, AF_UNIX, 0, -1) > 0;
        if (sd_is_socket(fd, AF_UNSPEC, kind->type, kind->listening) <= 0 || (kind->unix_only && !is_unix) ||
            (kind->inet_only && is_unix)) {
            snprintf(message, size, "the socket that was passed as %s is of another type", name);
            return TS_EINVAL;
        }
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        int off = 0;
        /* systemd sets it on all that it binds; on datagrams it would let any user bind the same port and take them. */
        if (kind->type == SOCK_DGRAM && kind->inet_only)
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &off, sizeof(off));
        *place = fd;
        return 0;
    }
    tsd_log_warning("a socket named %s was passed and is closed: the names are udp, tcp, unix_stream, unix_datagram,"
                    " control, http",
                    name);
    close(fd);
    return 0;
}

int tsd_sd_sockets(struct tsd_passed *ret_passed, char *ret_message, size_t size)
{
    struct tsd_passed passed = {-1, -1, -1, -1, -1, -1};
    char **names = NULL;
    int n = sd_listen_fds_with_names(1, &names);
    int rc = 0;
    if (n < 0) {
        snprintf(ret_message, size, "the sockets that systemd passes cannot be read: %s", strerror(-n));
        return TS_EINVAL;
    }
    for (int i = 0; i < n; i++) {
        if (!rc)
            rc = take(&passed, SD_LISTEN_FDS_START + i, names[i], ret_message, size);
        free(names[i]);
    }
    free(names);
    if (!rc)
        *ret_passed = passed;
    return rc;
}

/* Where an operator has changed a key, the socket unit has to be changed, and nobody else would say so. */
void tsd_sd_compare(const struct tsd_config *config, const struct tsd_passed *passed, const struct tsd_state *state)
{
    const struct {
        const char *name;
        int fd;
        const char *key;
        const char *value;
        const char *by_default;
    } pairs[] = {
        {"udp", passed->udp, "ingest.udp", config->ingest.udp, "127.0.0.1:8137"},
        {"tcp", passed->tcp, "ingest.tcp", config->ingest.tcp, "127.0.0.1:8137"},
        {"unix_stream", passed->unix_stream, "ingest.unix_stream", config->ingest.unix_stream, "off"},
        {"unix_datagram", passed->unix_datagram, "ingest.unix_datagram", config->ingest.unix_datagram, "off"},
        {"control", passed->control, "control.socket", config->control.socket, ""},
        {"http", passed->http, "control.http", config->control.http, "off"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
        const char *value = pairs[i].value ? pairs[i].value : "off";
        for (size_t j = 0; pairs[i].fd >= 0 && j < state->n_listeners; j++) {
            const struct tsd_listener *listener = &state->listeners[j];
            if (strcmp(listener->name, pairs[i].name) == 0 && strcmp(value, listener->address) != 0 &&
                strcmp(value, pairs[i].by_default) != 0)
                tsd_log_warning("%s is %s, but systemd passes a socket on %s, and that is used: change or mask the"
                                " socket unit",
                                pairs[i].key, value, listener->address);
        }
    }
    if (passed->udp >= 0 && config->ingest.threads > 1)
        tsd_log_info("the UDP socket that systemd passes is read by one of the %u ingest threads",
                     config->ingest.threads);
}

void tsd_sd_ready(const char *status)
{
    sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void tsd_sd_status(const char *status)
{
    sd_notifyf(0, "STATUS=%s", status);
}

void tsd_sd_reloading(void)
{
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(tsd_clock_mono() / 1000));
}

void tsd_sd_reloaded(void)
{
    sd_notify(0, "READY=1");
}

void tsd_sd_stopping(void)
{
    sd_notify(0, "STOPPING=1\nSTATUS=committing what was received");
}

int64_t tsd_sd_watchdog(void)
{
    uint64_t usec = 0;
    return sd_watchdog_enabled(0, &usec) > 0 && usec < INT64_MAX / 1000 ? (int64_t)usec * 1000 : 0;
}

void tsd_sd_feed(void)
{
    sd_notify(0, "WATCHDOG=1");
}
