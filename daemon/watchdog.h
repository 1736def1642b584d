/*
 * What systemd is told while the daemon runs: a line of status, and that it lives.
 *
 * The watchdog is fed from the main loop, and only while every other thread gets on: an ingest thread's loop comes by
 * every second, and the writer is not at one cycle or step, or past the time until which it waits, for longer than half
 * of WatchdogSec=. A store that refuses is no hang: it is asked again and again, and a restart would not help it.
 *
 * All calls on the main loop. The timer does not keep the loop running; whoever ends the loop closes its handle.
 */
#ifndef TSD_WATCHDOG_H
#define TSD_WATCHDOG_H

#include "daemon/base/state.h"
#include "daemon/ingest/thread.h"
#include "daemon/write/writer.h"

#include <stdbool.h>
#include <uv.h>

enum { TSD_WATCH_NOTE_MAX = 300 };

struct tsd_watch {
    uv_timer_t timer;
    struct tsd_state *state;
    struct tsd_thread *const *threads; /* in place while the loop runs */
    size_t n_threads;
    const struct tsd_writer *writer;
    int64_t limit; /* ns that a thread may stand still; 0: there is no watchdog */
    int64_t looked;
    uint64_t accepted; /* at that time */
    bool starving;     /* it has been said that a thread stands still */
    bool quiet;
    char note[TSD_WATCH_NOTE_MAX]; /* "": none */
    char told[1024];               /* the status sent last */
};

void tsd_watch_start(struct tsd_watch *watch, uv_loop_t *loop, struct tsd_state *state,
                     struct tsd_thread *const *threads, size_t n_threads, const struct tsd_writer *writer);
/* Why a reload was refused: part of the status from now on. NULL: it was not. */
void tsd_watch_note(struct tsd_watch *watch, const char *note);
/* The daemon stops and says so itself: no more status, only signs of life. */
void tsd_watch_quiet(struct tsd_watch *watch);

#endif
