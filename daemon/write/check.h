/*
 * After an unclean shutdown: checks the integrity of the database in the background, on a thread and a read-only
 * connection of its own.
 *
 * The daemon works meanwhile. Damage is logged, and shown by /healthz and /v1/status for as long as the daemon runs.
 */
#ifndef TSD_WRITE_CHECK_H
#define TSD_WRITE_CHECK_H

#include "daemon/base/state.h"

struct tsd_check;

/* NULL if it cannot be started; the reason is logged, and the daemon continues without it. */
struct tsd_check *tsd_check_start(struct tsd_state *state);
/* Interrupts it if it is still running, and frees it. NULL is fine. */
struct tsd_check *tsd_check_stop(struct tsd_check *check);

#endif
