/*
 * A query: parameters -> plan -> rows -> JSON or CSV. No clock, no HTTP, no threads: the time is given, the store read
 * through lib/store/store.h's readers. The contract of parameters and answers is docs/interfaces.md.
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
    TS_QUERY_DELETE, /* of lib/query/delete.h, not to be run */
    TS_QUERY_KINDS
};

/* One parameter as the URL gave it, decoded; value NULL where there was no "=". */
struct ts_query_param {
    const char *name;
    const char *value;
};

enum ts_query_error_kind {
    TS_QUERY_NO_ERROR,
    TS_QUERY_BAD_PARAMETER,     /* unknown, repeated, malformed, or in conflict with another parameter */
    TS_QUERY_TOO_LARGE,         /* the response would exceed a limit */
    TS_QUERY_NOT_KEPT,          /* buckets that narrow are not kept for all of the range */
    TS_QUERY_STORE_UNAVAILABLE, /* the store cannot be read now, or the query was interrupted */
    TS_QUERY_INTERNAL,          /* out of memory */
    TS_QUERY_ERROR_KINDS
};

struct ts_query_error {
    enum ts_query_error_kind kind;
    char parameter[96]; /* its name; "" if the error concerns none */
    char message[256];
};

/* The code of the contract, such as "bad_parameter". Not for TS_QUERY_NO_ERROR. */
const char *ts_query_error_code(enum ts_query_error_kind kind);

struct ts_query;

/* TS_EINVAL with ret_error set: an unknown, repeated (where not repeatable) or malformed parameter. now_ns: `now`. */
int ts_query_parse(enum ts_query_kind kind, const struct ts_query_param *params, size_t n_params,
                   const struct ts_grid *grid, int64_t now_ns, struct ts_query **ret_query,
                   struct ts_query_error *ret_error) TS_MUST_USE;
struct ts_query *ts_query_free(struct ts_query *query);

bool ts_query_fresh(const struct ts_query *query, bool otherwise); /* the parameter `fresh`, else otherwise */
bool ts_query_csv(const struct ts_query *query);
bool ts_query_dry_run(const struct ts_query *query);

/*
 * Reads, between a ts_reader_begin() and ts_reader_end() of its own, all that the answer needs; its text is written
 * then, a piece at a time. TS_EINVAL (too large, not kept), TS_ENOMEM, TS_ESTORE, TS_ECANCELED with ret_error. The
 * query has to outlive its answer.
 *
 * Orders, so that equal data gives equal answers: buckets ascend; functions descend by total, then ascend by name
 * (bytes), raw name, file, line; of diff they descend by the size of their change; `functions` ascends by the same;
 * `labels` ascends by the canonical text of the set. A bucket is shown where a profile with the labels asked for fell
 * into it, whatever `function` says.
 */
struct ts_answer;
int ts_query_start(const struct ts_query *query, struct ts_reader *reader, struct ts_answer **ret_answer,
                   struct ts_query_error *ret_error) TS_MUST_USE;
/* Appends at least `enough` bytes, and little more, or all that is left. True: there is more. */
bool ts_answer_write(struct ts_answer *answer, struct ts_buf *out, size_t enough);
size_t ts_answer_memory(const struct ts_answer *answer); /* bytes held, nearly */
struct ts_answer *ts_answer_free(struct ts_answer *answer);

/* Both: the whole answer at once, appended to out; a failure leaves out as it was. */
int ts_query_run(const struct ts_query *query, struct ts_reader *reader, struct ts_buf *out,
                 struct ts_query_error *ret_error) TS_MUST_USE;

#endif
