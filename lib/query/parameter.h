/* The parameters of queries: which kinds of query accept them, and how their values are read. */
#ifndef TS_QUERY_PARAMETER_H
#define TS_QUERY_PARAMETER_H

#include "lib/query/spec.h"

/* What has been read so far. Members that go into the query only after all parameters are read are kept here. */
struct ts_query_parser {
    struct ts_query *query;
    int64_t now;
    const char *from_text; /* NULL: not given */
    const char *to_text;
    int64_t from;
    int64_t to;
    bool has_last;
    int64_t last;
    bool has_metric;
    bool has_side[2]; /* of a diff: its range or a label is given */
    bool has_filter;  /* a function or a label is given */
    const char *name; /* of the current parameter */
    struct ts_query_error *error;
};

#define TS_QUERY_BAD(parser, ...) ts_query_fail((parser)->error, TS_QUERY_BAD_PARAMETER, (parser)->name, __VA_ARGS__)

struct ts_query_parameter {
    const char *name; /* "KEY" stands for any text */
    unsigned kinds;   /* bit 1 << kind: queries of this kind accept it */
    bool repeatable;
    /* Reads a value. TS_EINVAL sets the parser's error; TS_ENOMEM. */
    int (*read)(struct ts_query_parser *parser, const char *value);
};

enum { TS_QUERY_PARAMETERS = 17 };
extern const struct ts_query_parameter ts_query_parameters[TS_QUERY_PARAMETERS];

const char *ts_query_kind_name(enum ts_query_kind kind);

#endif
