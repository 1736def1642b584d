/* systemd: sockets it passes, states it is told. Without systemd these do nothing. */
#ifndef TSD_SYSTEMD_H
#define TSD_SYSTEMD_H

#include "lib/base/error.h"

#include <stddef.h>
#include <stdint.h>

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

struct tsd_config;
struct tsd_state;

/* Says where a passed socket goes over a key of the configuration that means another address. */
void tsd_sd_compare(const struct tsd_config *config, const struct tsd_passed *passed, const struct tsd_state *state);

/* status: one line for people, as `systemctl status` shows it. */
void tsd_sd_ready(const char *status);
void tsd_sd_status(const char *status);
void tsd_sd_reloading(void);
void tsd_sd_reloaded(void);
void tsd_sd_stopping(void);

/* How often the watchdog has to be fed at least, in ns; 0: there is none. */
int64_t tsd_sd_watchdog(void);
void tsd_sd_feed(void);

#endif
