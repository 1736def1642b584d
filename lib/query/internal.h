/*
 * What the parts of lib/query share; for lib/query*.c only.
 *
 *     query.c         parameters -> struct ts_query
 *     query_names.c   names in the store -> groups: one group is one row of the answer
 *     query_range.c   times asked for -> the range that can be answered, and the plan that covers it
 * (lib/aggregate/plan.h) query_run.c     sums in the store -> struct ts_query_result query_diff.c    two results side
 * by side query_seen.c    the first and the last bucket that has something query_list.c    the lists of functions and
 * of label sets query_json.c, query_csv.c, query_diff_text.c   result -> text, a piece at a time query_answer.c  the
 * whole: reading, then pieces of text query_glob.c, query_labels.c   patterns; the stored form of a label set
 *
 * All is read before the first piece of text is written, so that a slow reader of the answer pins no log. Memory is
 * bounded by TS_QUERY_VALUES_MAX numbers and by the names in the store, neither by the rows read nor by the text.
 */
#ifndef TS_QUERY_INTERNAL_H
#define TS_QUERY_INTERNAL_H

#include "lib/base/glob.h"
#include "lib/query/query.h"

#define TS_QUERY_VALUES_MAX 1000000            /* functions x buckets of one answer */
#define TS_QUERY_BYTES_MAX (UINT64_C(1) << 28) /* of an answer's text, and of the names held for it */
#define TS_NO_GROUP UINT32_MAX

enum ts_metric { TS_CUMTIME, TS_TOTTIME, TS_NCALLS, TS_PCALLS, TS_METRICS };

enum ts_query_by { TS_BY_FUNCTION, TS_BY_LOCATION, TS_BY_LABEL };

struct ts_label_filter {
    char *key;
    char *value;
};

/* Times as they were asked for, ns since the epoch, half-open. */
struct ts_query_span {
    bool has_from;
    bool has_to;
    ts_i128 from;
    ts_i128 to;
};

struct ts_query {
    enum ts_query_kind kind;
    struct ts_grid grid; /* as stored */
    int64_t unit;        /* of buckets: stored buckets in one of the answer; 0: the finest that is kept all over */
    struct ts_query_span span;
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
    bool dry_run;
    int fresh;                 /* -1: not said */
    struct ts_query *sides[2]; /* of diff: before and after, each as top would be asked */
    bool borrowed;             /* of a side: globs are the diff's */
};

const char *ts_metric_name(enum ts_metric metric);
bool ts_metric_is_time(enum ts_metric metric);

/* Fills the error, makes its texts valid UTF-8, and gives TS_EINVAL. */
int ts_query_fail(struct ts_query_error *error, enum ts_query_error_kind kind, const char *parameter,
                  const char *format, ...) TS_PRINTF(4, 5);
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

/* ---- Ranges ---- */

/* A range as it is answered. Positions are stored buckets (lib/aggregate/levels.h). */
struct ts_query_range {
    bool has_from; /* false: not asked for, and nothing was found */
    bool has_to;
    int64_t from;
    int64_t to;
    int64_t from_width; /* ns: of the finest buckets kept at this end; 0: not known */
    int64_t to_width;
    int64_t unit; /* stored buckets in one of the answer; 1 of top */
    struct ts_plan plan;
};

void ts_query_range_deinit(struct ts_query_range *range);
int ts_query_range_find(const struct ts_query *query, struct ts_reader *reader, const struct ts_query_names *names,
                        struct ts_query_range *range, struct ts_query_error *ret_error) TS_MUST_USE;
/* Position and ns of a grid's bucket. */
int64_t ts_query_position(const struct ts_grid *grid, ts_i128 ns);

/* ---- What was seen first and last ---- */

struct ts_seen {
    bool seen;
    const struct ts_level *level[2]; /* of the first and of the last bucket */
    int64_t bucket[2];
};

/*
 * For each of n things, by a map from the store's numbers (of label sets for profiles, of locations for sums) to 0..n-1
 * or TS_NO_GROUP: the first and the last bucket that has it, as narrow as it is kept. Rows of `profiles` are given to
 * on_profile on the way, which makes their totals; it may be NULL.
 */
