/*
 * Control: HTTP on a Unix socket and, if configured, read-only HTTP on TCP. On the main loop; queries run on libuv's
 * worker threads, each with a read-only connection of its own from a small pool.
 */
#ifndef TSD_CONTROL_CONTROL_H
#define TSD_CONTROL_CONTROL_H

#include "daemon/base/state.h"
#include "daemon/ingest/rejects.h"
#include "daemon/write/writer.h"

#include <uv.h>

struct tsd_control;

struct tsd_control_config {
    uv_loop_t *loop;
    int unix_fd;               /* listening, non-blocking; owned by control after a successful start; -1: none */
    int http_fd;               /* likewise */
    const char *allowed_hosts; /* names separated by spaces or commas; copied */
    struct tsd_state *state;
    struct tsd_writer *writer;
    struct tsd_rejects *rejects;
};

/* TS_ENOMEM, or TS_EINVAL if libmicrohttpd does not start; handles that were open then need a turn of the loop. */
int tsd_control_start(const struct tsd_control_config *config, struct tsd_control **ret_control) TS_MUST_USE;

/* At a reload: copied. TS_ENOMEM keeps the old ones. */
int tsd_control_set_allowed_hosts(struct tsd_control *control, const char *allowed_hosts) TS_MUST_USE;

/*
 * Accepts no more connections, interrupts running queries, replies 503 to waiting requests, closes. The callback comes
 * on the loop once no request, work item or handle is left; it may free. Call after the writer has stopped: every
 * flush has called back by then.
 */
typedef void (*tsd_control_closed_cb)(void *data);
void tsd_control_close(struct tsd_control *control, tsd_control_closed_cb cb, void *data);
struct tsd_control *tsd_control_free(struct tsd_control *control);

#endif
