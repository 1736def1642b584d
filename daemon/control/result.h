/*
 * The result of a query as a reply. Text that fits into one piece is sent as it is; a longer result stays in memory
 * while its text is formatted and sent piece by piece.
 */
#ifndef TSD_CONTROL_RESULT_H
#define TSD_CONTROL_RESULT_H

#include "daemon/control/reply.h"

struct tsd_result {
    struct ts_buf text;           /* the first piece, or all of it */
    struct ts_response *response; /* the rest; NULL: there is none */
};

void tsd_result_init(struct tsd_result *result);
void tsd_result_deinit(struct tsd_result *result); /* twice is safe */

/* On a worker thread: runs the query and formats the first piece. The errors of ts_query_run(). */
int tsd_result_run(struct tsd_result *result, struct ts_query *query, struct ts_reader *reader,
                   struct ts_query_error *ret_error) TS_MUST_USE;

/*
 * On the loop: moves the result into a reply, and takes the query. *held counts the bytes of results that are being
 * sent in pieces; it must stay until the reply is freed.
 */
void tsd_result_reply(struct tsd_result *result, struct ts_query *query, size_t *held, struct tsd_reply *ret_reply);

#endif
