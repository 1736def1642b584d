/*
 * Queries: parameters -> struct ts_query -> result read from the store -> JSON or CSV.
 *
 * docs/interfaces.md specifies the parameters and the responses. The caller passes the current time and the store's
 * reader. No clock, no HTTP, no threads.
 */
#ifndef TS_QUERY_QUERY_H
#define TS_QUERY_QUERY_H

#include "lib/aggregate/grid.h"
#include "lib/base/buf.h"
#include "lib/store/reader.h"

#include <stdbool.h>

enum ts_query_kind {
    TS_QUERY_BUCKETS,
    TS_QUERY_TOP,
    TS_QUERY_FUNCTIONS,
    TS_QUERY_LABELS,
    TS_QUERY_DIFF,
    TS_QUERY_DELETE, /* for lib/query/delete.h; ts_query_run() does not accept it */
    TS_QUERY_KINDS
};

/* A URL parameter, percent-decoded. value is NULL if the URL has no "=" after the name. */
struct ts_query_param {
    const char *name;
    const char *value;
};

enum ts_query_error_kind {
    TS_QUERY_NO_ERROR,
    TS_QUERY_BAD_PARAMETER,     /* unknown, repeated, malformed, or in conflict with another parameter */
    TS_QUERY_TOO_LARGE,         /* the response would exceed a limit */
    TS_QUERY_NOT_KEPT,          /* buckets that narrow are not kept for the entire range */
    TS_QUERY_STORE_UNAVAILABLE, /* the store cannot be read now, or the query was interrupted */
    TS_QUERY_INTERNAL,          /* out of memory */
    TS_QUERY_ERROR_KINDS
};

struct ts_query_error {
    enum ts_query_error_kind kind;
    char parameter[96]; /* its name; "" if the error concerns none */
    char message[256];
};

/* The code in the error response, such as "bad_parameter". Not for TS_QUERY_NO_ERROR. */
const char *ts_query_error_code(enum ts_query_error_kind kind);

struct ts_query;

/*
 * Parses and validates the parameters. now_ns is the time that "now" and relative times refer to. TS_EINVAL and
 * TS_ENOMEM set ret_error.
 */
int ts_query_parse(enum ts_query_kind kind, const struct ts_query_param *params, size_t n_params,
                   const struct ts_grid *grid, int64_t now_ns, struct ts_query **ret_query,
                   struct ts_query_error *ret_error) TS_MUST_USE;
struct ts_query *ts_query_free(struct ts_query *query);

bool ts_query_fresh(const struct ts_query *query, bool default_value); /* the parameter `fresh` if given */
bool ts_query_csv(const struct ts_query *query);
bool ts_query_dry_run(const struct ts_query *query);

/*
 * Reads everything that the response needs in one transaction of the reader; ts_response_write() then needs no reader.
 * The query must outlive its response. TS_EINVAL (too large, not kept), TS_ENOMEM, TS_ESTORE, TS_ECANCELED set
 * ret_error.
 *
 * The order is defined, so that equal data gives equal responses: buckets ascend; functions descend by total, then
 * ascend by name (bytes), raw name, file, line; functions of a diff descend by the size of their change; the list of
 * functions ascends by name; label sets ascend by their canonical text. A bucket is included if it has a profile with
 * the requested labels, regardless of `function`.
 */
struct ts_response;
int ts_query_run(const struct ts_query *query, struct ts_reader *reader, struct ts_response **ret_response,
                 struct ts_query_error *ret_error) TS_MUST_USE;
/* Appends at least min_len bytes and little more, or the rest. Returns true if there is more. */
bool ts_response_write(struct ts_response *response, struct ts_buf *out, size_t min_len);
size_t ts_response_memory(const struct ts_response *response); /* in bytes, approximately */
struct ts_response *ts_response_free(struct ts_response *response);

#endif
