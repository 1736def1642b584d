/*
 * A gate through which readers of the database pass, so that the writer can wait for a moment without any of them.
 *
 * SQLite starts its log from the beginning only while no reader uses it. If reads always overlap there is no such
 * moment, and the log grows. So the writer closes the gate for some milliseconds: readers inside finish, new ones wait.
 */
#ifndef TSD_BASE_GATE_H
#define TSD_BASE_GATE_H

#include "lib/base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct tsd_gate {
    uv_mutex_t lock;
    uv_cond_t changed; /* opened, or the last reader has left */
    unsigned inside;
    bool closed;
};

int tsd_gate_init(struct tsd_gate *gate) TS_MUST_USE; /* TS_ENOMEM */
void tsd_gate_deinit(struct tsd_gate *gate);

/* On any thread but the writer's. Waits while the gate is closed. */
void tsd_gate_enter(struct tsd_gate *gate);
void tsd_gate_leave(struct tsd_gate *gate);

/* On the writer's thread. Waits until nobody is inside, at most max_wait ns. False: somebody still is. */
bool tsd_gate_close(struct tsd_gate *gate, int64_t max_wait);
void tsd_gate_open(struct tsd_gate *gate); /* after tsd_gate_close(), whatever it returned */

#endif
