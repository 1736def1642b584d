/*
 * What the parts of lib/query share; for lib/query*.c only.
 *
 *     query.c         parameters -> struct ts_query, the plan
 *     query_names.c   names in the store -> groups: one group is one row of the answer
 *     query_run.c     sums in the store -> struct ts_query_result
 *     query_list.c    the lists of functions and of label sets
 *     query_json.c, query_csv.c   result -> text
 *     query_glob.c, query_labels.c   patterns; the stored form of a label set
 *
 * Memory is bounded by the answer (TS_QUERY_VALUES_MAX, TS_QUERY_BYTES_MAX) and by the names in the store, never by the
 * number of rows read.
 */
#ifndef TS_QUERY_PLAN_H
#define TS_QUERY_PLAN_H

#include "lib/query.h"
#include "lib/query_glob.h"

#define TS_QUERY_VALUES_MAX 1000000            /* functions x buckets of one answer */
#define TS_QUERY_BYTES_MAX (UINT64_C(1) << 28) /* of an answer's text, and of the names held for it */
#define TS_NO_GROUP UINT32_MAX

enum ts_metric { TS_CUMTIME, TS_TOTTIME, TS_NCALLS, TS_PCALLS, TS_METRICS };

enum ts_query_by { TS_BY_FUNCTION, TS_BY_LOCATION, TS_BY_LABEL };

struct ts_label_filter {
    char *key;
    char *value;
};

struct ts_query {
    enum ts_query_kind kind;
    struct ts_grid grid; /* of the answer: as stored, or wider */
    int64_t factor;      /* stored buckets in one of the answer */
    bool has_from;
    bool has_to;
    int64_t from; /* buckets of the answer, half-open */
    int64_t to;
    int64_t stored_from; /* the same in stored buckets, as ts_reader_sums() takes them */
    int64_t stored_to;
    enum ts_metric metric;
    enum ts_query_by by;
    char *by_key;
    struct ts_glob *globs;
    size_t n_globs;
    struct ts_label_filter *labels;
    size_t n_labels;
    size_t top; /* SIZE_MAX: all */
    bool fill;
    bool csv;
    int fresh; /* -1: not said */
};

const char *ts_metric_name(enum ts_metric metric);
bool ts_metric_is_time(enum ts_metric metric);

/* Fills the error, makes its texts valid UTF-8, and gives TS_EINVAL. */
int ts_query_fail(struct ts_query_error *error, int status, const char *code, const char *parameter, const char *format,
                  ...) TS_PRINTF(5, 6);
/* The words for TS_ENOMEM, TS_ESTORE, TS_ECANCELED; TS_EINVAL has them already. Gives the code back. */
int ts_query_explain(struct ts_query_error *error, int code);

/* ---- Names ---- */

/* Numbers of the store to groups, ascending by number. */
struct ts_query_map {
    uint32_t *ids;
    uint32_t *groups;
    size_t n;
    size_t cap;
};

struct ts_query_names {
    struct ts_intern groups; /* by function: its name; by location: all of it; by label: the value, NULL for none */
    bool has_locations;      /* false: neither the groups nor a filter need them */
    struct ts_query_map locations;
    struct ts_query_map label_sets;
};

void ts_query_names_init(struct ts_query_names *names);
void ts_query_names_deinit(struct ts_query_names *names);
int ts_query_names_read(const struct ts_query *query, struct ts_reader *reader, struct ts_query_names *names,
                        struct ts_query_error *ret_error) TS_MUST_USE;
int ts_query_map_put(struct ts_query_map *map, uint32_t id, uint32_t group) TS_MUST_USE;
/* False where the number is not in the map. */
bool ts_query_map_get(const struct ts_query_map *map, uint32_t id, uint32_t *ret_group);
bool ts_query_function_wanted(const struct ts_query *query, struct ts_str function);
/* < 0, 0, > 0 in the order of answers: function, raw name, file, line; what is missing comes first. */
int ts_query_compare_names(const struct ts_location *a, const struct ts_location *b);

/* ---- Results of buckets and top ---- */

struct ts_query_head {
    int64_t bucket; /* of the answer */
    ts_i128 profiles;
    ts_i128 exact_profiles;
    ts_i128 total_tt;
    ts_i128 parts_missing;
};

struct ts_query_result {
    const struct ts_query *query;
    struct ts_query_names names;

    struct ts_query_head all; /* over the whole range */
    bool has_from;
    bool has_to;
    int64_t from; /* buckets of the answer, as asked for, else as found */
    int64_t to;

    struct ts_query_head *columns; /* of buckets, ascending */
    size_t n_columns;
    size_t cap_columns;

    size_t n_totals; /* per group: TS_METRICS of top, 1 of buckets */
    ts_i128 *totals; /* [group * n_totals + i] */
    uint8_t *seen;   /* [group]: it has a row in the range */
    uint32_t *order; /* n_seen groups, the n_shown first of them are answered */
    size_t n_seen;
    size_t n_shown;
    ts_i128 other[TS_METRICS];

    ts_i128 *cells; /* [row_of[group] * n_columns + column] */
    uint32_t *row_of;
    uint32_t other_row;
};

int ts_query_collect(const struct ts_query *query, struct ts_reader *reader, struct ts_query_result *result,
                     struct ts_query_error *ret_error) TS_MUST_USE;
void ts_query_result_deinit(struct ts_query_result *result);

/* These append as long as the answer stays below TS_QUERY_BYTES_MAX, and stop there. */
void ts_query_put_json(const struct ts_query_result *result, struct ts_buf *out, size_t limit);
void ts_query_put_csv(const struct ts_query_result *result, struct ts_buf *out, size_t limit);

/* ---- The lists ---- */

int ts_query_list_functions(const struct ts_query *query, struct ts_reader *reader, struct ts_buf *out, size_t limit,
                            struct ts_query_error *ret_error) TS_MUST_USE;
int ts_query_list_labels(const struct ts_query *query, struct ts_reader *reader, struct ts_buf *out, size_t limit,
                         struct ts_query_error *ret_error) TS_MUST_USE;

/* ---- Writing ---- */

void ts_query_put_number(struct ts_buf *out, ts_i128 value);
void ts_query_put_value(struct ts_buf *out, ts_i128 value, enum ts_metric metric);
/* Members file_name, line_number, raw_name, each after ", ". */
void ts_query_put_place(struct ts_buf *out, const struct ts_location *location);

#endif
