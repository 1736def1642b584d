/*
 * Datagrams in: UDP and Unix datagram sockets, each datagram one message.
 *
 * The socket is read with recvmmsg() under a uv_poll, not by uv_udp: libuv has no Unix datagrams, cannot tell how many
 * datagrams the kernel dropped, and its batches have traps. A batch is read into one block of memory, slot by slot.
 */
#ifndef TSD_INGEST_DATAGRAM_H
#define TSD_INGEST_DATAGRAM_H

#include "daemon/ingest/ingest.h"

#include <uv.h>

struct tsd_shared;
struct tsd_datagram;

/* What the reader needs of its ingest thread. */
struct tsd_datagram_config {
    uv_loop_t *loop;
    int fd;           /* bound, non-blocking; the reader's own from success on */
    const char *kind; /* "udp" or "unix_datagram", for the peer's name */
    size_t slot;      /* bytes: the longest datagram that is taken whole */
    struct tsd_ingest *ingest;
    struct tsd_shared *shared;
    void (*on_read)(void *data); /* after each batch */
    void *data;
};

int tsd_datagram_start(const struct tsd_datagram_config *config, struct tsd_datagram **ret_datagram) TS_MUST_USE;
/* Brings stats.datagrams_dropped up to date with what the kernel says. */
void tsd_datagram_sample_drops(struct tsd_datagram *datagram);
/* The callback comes on the loop; then the memory is gone. */
void tsd_datagram_close(struct tsd_datagram *datagram, void (*cb)(void *data), void *data);

#endif
