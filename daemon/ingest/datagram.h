/*
 * Datagram input: UDP and Unix datagram sockets; each datagram is one message.
 *
 * The socket is read with recvmmsg() from a uv_poll callback, not with uv_udp: libuv does not support Unix datagrams
 * and cannot report how many datagrams the kernel dropped. A batch is read into one block of memory with a slot for
 * each datagram.
 */
#ifndef TSD_INGEST_DATAGRAM_H
#define TSD_INGEST_DATAGRAM_H

#include "daemon/ingest/ingest.h"
#include "daemon/ingest/shared.h"

#include <uv.h>

struct tsd_datagram;

/* What the reader needs from its ingest thread. */
struct tsd_datagram_config {
    uv_loop_t *loop;
    int fd;           /* bound, non-blocking; owned after a successful start */
    const char *kind; /* "udp" or "unix_datagram", for the peer's name */
    size_t slot;      /* bytes: the longest datagram that fits */
    struct tsd_ingest *ingest;
    struct tsd_shared *shared;
    void (*on_read)(void *data); /* after each batch */
    void *data;
};

int tsd_datagram_start(const struct tsd_datagram_config *config, struct tsd_datagram **ret_datagram) TS_MUST_USE;
/* Updates stats.datagrams_dropped from the kernel's count. */
void tsd_datagram_sample_drops(struct tsd_datagram *datagram);
/* Calls back from the loop; the reader has been freed by then. */
void tsd_datagram_close(struct tsd_datagram *datagram, void (*cb)(void *data), void *data);

#endif
