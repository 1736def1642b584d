/* Notifications to the service manager (sd_notify). Without systemd these do nothing. */
#ifndef TSD_NOTIFY_H
#define TSD_NOTIFY_H

#include <stdint.h>

/* status: one line, shown by `systemctl status`. */
void tsd_notify_ready(const char *status);
void tsd_notify_status(const char *status);
void tsd_notify_reloading(void);
void tsd_notify_reloaded(void);
void tsd_notify_stopping(void);

/* WatchdogSec= in ns: the time within which tsd_notify_watchdog() must be called again; 0: no watchdog. */
int64_t tsd_notify_watchdog_limit(void);
void tsd_notify_watchdog(void);

#endif
