/*
 * Hands what another thread has completed back to the loop: posted on any thread, called on the loop in the order of
 * posting.
 */
#ifndef TSD_CONTROL_COMPLETIONS_H
#define TSD_CONTROL_COMPLETIONS_H

#include "lib/base/error.h"

#include <stdbool.h>
#include <sys/queue.h>
#include <uv.h>

/* Owned by the caller; in place until the callback. May be posted again from then on. */
struct tsd_completion {
    void (*cb)(struct tsd_completion *completion);
    STAILQ_ENTRY(tsd_completion) entry;
};

struct tsd_completions {
    uv_async_t async;
    uv_mutex_t lock; /* over posted */
    STAILQ_HEAD(, tsd_completion) posted;
    void (*on_closed)(void *data);
    void *closed_data;
};

int tsd_completions_init(struct tsd_completions *completions, uv_loop_t *loop) TS_MUST_USE; /* TS_ENOMEM */
void tsd_completions_post(struct tsd_completions *completions, struct tsd_completion *completion);
/* When nothing will be posted any more; may be called by a completion. The callback comes at a later turn of the loop
 * and may free the memory. */
void tsd_completions_close(struct tsd_completions *completions, void (*cb)(void *data), void *data);
bool tsd_completions_closing(const struct tsd_completions *completions);

#endif
