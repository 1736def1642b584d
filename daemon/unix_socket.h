/* Opens a Unix socket at a path: replaces an unused socket file, sets mode and group. */
#ifndef TSD_UNIX_SOCKET_H
#define TSD_UNIX_SOCKET_H

#include "daemon/socket.h"
#include "lib/base/error.h"

struct tsd_unix_socket {
    const char *key; /* of the configuration, for messages */
    const char *path;
    int type; /* SOCK_STREAM (listens) or SOCK_DGRAM */
    unsigned mode;
    const char *group; /* NULL: the group of the process */
};

/* Non-blocking, close-on-exec. TS_EINVAL (a restart does not help) or TS_EUNAVAILABLE with ret_error. */
int tsd_unix_socket_open(const struct tsd_unix_socket *config, int *ret_fd,
                         struct tsd_socket_error *ret_error) TS_MUST_USE;

/* Whether a socket can have this path: its folder exists, and no file of another kind is in the way. Changes nothing.
 * Permissions are not checked. TS_EINVAL with ret_error. */
int tsd_unix_socket_check(const struct tsd_unix_socket *config, struct tsd_socket_error *ret_error) TS_MUST_USE;

#endif
