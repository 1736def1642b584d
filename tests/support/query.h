/* Runs queries for tests: parameters from a text, the complete response. */
#ifndef TESTS_SUPPORT_QUERY_H
#define TESTS_SUPPORT_QUERY_H

#include "lib/query/query.h"

#include <string.h>

/*
 * Splits "a=1&b=2&c" into at most max parameters and returns their number; c has no value. Nothing is percent-decoded.
 * The parameters point into the text, which is modified.
 */
static inline size_t query_params(char *text, struct ts_query_param *params, size_t max)
{
    size_t n = 0;
    char *rest = NULL;
    for (char *one = strtok_r(text, "&", &rest); one && n < max; one = strtok_r(NULL, "&", &rest)) {
        char *equals = strchr(one, '=');
        if (equals)
            *equals = '\0';
        params[n++] = (struct ts_query_param){one, equals ? equals + 1 : NULL};
    }
    return n;
}

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
