/*
 * After an unclean stop: the database is checked in the background, on a thread and a read-only connection of its own.
 *
 * The daemon works meanwhile. What is found wrong is logged, and shown by /healthz and /v1/status until the end.
 */
#ifndef TSD_WRITE_CHECK_H
#define TSD_WRITE_CHECK_H

#include "daemon/base/state.h"

struct tsd_check;

/* NULL, after a line in the log, where it cannot be started: the daemon does without. */
struct tsd_check *tsd_check_start(struct tsd_state *state);
/* Ends it, wherever it is. NULL is fine. */
struct tsd_check *tsd_check_stop(struct tsd_check *check);

#endif
