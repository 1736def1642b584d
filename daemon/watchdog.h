/*
 * Reports to systemd while the daemon runs: a status line, and that no thread hangs (WatchdogSec=).
 *
 * The main loop notifies the watchdog only while all other threads make progress: the loop of an ingest thread turns at
 * least once a second; the writer must not spend more than half of WatchdogSec= in one cycle or step, or past the end
 * of its pause. A store that rejects commits is not a hang: the writer retries, and a restart would not help.
 *
 * All calls are made on the main loop. The timer does not keep the loop running; whoever ends the loop closes its
 * handle.
 */
#ifndef TSD_WATCHDOG_H
#define TSD_WATCHDOG_H

#include "daemon/base/state.h"
#include "daemon/ingest/thread.h"
#include "daemon/write/writer.h"

#include <stdbool.h>
#include <uv.h>

enum { TSD_WATCHDOG_NOTE_MAX = 300, TSD_WATCHDOG_STATUS_MAX = 1024 };

struct tsd_watchdog {
    uv_timer_t timer;
    struct tsd_state *state;
    struct tsd_thread *const *threads; /* unchanged while the loop runs */
    size_t n_threads;
    const struct tsd_writer *writer;
    int64_t limit;                        /* ns without progress after which a thread hangs; 0: no watchdog */
    bool hanging;                         /* a hang was logged, and its end was not */
    bool no_status;                       /* the daemon stops */
    int64_t status_time;                  /* of the last status; monotonic ns */
    uint64_t last_accepted;               /* messages at that time */
    char note[TSD_WATCHDOG_NOTE_MAX];     /* "": none */
    char status[TSD_WATCHDOG_STATUS_MAX]; /* the last one sent */
};

void tsd_watchdog_start(struct tsd_watchdog *watchdog, uv_loop_t *loop, struct tsd_state *state,
                        struct tsd_thread *const *threads, size_t n_threads, const struct tsd_writer *writer);
/* The status line includes this reason for a failed reload, until the next call. NULL: the reload succeeded. */
void tsd_watchdog_set_reload_error(struct tsd_watchdog *watchdog, const char *reason);
/* Sends no more status lines, because the daemon stops; the watchdog continues. */
void tsd_watchdog_end_status(struct tsd_watchdog *watchdog);

#endif
