/*
 * Happy path: readable -> recvmmsg -> each slot through ingest -> on_read -> again, at most BATCHES times or until the
 * socket would block. If datagrams are left, the next poll is ready at once.
 *
 * Failures: a datagram longer than its slot is cut by the kernel and rejected as truncated; above the memory limit
 * datagrams are read, dropped and counted; an error of the socket itself (ENOMEM, ICMP on a connected socket) is
 * transient, and the next poll retries.
 *
 * Close: the poll handle's close callback closes the descriptor and frees the reader.
 */
#include "daemon/ingest/datagram.h"

#include "daemon/ingest/peer.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* 16 slots of 64 KiB fit into a second-level cache; more per call did not make small datagrams cheaper. */
enum { SLOTS = 16, BATCHES = 16 };

struct tsd_datagram {
    uv_poll_t poll;
    struct tsd_datagram_config config;
    char *memory;   /* SLOTS * slot, mapped: only pages that datagrams reach become resident */
    uint32_t drops; /* the kernel's count at the last sample; it wraps */
    struct mmsghdr messages[SLOTS];
    struct iovec slots[SLOTS];
    struct sockaddr_storage peers[SLOTS];
    void (*closed)(void *data);
    void *closed_data;
};

static void process(struct tsd_datagram *datagram, unsigned i)
{
    const struct tsd_datagram_config *config = &datagram->config;
    const struct msghdr *header = &datagram->messages[i].msg_hdr;
    const char *bytes = datagram->slots[i].iov_base;
    size_t len = datagram->messages[i].msg_len;
    struct tsd_peer peer = {.kind = config->kind, .fd = -1, .len = header->msg_namelen};
    peer.address = (const struct sockaddr *)&datagram->peers[i];
    struct ts_fault fault;
    if (header->msg_flags & MSG_TRUNC) {
        fault.offset = config->slot;
        snprintf(fault.message, sizeof(fault.message),
                 "the datagram is longer than %zu bytes; split the profile (part) or use a stream", config->slot);
        tsd_ingest_reject(config->ingest, TS_TRUNCATED, bytes, len, &peer, &fault);
        return;
    }
    int rc = tsd_ingest_message(config->ingest, bytes, len, &peer, &fault);
    if (rc == TS_HELLO) {
        fault.offset = 0;
        snprintf(fault.message, sizeof(fault.message), "a hello is for streams; datagrams are never acknowledged");
        tsd_ingest_reject(config->ingest, TS_BAD_SHAPE, bytes, len, &peer, &fault);
    } else if (rc < 0) {
        tsd_add(&config->ingest->stats.datagrams_over_memory, 1);
    }
}

static int read_batch(struct tsd_datagram *datagram)
{
    for (unsigned i = 0; i < SLOTS; i++)
        datagram->messages[i].msg_hdr.msg_namelen = sizeof(datagram->peers[i]);
    int n;
    do {
        n = recvmmsg(datagram->config.fd, datagram->messages, SLOTS, MSG_DONTWAIT, NULL);
    } while (n < 0 && errno == EINTR);
    return n;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct tsd_datagram *datagram = poll->data;
    const struct tsd_datagram_config *config = &datagram->config;
    if (status < 0) {
        /* A pending error of the socket: reading SO_ERROR clears it; libuv has stopped the poll. */
        int error = 0;
        socklen_t len = sizeof(error);
        getsockopt(config->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        uv_poll_start(poll, UV_READABLE, on_readable);
    }
    for (int round = 0; round < BATCHES; round++) {
        int n = read_batch(datagram);
        if (n <= 0)
            break;
        if (tsd_shared_waiting(config->shared) >= atomic_load(&config->shared->memory_limit)) {
            tsd_add(&config->ingest->stats.datagrams_over_memory, (uint64_t)n);
        } else {
            for (unsigned i = 0; i < (unsigned)n; i++)
                process(datagram, i);
        }
        config->on_read(config->data);
        if (n < SLOTS)
            break; /* the socket was empty; if more has arrived, the poll reports it */
    }
}

/* Datagrams dropped by the kernel since the last call. */
static uint32_t count_drops(struct tsd_datagram *datagram)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof(info);
    if (getsockopt(datagram->config.fd, SOL_SOCKET, SO_MEMINFO, info, &len))
        return 0;
    uint32_t more = info[SK_MEMINFO_DROPS] - datagram->drops;
    datagram->drops = info[SK_MEMINFO_DROPS];
    return more;
}

int tsd_datagram_start(const struct tsd_datagram_config *config, struct tsd_datagram **ret_datagram)
{
    struct tsd_datagram *datagram = calloc(1, sizeof(*datagram));
    if (!datagram)
        return TS_ENOMEM;
    datagram->config = *config;
    datagram->poll.data = datagram;
    datagram->memory = mmap(NULL, SLOTS * config->slot, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (datagram->memory == MAP_FAILED) {
        free(datagram);
        return TS_ENOMEM;
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        datagram->slots[i] = (struct iovec){datagram->memory + i * config->slot, config->slot};
        datagram->messages[i].msg_hdr =
            (struct msghdr){.msg_name = &datagram->peers[i], .msg_iov = &datagram->slots[i], .msg_iovlen = 1};
    }
    if (uv_poll_init(config->loop, &datagram->poll, config->fd)) {
        munmap(datagram->memory, SLOTS * config->slot);
        free(datagram);
        return TS_ENOMEM;
    }
    uv_poll_start(&datagram->poll, UV_READABLE, on_readable); /* cannot fail on a handle that is not closing */
    count_drops(datagram); /* drops of an inherited socket before this process do not count */
    *ret_datagram = datagram;
    return 0;
}

void tsd_datagram_sample_drops(struct tsd_datagram *datagram)
{
    tsd_add(&datagram->config.ingest->stats.datagrams_dropped, count_drops(datagram));
}

static void on_closed(uv_handle_t *handle)
{
    struct tsd_datagram *datagram = handle->data;
    void (*closed)(void *) = datagram->closed;
    void *data = datagram->closed_data;
    close(datagram->config.fd);
    munmap(datagram->memory, SLOTS * datagram->config.slot);
    free(datagram);
    closed(data);
}

void tsd_datagram_close(struct tsd_datagram *datagram, void (*cb)(void *data), void *data)
{
    tsd_datagram_sample_drops(datagram);
    datagram->closed = cb;
    datagram->closed_data = data;
    uv_close((uv_handle_t *)&datagram->poll, on_closed);
}
