/* What a request is answered with, before HTTP. */
#ifndef TSD_CONTROL_REPLY_H
#define TSD_CONTROL_REPLY_H

#include "lib/base/buf.h"
#include "lib/query/query.h"

#include <stdint.h>

#define TSD_TYPE_JSON "application/json"
#define TSD_TYPE_CSV "text/csv; charset=utf-8"
#define TSD_TYPE_TEXT "text/plain; charset=utf-8"
#define TSD_TYPE_SQLITE "application/vnd.sqlite3"
#define TSD_TYPE_METRICS "text/plain; version=0.0.4; charset=utf-8"

/* A body that is made while it is sent, as fast as its reader takes it. On the loop. */
struct tsd_body {
    /* Appends what comes next, at least a byte: 1. 0: that was all. Negative: it is broken off, which the client sees.
     */
    int (*next)(void *data, struct ts_buf *out);
    void (*free)(void *data); /* exactly once, whether or not it was read to its end */
    void *data;
    int64_t len; /* bytes; -1: not known */
};

struct tsd_reply {
    unsigned status;
    const char *type;       /* of the body; static */
    char *body;             /* malloc()ed, belongs to whoever has the reply; NULL where there was no memory for it */
    size_t len;             /* of the body */
    struct tsd_body stream; /* with next: in place of the body */
    const char *allow;      /* the methods that a 405 names; static, else NULL */

    /* Called on the loop with len when the body's memory is free again; NULL: nobody counts it. */
    void (*on_released)(void *data, size_t len);
    void *data;
};

/* Takes what the buffer holds and leaves it empty. A buffer that failed gives a 500. */
void tsd_reply_take(struct ts_buf *buf, unsigned status, const char *type, struct tsd_reply *ret_reply);
/* {"error": {"code", "parameter", "message"}}, without parameter where it is NULL or "". */
void tsd_reply_error(unsigned status, const char *code, const char *parameter, const char *message,
                     struct tsd_reply *ret_reply);
/* Likewise, with the HTTP status for the kind of error. */
void tsd_reply_query_error(const struct ts_query_error *error, struct tsd_reply *ret_reply);

#endif
