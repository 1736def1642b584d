#include "daemon/notify.h"

#include "daemon/base/clock.h"

#include <systemd/sd-daemon.h>

void tsd_notify_ready(const char *status)
{
    sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void tsd_notify_status(const char *status)
{
    sd_notifyf(0, "STATUS=%s", status);
}

void tsd_notify_reloading(void)
{
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(tsd_clock_mono() / 1000));
}

void tsd_notify_reloaded(void)
{
    sd_notify(0, "READY=1");
}

void tsd_notify_stopping(void)
{
    sd_notify(0, "STOPPING=1\nSTATUS=committing received messages");
}

int64_t tsd_notify_watchdog_limit(void)
{
    uint64_t usec = 0;
    return sd_watchdog_enabled(0, &usec) > 0 && usec < INT64_MAX / 1000 ? (int64_t)usec * 1000 : 0;
}

void tsd_notify_watchdog(void)
{
    sd_notify(0, "WATCHDOG=1");
}
