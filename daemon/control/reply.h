/* The response to a request on the control socket, before it is formatted as HTTP. */
#ifndef TSD_CONTROL_REPLY_H
#define TSD_CONTROL_REPLY_H

#include "daemon/control/body.h"
#include "lib/base/buf.h"
#include "lib/query/query.h"

#define TSD_TYPE_JSON "application/json"
#define TSD_TYPE_CSV "text/csv; charset=utf-8"
#define TSD_TYPE_TEXT "text/plain; charset=utf-8"
#define TSD_TYPE_SQLITE "application/vnd.sqlite3"
#define TSD_TYPE_METRICS "text/plain; version=0.0.4; charset=utf-8"

struct tsd_reply {
    unsigned status;      /* of HTTP */
    const char *type;     /* Content-Type; a literal */
    char *text;           /* malloc()ed. NULL without a body: out of memory, sent as a 500 */
    size_t len;           /* of text */
    struct tsd_body body; /* if it exists, it is sent and text is NULL */
    const char *allow;    /* the methods that a 405 names; a literal. Otherwise NULL */
};

/* Each of these sets all of *ret_reply, whose owner then passes it to tsd_request_reply() or tsd_job_finish(). */

/* Moves the buffer's contents into the reply and leaves the buffer empty. A failed buffer gives a 500. */
void tsd_reply_from_buf(struct ts_buf *buf, unsigned status, const char *type, struct tsd_reply *ret_reply);
/* {"error": {"code", "parameter", "message"}}; no "parameter" if it is NULL or "". */
void tsd_reply_error(unsigned status, const char *code, const char *parameter, const char *message,
                     struct tsd_reply *ret_reply);
/* Likewise, with the HTTP status for the kind of error. */
void tsd_reply_query_error(const struct ts_query_error *error, struct tsd_reply *ret_reply);

/* The replies that several modules give. */
void tsd_reply_stopping(struct tsd_reply *ret_reply);
void tsd_reply_no_memory(struct tsd_reply *ret_reply);

/* Frees a reply that is not sent. Twice is safe. */
void tsd_reply_deinit(struct tsd_reply *reply);

#endif
