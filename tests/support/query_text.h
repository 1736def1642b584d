/* Runs a query and collects its complete response, for tests. */
#ifndef TESTS_SUPPORT_QUERY_TEXT_H
#define TESTS_SUPPORT_QUERY_TEXT_H

#include "lib/query/query.h"

/* Appends the response to out. On failure, out is unchanged. Returns the error of ts_query_run(), or TS_ENOMEM. */
static inline int query_text(const struct ts_query *query, struct ts_reader *reader, struct ts_buf *out,
                             struct ts_query_error *ret_error)
{
    size_t len = out->len;
    struct ts_response *response = NULL;
    int r = ts_query_run(query, reader, &response, ret_error);
    if (r)
        return r;
    while (ts_response_write(response, out, SIZE_MAX / 2) && !ts_buf_failed(out)) {
    }
    ts_response_free(response);
    if (ts_buf_failed(out)) {
        out->len = len;
        *ret_error = (struct ts_query_error){.kind = TS_QUERY_INTERNAL, .message = "out of memory"};
        return TS_ENOMEM;
    }
    return 0;
}

#endif
