/*
 * Tasks that copy or change the entire database for an operator: backups, copies on another grid, deletions. One at a
 * time; a copy counts until its client has received it, because it takes disk space until then. All calls and callbacks
 * on the loop.
 */
#ifndef TSD_CONTROL_ADMIN_H
#define TSD_CONTROL_ADMIN_H

#include "daemon/base/state.h"
#include "daemon/control/job.h"
#include "daemon/write/writer.h"
#include "lib/query/query.h"

#include <uv.h>

struct tsd_admin;

int tsd_admin_start(uv_loop_t *loop, struct tsd_state *state, struct tsd_writer *writer,
                    struct tsd_admin **ret_admin) TS_MUST_USE;

/* NULL: rejected, with the reason in ret_reply. */
struct tsd_job *tsd_admin_backup(struct tsd_admin *admin, tsd_reply_cb cb, void *data,
                                 struct tsd_reply *ret_reply) TS_MUST_USE;
/* time_slice in ns. */
struct tsd_job *tsd_admin_regrid(struct tsd_admin *admin, int64_t time_slice, tsd_reply_cb cb, void *data,
                                 struct tsd_reply *ret_reply) TS_MUST_USE;
/* Takes the query, of kind TS_QUERY_DELETE, in any case. */
struct tsd_job *tsd_admin_delete(struct tsd_admin *admin, struct ts_query *query, tsd_reply_cb cb, void *data,
                                 struct tsd_reply *ret_reply) TS_MUST_USE;

/* After the writer has ended. A running task gets a 503. Calls back once no task is left; a copy may still be sent. */
void tsd_admin_close(struct tsd_admin *admin, void (*cb)(void *data), void *data);
/* After the replies have been sent or freed. */
struct tsd_admin *tsd_admin_free(struct tsd_admin *admin); /* NULL is fine */

#endif