int ts_seen_find(struct ts_reader *reader, bool profiles, const struct ts_query_map *map, struct ts_seen *seen,
                 size_t n, ts_profile_cb on_profile, void *data) TS_MUST_USE;

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
    struct ts_query_range range;
    struct ts_grid grid; /* of the answer's buckets */

    struct ts_query_head all; /* over the whole range */

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
void ts_query_result_deinit(struct ts_query_result *result); /* twice is safe */

/* ---- Diff ---- */

struct ts_diff_row {
    const struct ts_location *name;
    ts_i128 totals[2][TS_METRICS]; /* before, after */
    ts_i128 called_more;           /* ns or 10^-9 calls per profile; of rows and of other */
};

struct ts_diff {
    const struct ts_query *query;
    struct ts_query_result sides[2];
    struct ts_diff_row *rows; /* in the order of the answer */
    size_t n;
    size_t n_shown;
    struct ts_diff_row other;
};

int ts_diff_collect(const struct ts_query *query, struct ts_reader *reader, struct ts_diff *diff,
                    struct ts_query_error *ret_error) TS_MUST_USE;
void ts_diff_deinit(struct ts_diff *diff); /* twice is safe */
/* The metric per profile, in ns or 10^-9 calls, of one side (0, 1) or as change (2); false where it is not defined. */
bool ts_diff_per_profile(const struct ts_diff *diff, const struct ts_diff_row *row, int which, ts_i128 *ret);
/* Which call count the metric goes with. */
enum ts_metric ts_diff_calls(enum ts_metric metric);

/* ---- Text, a piece at a time ---- */

/* Where a text is: each writer's own meaning of it. All zero at the begin. */
struct ts_cursor {
    int stage;
    size_t row;
    size_t column;
};

/* Each appends a small piece; false: that was the last one. */
bool ts_query_json_piece(const struct ts_query_result *result, struct ts_cursor *cursor, struct ts_buf *out);
bool ts_query_csv_piece(const struct ts_query_result *result, struct ts_cursor *cursor, struct ts_buf *out);
bool ts_diff_json_piece(const struct ts_diff *diff, struct ts_cursor *cursor, struct ts_buf *out);
bool ts_diff_csv_piece(const struct ts_diff *diff, struct ts_cursor *cursor, struct ts_buf *out);

/* ---- The lists ---- */

struct ts_query_list {
    const struct ts_query *query;
    struct ts_query_names names; /* of functions: a group is a location */
    struct ts_intern sets;       /* of labels: canonical JSON as raw name */
    struct ts_query_map numbers;
    struct ts_levels levels; /* what seen points into */
    struct ts_seen *seen;
    ts_i128 *profiles;
    uint32_t *order;
};

int ts_query_list_collect(const struct ts_query *query, struct ts_reader *reader, struct ts_query_list *list,
                          struct ts_query_error *ret_error) TS_MUST_USE;
void ts_query_list_deinit(struct ts_query_list *list);
bool ts_query_list_piece(const struct ts_query_list *list, struct ts_cursor *cursor, struct ts_buf *out);

/* ---- Writing ---- */

void ts_query_put_number(struct ts_buf *out, ts_i128 value);
void ts_query_put_value(struct ts_buf *out, ts_i128 value, enum ts_metric metric);
/* value / calls in 10^-9, to the nearest one; null at 0 calls. */
void ts_query_put_ratio(struct ts_buf *out, ts_i128 value, ts_i128 calls);
ts_i128 ts_query_divide(ts_i128 value, ts_i128 by);
/* The members "function" (or "label"), and by location its place. */
void ts_query_put_name(const struct ts_query *query, const struct ts_location *name, struct ts_buf *out);
/* The members from, to and their resolutions, each with ", " after it. */
void ts_query_put_range(const struct ts_query *query, const struct ts_query_range *range, struct ts_buf *out);
/* The columns of a name in CSV; NULL: empty ones. */
void ts_query_put_csv_name(const struct ts_query *query, const struct ts_location *name, struct ts_buf *out);
/* Members file_name, line_number, raw_name, each after ", ". */
void ts_query_put_place(struct ts_buf *out, const struct ts_location *location);

#endif
