/*
 * Flushes, and queries on libuv's worker threads. All calls and callbacks on the loop.
 *
 * At most TSD_QUERIES_RUNNING queries run at once, each in a slot with a read-only connection of its own, and at most
 * TSD_QUERIES_WAITING requests wait for that or for a commit.
 */
#ifndef TSD_CONTROL_QUERIES_H
#define TSD_CONTROL_QUERIES_H

#include "daemon/base/state.h"
#include "daemon/control/job.h"
#include "daemon/write/writer.h"
#include "lib/query/query.h"

#include <uv.h>

enum { TSD_QUERIES_RUNNING = 4, TSD_QUERIES_WAITING = 64 };

struct tsd_queries;

int tsd_queries_start(uv_loop_t *loop, struct tsd_state *state, struct tsd_writer *writer,
                      struct tsd_queries **ret_queries) TS_MUST_USE;

/* NULL: rejected, with the reason in ret_reply. */
struct tsd_job *tsd_queries_flush(struct tsd_queries *queries, tsd_reply_cb cb, void *data,
                                  struct tsd_reply *ret_reply) TS_MUST_USE;
/* Takes the query in any case. fresh: flush first. */
struct tsd_job *tsd_queries_query(struct tsd_queries *queries, struct ts_query *query, bool fresh, tsd_reply_cb cb,
                                  void *data, struct tsd_reply *ret_reply) TS_MUST_USE;

/* Replies 503 to what waits, interrupts what runs, and calls back once no commit, query or handle is left. Replies that
 * are still being sent may be freed later, until tsd_queries_free(). */
void tsd_queries_close(struct tsd_queries *queries, void (*cb)(void *data), void *data);
struct tsd_queries *tsd_queries_free(struct tsd_queries *queries); /* NULL is fine */

#endif
