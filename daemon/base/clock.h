/*
 * Wall clock and monotonic clock. A wall clock can jump in both directions: each function states which jumps affect it.
 */
#ifndef TSD_BASE_CLOCK_H
#define TSD_BASE_CLOCK_H

#include <stdint.h>

/* Read once at the start, then constant. */
struct tsd_clock {
    int64_t wall_at_start; /* ns since the epoch */
    int64_t mono_at_start; /* ns */
    /* The age of data is measured from this: the horizon stored in the database (lib/store/store.h), or the wall clock
     * at the start. ns since the epoch. */
    int64_t horizon_at_start;
};

void tsd_clock_init(struct tsd_clock *clock);
int64_t tsd_clock_wall(void); /* ns since the epoch */
int64_t tsd_clock_mono(void); /* ns since an unspecified time; never goes back */

/* The wall clock, unless it was set back since the start: then the time it would have without that. */
int64_t tsd_clock_latest(const struct tsd_clock *clock);
/* horizon_at_start plus the monotonic time since then; jumps do not affect it. */
int64_t tsd_clock_horizon(const struct tsd_clock *clock);

#endif
