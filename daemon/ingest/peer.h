/*
 * The sender of a message, as text: "udp 127.0.0.1:5555", "tcp [::1]:40000", "unix_stream pid 812 uid 1000".
 * The text is made only when a message is rejected, so an accepted message costs nothing here.
 */
#ifndef TSD_INGEST_PEER_H
#define TSD_INGEST_PEER_H

#include <stddef.h>
#include <sys/socket.h>

enum { TSD_PEER_MAX = 128 };

struct tsd_peer {
    const char *kind;               /* udp, tcp, unix_stream, unix_datagram */
    const struct sockaddr *address; /* of a datagram; else NULL */
    socklen_t len;
    int fd; /* of a stream, to look up its peer; else -1 */
};

void tsd_peer_describe(const struct tsd_peer *peer, char *text, size_t size);

#endif
