/*
 * The components of the running daemon, and the order in which they start and end.
 *
 *     store -> clients -> sockets -> ingest threads -> writer -> control -> integrity check
 *
 * The store is first: if the database cannot be used, nothing else is touched. Each step relies on the previous ones;
 * if one fails, the reason is logged, and tsd_components_release() releases those that were started. All calls are made
 * on the main thread.
 */
#ifndef TSD_COMPONENTS_H
#define TSD_COMPONENTS_H

#include "daemon/activation.h"
#include "daemon/base/state.h"
#include "daemon/config/config.h"
#include "daemon/control/control.h"
#include "daemon/ingest/clients.h"
#include "daemon/ingest/rejects.h"
#include "daemon/ingest/shared.h"
#include "daemon/ingest/thread.h"
#include "daemon/listen.h"
#include "daemon/write/check.h"
#include "daemon/write/writer.h"

#include <uv.h>

struct tsd_components {
    const struct tsd_config *config;
    struct tsd_state state;
    struct tsd_rejects rejects;
    struct tsd_shared shared;
    struct ts_store *store; /* NULL when the writer owns it */
    struct tsd_clients clients;
    bool has_clients;
    uint32_t connections_max; /* that the limit of open files permits */
    struct tsd_passed passed;
    struct tsd_sockets sockets;
    struct tsd_thread *threads[TSD_THREADS_MAX];
    size_t n_threads;
    _Atomic(struct tsd_writer *) writer; /* read by ingest threads, which start before it */
    atomic_bool mark_waits;              /* an ingest thread had a mark before there was a writer */
    struct tsd_control *control;
    struct tsd_check *check;
    void (*on_writer_stopped)(void *data);
    void *data;
};

/* config: in place until deinit; a reload may change it. TS_ENOMEM: nothing to deinit. */
int tsd_components_init(struct tsd_components *components, const struct tsd_config *config) TS_MUST_USE;
void tsd_components_deinit(struct tsd_components *components);

/* Returns 0, or the exit code after logging the reason. on_writer_stopped is called on the writer's thread. */
int tsd_components_start(struct tsd_components *components, uv_loop_t *loop, void (*on_writer_stopped)(void *data),
                         void *data) TS_MUST_USE;
/* Joins threads, closes the store and the sockets. False: messages were lost. */
bool tsd_components_release(struct tsd_components *components);

/* Applies the configured limits, at the start and after a reload. */
void tsd_components_apply_limits(struct tsd_components *components);

#endif
