/*
 * What changes or copies the whole database on an operator's word: backups, copies on another grid, deletions. One at a
 * time. All calls and callbacks on the loop.
 */
#ifndef TSD_CONTROL_ADMIN_H
#define TSD_CONTROL_ADMIN_H

#include "daemon/base/state.h"
#include "daemon/control/queries.h"
#include "daemon/control/reply.h"
#include "daemon/write/writer.h"

#include <uv.h>

struct tsd_admin;

int tsd_admin_start(uv_loop_t *loop, struct tsd_state *state, struct tsd_writer *writer,
                    struct tsd_admin **ret_admin) TS_MUST_USE;

/* False: not taken, and ret_reply says why. Else the callback comes exactly once, later; it takes the reply. */
bool tsd_admin_backup(struct tsd_admin *admin, tsd_reply_cb cb, void *data, struct tsd_reply *ret_reply) TS_MUST_USE;
/* time_slice in ns. */
bool tsd_admin_regrid(struct tsd_admin *admin, int64_t time_slice, tsd_reply_cb cb, void *data,
                      struct tsd_reply *ret_reply) TS_MUST_USE;
/* The query, of kind TS_QUERY_DELETE, is the task's in any case. */
bool tsd_admin_delete(struct tsd_admin *admin, struct ts_query *query, tsd_reply_cb cb, void *data,
                      struct tsd_reply *ret_reply) TS_MUST_USE;
/* The one whose callback has this data is not wanted any more: no callback. False: there is none such. */
bool tsd_admin_cancel(struct tsd_admin *admin, const void *data);

/* After the writer has ended. Answers what is under way with 503, and calls back once nothing is left. */
void tsd_admin_close(struct tsd_admin *admin, void (*cb)(void *data), void *data);
struct tsd_admin *tsd_admin_free(struct tsd_admin *admin); /* NULL is fine */

#endif
