/* A bound Unix socket with its file: stale ones replaced, live ones refused, mode and group as asked. */
#ifndef TSD_UNIX_SOCKET_H
#define TSD_UNIX_SOCKET_H

#include "lib/base/error.h"

#include <stddef.h>

struct tsd_unix_socket {
    const char *key; /* of the configuration, for messages */
    const char *path;
    int type; /* SOCK_STREAM (listens) or SOCK_DGRAM */
    unsigned mode;
    const char *group; /* NULL: the process's own */
};

/* Non-blocking, close-on-exec. TS_EINVAL with the reason in words. */
int tsd_unix_socket_open(const struct tsd_unix_socket *how, int *ret_fd, char *ret_message, size_t size) TS_MUST_USE;

#endif
