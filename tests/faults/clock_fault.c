/*
 * A library to preload: the wall clock is off by the number of nanoseconds in the first slot of the file $CLOCK_FAULT.
 * The monotonic clock is not changed, as when an administrator or NTP sets the time.
 */
#include "tests/faults/fault_slots.h"

#include <stddef.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

static fault_slot *slots;

static __attribute__((constructor)) void start(void)
{
    slots = fault_slots_map("CLOCK_FAULT");
}

/* A direct system call, because the functions of libc are replaced here. */
static int read_clock(clockid_t id, struct timespec *now)
{
    enum { NS = 1000000000 };
    long rc = syscall(SYS_clock_gettime, id, now);
    if (rc || !slots || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
        return (int)rc;
    int64_t offset = atomic_load(&slots[0]);
    now->tv_sec += offset / NS;
    now->tv_nsec += offset % NS;
    if (now->tv_nsec < 0) {
        now->tv_nsec += NS;
        now->tv_sec--;
    } else if (now->tv_nsec >= NS) {
        now->tv_nsec -= NS;
        now->tv_sec++;
    }
    return 0;
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    return read_clock(id, now);
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    (void)zone;
    struct timespec precise;
    int rc = read_clock(CLOCK_REALTIME, &precise);
    if (!rc) {
        now->tv_sec = precise.tv_sec;
        now->tv_usec = precise.tv_nsec / 1000;
    }
    return rc;
}

time_t time(time_t *ret)
{
    struct timespec now = {0, 0};
    read_clock(CLOCK_REALTIME, &now);
    if (ret)
        *ret = now.tv_sec;
    return now.tv_sec;
}
