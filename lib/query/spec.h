/* A parsed query. */
#ifndef TS_QUERY_SPEC_H
#define TS_QUERY_SPEC_H

#include "lib/base/glob.h"
#include "lib/query/metric.h"
#include "lib/query/query.h"

#define TS_QUERY_VALUES_MAX 1000000            /* functions x buckets of a response */
#define TS_QUERY_BYTES_MAX (UINT64_C(1) << 28) /* of the names held for a response */
enum { TS_QUERY_REPEATS_MAX = 64 }; /* of function and of label.KEY: every name is compared with each of them */

enum ts_query_by { TS_BY_FUNCTION, TS_BY_LOCATION, TS_BY_LABEL };

struct ts_label_filter {
    char *key;
    char *value;
};

/* The requested range, half-open, in ns since the epoch. */
struct ts_query_span {
    bool has_from;
    bool has_to;
    ts_i128 from;
    ts_i128 to;
};

struct ts_query {
    enum ts_query_kind kind;
    struct ts_grid grid; /* of the store */
    int64_t unit; /* stored buckets per bucket of the response; 0: the finest that is kept for the entire range */
    struct ts_query_span span;
    enum ts_metric metric;
    enum ts_query_by by;
    char *by_key; /* of the label to group by */
    struct ts_glob
        *globs; /* TS_QUERY_REPEATS_MAX elements, n_globs used; a function must match one, if there are any */
    size_t n_globs;
    struct ts_label_filter *labels; /* TS_QUERY_REPEATS_MAX elements, n_labels used; a label set must have them all */
    size_t n_labels;
    size_t top; /* SIZE_MAX: all */
    bool fill;
    bool csv;
    bool dry_run;
    int fresh;                 /* -1: not given */
    struct ts_query *sides[2]; /* of a diff: before and after, each of kind TS_QUERY_TOP */
    bool shares_globs;         /* of a side: globs belong to the diff */
};

struct ts_query *ts_query_new(enum ts_query_kind kind, const struct ts_grid *grid); /* NULL: out of memory */

#endif
