/* systemd: sockets it passes, states it is told. Without systemd these do nothing. */
#ifndef TSD_SD_H
#define TSD_SD_H

#include "lib/error.h"

#include <stddef.h>

/* By FileDescriptorName; -1 where none was passed. Non-blocking, close-on-exec. */
struct tsd_passed {
    int udp;
    int tcp;
    int unix_stream;
    int unix_datagram;
    int control;
    int http;
};

/* TS_EINVAL with the reason in words: a name twice, or a socket of another type than its name says. Takes them out of
   the environment. Sockets of other names are closed and logged. */
int tsd_sd_sockets(struct tsd_passed *ret_passed, char *ret_message, size_t size) TS_MUST_USE;

void tsd_sd_ready(const char *status);
void tsd_sd_reloading(void);
void tsd_sd_stopping(void);

#endif
