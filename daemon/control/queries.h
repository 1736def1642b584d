/*
 * Flushes, and queries on libuv's worker threads. All calls and callbacks on the loop.
 *
 * At most TSD_QUERIES_RUNNING queries run at once, each in a slot with a read-only connection of its own. Requests from
 * TCP leave one slot to the control socket. At most TSD_QUERIES_WAITING requests of each of the two wait for a slot or
 * for a commit.
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

enum tsd_query_source { TSD_FROM_UNIX, TSD_FROM_TCP, TSD_QUERY_SOURCES };

struct tsd_query_options {
    enum tsd_query_source source;
    bool fresh; /* flush first */
};

/* Takes the query in any case. */
struct tsd_job *tsd_queries_query(struct tsd_queries *queries, struct ts_query *query,
                                  const struct tsd_query_options *options, tsd_reply_cb cb, void *data,
                                  struct tsd_reply *ret_reply) TS_MUST_USE;

/* Replies 503 to what waits, interrupts what runs, and calls back once no commit, query or handle is left. Replies that
 * are still being sent may be freed later, until tsd_queries_free(). */
void tsd_queries_close(struct tsd_queries *queries, void (*cb)(void *data), void *data);
struct tsd_queries *tsd_queries_free(struct tsd_queries *queries); /* NULL is fine */

#endif
