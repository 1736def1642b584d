/* Opens UDP sockets and TCP listeners, one or several on one address. */
#ifndef TSD_INET_SOCKET_H
#define TSD_INET_SOCKET_H

#include "daemon/socket.h"
#include "lib/base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct tsd_inet_socket {
    const char *key;  /* of the configuration, for messages */
    const char *text; /* "127.0.0.1:8137"; port 0: the kernel chooses one */
    int type;         /* SOCK_STREAM (listens) or SOCK_DGRAM */
};

/*
 * Opens n sockets on the same address, non-blocking and close-on-exec. ret_address is the address with the port in use.
 * TS_EINVAL (a restart does not help) or TS_EUNAVAILABLE with ret_error.
 */
int tsd_inet_socket_open(const struct tsd_inet_socket *config, unsigned n, int *ret_fds,
                         struct sockaddr_storage *ret_address, struct tsd_socket_error *ret_error) TS_MUST_USE;

/*
 * Whether the host of the address exists on this system. Binds a socket for a moment, to a port that the kernel chooses
 * and not to the one of the address, which a running daemon may have. The text must be an address. TS_EINVAL with
 * ret_error: it does not exist.
 */
int tsd_inet_socket_check(const struct tsd_inet_socket *config, struct tsd_socket_error *ret_error) TS_MUST_USE;

/* Requests a receive buffer in the kernel. False: the kernel granted only ret_granted bytes. */
bool tsd_inet_socket_set_buffer(int fd, uint64_t bytes, int *ret_granted);

#endif
