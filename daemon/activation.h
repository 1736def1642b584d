/* Socket activation: sockets that systemd binds and passes to the daemon. Without systemd there are none. */
#ifndef TSD_ACTIVATION_H
#define TSD_ACTIVATION_H

#include "daemon/base/state.h"
#include "daemon/config/config.h"
#include "daemon/socket.h"
#include "lib/base/error.h"

/* Descriptors by FileDescriptorName=; -1: not passed. Non-blocking, close-on-exec. */
struct tsd_passed {
    int udp;
    int tcp;
    int unix_stream;
    int unix_datagram;
    int control;
    int http;
};

/*
 * Gets the passed sockets and removes them from the environment. Sockets with other names are closed and logged.
 * TS_EINVAL with ret_error: a name was used twice, or the type of a socket does not match its name.
 */
int tsd_activation_sockets(struct tsd_passed *ret_passed, struct tsd_socket_error *ret_error) TS_MUST_USE;

/*
 * Logs a warning for each passed socket whose key is configured to another address, which has no effect. The state has
 * the addresses in use.
 */
void tsd_activation_compare(const struct tsd_config *config, const struct tsd_passed *passed,
                            const struct tsd_state *state);

#endif
