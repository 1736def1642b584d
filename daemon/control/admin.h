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

struct tsd_chores;

int tsd_chores_start(uv_loop_t *loop, struct tsd_state *state, struct tsd_writer *writer,
                     struct tsd_chores **ret_chores) TS_MUST_USE;

/* False: not taken, and ret_reply says why. Else the callback comes exactly once, later; it takes the reply. */
bool tsd_chores_backup(struct tsd_chores *chores, tsd_answer_cb cb, void *data,
                       struct tsd_reply *ret_reply) TS_MUST_USE;
/* time_slice in ns. */
bool tsd_chores_regrid(struct tsd_chores *chores, int64_t time_slice, tsd_answer_cb cb, void *data,
                       struct tsd_reply *ret_reply) TS_MUST_USE;
/* The query, of kind TS_QUERY_DELETE, is the chore's in any case. */
bool tsd_chores_delete(struct tsd_chores *chores, struct ts_query *query, tsd_answer_cb cb, void *data,
                       struct tsd_reply *ret_reply) TS_MUST_USE;
/* The one whose callback has this data is not wanted any more: no callback. False: there is none such. */
bool tsd_chores_abandon(struct tsd_chores *chores, const void *data);

/* After the writer has ended. Answers what is under way with 503, and calls back once nothing is left. */
void tsd_chores_close(struct tsd_chores *chores, void (*cb)(void *data), void *data);
struct tsd_chores *tsd_chores_free(struct tsd_chores *chores); /* NULL is fine */

#endif
