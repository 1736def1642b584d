/*
 * Clocks. A wall clock may jump; what is judged by it says in which direction a jump must not matter.
 */
#ifndef TSD_BASE_CLOCK_H
#define TSD_BASE_CLOCK_H

#include <stdint.h>

/* Taken once at start: what the wall clock would say if it had run evenly since. */
struct tsd_clock {
    int64_t wall_at_start; /* ns since the epoch */
    int64_t mono_at_start; /* ns */
    /* What age is measured by, as the database has kept it (lib/store/store.h); without one the wall clock at the
     * start. */
    int64_t horizon_at_start;
};

void tsd_clock_init(struct tsd_clock *clock);
int64_t tsd_clock_wall(void);
int64_t tsd_clock_mono(void);
/* The later of the wall clock and the even one. */
int64_t tsd_clock_latest(const struct tsd_clock *clock);
/* Advanced by monotonic time alone. */
int64_t tsd_clock_horizon(const struct tsd_clock *clock);

#endif
