/*
 * Parameters to a plan. One table says which request takes which parameter; each has one function that reads its value
 * into the plan. What concerns several (from after to, last beside from) is judged once all are read.
 */
#include "lib/query/query.h"

#include "lib/base/label.h"
#include "lib/base/units.h"
#include "lib/query/internal.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPEATS_MAX = 64 }; /* of function and of label.KEY: each costs time per name */

enum {
    B = 1 << TS_QUERY_BUCKETS,
    T = 1 << TS_QUERY_TOP,
    F = 1 << TS_QUERY_FUNCTIONS,
    L = 1 << TS_QUERY_LABELS,
    D = 1 << TS_QUERY_DIFF,
    X = 1 << TS_QUERY_DELETE,
};

static const char *const kinds[] = {
    [TS_QUERY_BUCKETS] = "buckets", [TS_QUERY_TOP] = "top",   [TS_QUERY_FUNCTIONS] = "functions",
    [TS_QUERY_LABELS] = "labels",   [TS_QUERY_DIFF] = "diff", [TS_QUERY_DELETE] = "delete",
};

static const char *const metrics[TS_METRICS] = {
    [TS_CUMTIME] = "cumtime",
    [TS_TOTTIME] = "tottime",
    [TS_NCALLS] = "ncalls",
    [TS_PCALLS] = "pcalls",
};

struct parser {
    struct ts_query *query;
    struct ts_grid stored;
    int64_t now;
    const char *from_text; /* NULL: not given */
    const char *to_text;
    int64_t from;
    int64_t to;
    bool has_last;
    int64_t last;
    bool has_metric;
    bool has_side[2]; /* of diff: a range or a label of this side is given */
    bool has_filter;  /* of delete */
    const char *name; /* of the parameter that is read */
    struct ts_query_error *error;
};

typedef int (*read_fn)(struct parser *parser, const char *value);

const char *ts_metric_name(enum ts_metric metric)
{
    return metrics[metric];
}

bool ts_metric_is_time(enum ts_metric metric)
{
    return metric == TS_CUMTIME || metric == TS_TOTTIME;
}

/* ---- Errors ---- */

/* A text cut to size may end inside a character, and what a URL brings may be no text at all. */
static void make_utf8(char *text)
{
    const char *end = text + strlen(text);
    for (const char *at = text; at < end;) {
        const char *begin = at;
        if (ts_utf8_next(&at, end) == UINT32_MAX)
            text[begin - text] = '?';
    }
}

const char *ts_query_error_code(enum ts_query_error_kind kind)
{
    static const char *const codes[TS_QUERY_ERROR_KINDS] = {
        [TS_QUERY_BAD_PARAMETER] = "bad_parameter", [TS_QUERY_TOO_LARGE] = "too_large",
        [TS_QUERY_NOT_KEPT] = "not_kept",           [TS_QUERY_STORE_UNAVAILABLE] = "store_unavailable",
        [TS_QUERY_INTERNAL] = "internal",
    };
    assert(kind > TS_QUERY_NO_ERROR && kind < TS_QUERY_ERROR_KINDS);
    return codes[kind];
}

int ts_query_fail(struct ts_query_error *error, enum ts_query_error_kind kind, const char *parameter,
                  const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error->message, sizeof(error->message), format, args);
    va_end(args);
    error->kind = kind;
    snprintf(error->parameter, sizeof(error->parameter), "%s", parameter);
    make_utf8(error->message);
    make_utf8(error->parameter);
    return TS_EINVAL;
}

int ts_query_explain(struct ts_query_error *error, int code)
{
    if (code == TS_ENOMEM)
        (void)ts_query_fail(error, TS_QUERY_INTERNAL, "", "out of memory");
    else if (code == TS_ECANCELED)
        (void)ts_query_fail(error, TS_QUERY_STORE_UNAVAILABLE, "",
                            "the query was stopped before it was done: it took too long, or the daemon stops");
    else if (code != TS_EINVAL)
        (void)ts_query_fail(error, TS_QUERY_STORE_UNAVAILABLE, "",
                            "the store cannot be read: it is busy, out of reach or damaged");
    return code;
}

#define BAD(parser, ...) ts_query_fail((parser)->error, TS_QUERY_BAD_PARAMETER, (parser)->name, __VA_ARGS__)

/* ---- Values ---- */

static int read_time(struct parser *parser, const char *value, int64_t *ret_ns)
{
    if (ts_parse_time(value, parser->now, ret_ns))
        return BAD(parser,
                   "\"%.60s\" is not a time: epoch seconds (1732272000), ISO 8601 (2026-01-31T10:00:00Z), now, or"
                   " relative to now (-15m)",
                   value);
    return 0;
}

static int read_from(struct parser *parser, const char *value)
{
    parser->from_text = value;
    return read_time(parser, value, &parser->from);
}

static int read_to(struct parser *parser, const char *value)
{
    parser->to_text = value;
    return read_time(parser, value, &parser->to);
}

static int read_duration(struct parser *parser, const char *value, int64_t *ret_ns)
{
    if (ts_parse_duration(value, ret_ns))
        return BAD(parser, "\"%.60s\" is not a duration: a number with ms, s, m, h, d, w or y, or of seconds", value);
    return 0;
}

static int read_last(struct parser *parser, const char *value)
{
    parser->has_last = true;
    return read_duration(parser, value, &parser->last);
}

static int read_time_slice(struct parser *parser, const char *value)
{
    int64_t width;
    char stored[32];
    int r = read_duration(parser, value, &width);
    if (r)
        return r;
    if (width == 0)
        return BAD(parser, "a time_slice of 0 holds nothing; the stored one is %s",
                   ts_format_duration(parser->stored.time_slice, stored));
    if (width % parser->stored.time_slice)
        return BAD(parser, "%.60s is not a multiple of the stored time_slice %s", value,
                   ts_format_duration(parser->stored.time_slice, stored));
    parser->query->unit = width / parser->stored.time_slice;
    return 0;
}

static int read_metric(struct parser *parser, const char *value)
{
    for (int i = 0; i < TS_METRICS; i++) {
        if (strcmp(value, metrics[i]) == 0) {
            parser->query->metric = (enum ts_metric)i;
            parser->has_metric = true;
            return 0;
        }
    }
    return BAD(parser, "\"%.60s\" is not one of cumtime, tottime, ncalls, pcalls", value);
}

static bool is_label_key(const char *key)
{
    static const char bytes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    size_t len = strspn(key, bytes);
    return len > 0 && len <= TS_LABEL_KEY_MAX && !key[len] && !(*key >= '0' && *key <= '9');
}

static int read_label_key(struct parser *parser, const char *key, char **ret_key)
{
    if (!is_label_key(key))
        return BAD(parser, "\"%.60s\" is not the key of a label: [A-Za-z_][A-Za-z0-9_]*, up to %d bytes", key,
                   TS_LABEL_KEY_MAX);
    char *copy = strdup(key);
    if (!copy)
        return TS_ENOMEM;
    *ret_key = copy;
    return 0;
}

static int read_by(struct parser *parser, const char *value)
{
    struct ts_query *query = parser->query;
    if (strcmp(value, "function") == 0) {
        query->by = TS_BY_FUNCTION;
        return 0;
    }
    if (strcmp(value, "location") == 0) {
        query->by = TS_BY_LOCATION;
        return 0;
    }
    if (strncmp(value, "label.", 6) != 0)
        return BAD(parser, "\"%.60s\" is not one of function, location, label.KEY", value);
    if (query->kind == TS_QUERY_DIFF)
        return BAD(parser, "diff compares by function or location");
    query->by = TS_BY_LABEL;
    return read_label_key(parser, value + 6, &query->by_key);
}

static int read_top(struct parser *parser, const char *value)
{
    size_t digits = strspn(value, "0123456789");
    size_t top = 0;
    for (size_t i = 0; i < digits && top < TS_QUERY_VALUES_MAX * 10; i++)
        top = top * 10 + (size_t)(value[i] - '0');
    if (value[digits] || top == 0)
        return BAD(parser, "\"%.60s\" is not a whole number from 1", value);
    parser->query->top = top;
    return 0;
}

static int read_bool(struct parser *parser, const char *value, bool *ret)
{
    bool yes = strcmp(value, "true") == 0;
    if (!yes && strcmp(value, "false") != 0)
        return BAD(parser, "\"%.60s\" is not one of true, false", value);
    *ret = yes;
    return 0;
}

static int read_fill(struct parser *parser, const char *value)
{
    return read_bool(parser, value, &parser->query->fill);
}

static int read_dry_run(struct parser *parser, const char *value)
{
    return read_bool(parser, value, &parser->query->dry_run);
}

static int read_fresh(struct parser *parser, const char *value)
{
    bool fresh = false;
    int r = read_bool(parser, value, &fresh);
    if (!r)
        parser->query->fresh = fresh;
    return r;
}

static int read_format(struct parser *parser, const char *value)
{
    enum ts_query_kind kind = parser->query->kind;
    bool has_csv = kind == TS_QUERY_BUCKETS || kind == TS_QUERY_TOP || kind == TS_QUERY_DIFF;
    parser->query->csv = strcmp(value, "csv") == 0;
    if (parser->query->csv && !has_csv)
        return BAD(parser, "%s has no csv form, only json", kinds[kind]);
    if (!parser->query->csv && strcmp(value, "json") != 0)
        return BAD(parser, "\"%.60s\" is not one of json%s", value, has_csv ? ", csv" : "");
    return 0;
}

static int read_function(struct parser *parser, const char *value)
{
    struct ts_query *query = parser->query;
    if (query->n_globs == REPEATS_MAX)
        return BAD(parser, "more than %d patterns", REPEATS_MAX);
    struct ts_str pattern = ts_function_name((struct ts_str){value, strlen(value)});
    parser->has_filter = true;
    int r = ts_glob_compile(pattern, &query->globs[query->n_globs]);
    if (r == TS_EINVAL)
        return BAD(parser, "\"%.60s\" is not a pattern: UTF-8, up to %d bytes", value, TS_GLOB_MAX);
    if (!r)
        query->n_globs++;
    return r;
}

static int add_label(struct parser *parser, struct ts_query *query, const char *key, const char *value)
{
    if (query->n_labels == REPEATS_MAX)
        return BAD(parser, "more than %d labels", REPEATS_MAX);
    struct ts_label_filter *label = &query->labels[query->n_labels];
    int r = read_label_key(parser, key, &label->key);
    if (r)
        return r;
    query->n_labels++; /* deinit frees the key */
    label->value = strdup(value);
    return label->value ? 0 : TS_ENOMEM;
}

static int read_label(struct parser *parser, const char *value)
{
    const char *key = parser->name + strlen("label.");
    struct ts_query *query = parser->query;
    parser->has_filter = true;
    if (query->kind != TS_QUERY_DIFF)
        return add_label(parser, query, key, value);
    int r = add_label(parser, query->sides[0], key, value);
    return r ? r : add_label(parser, query->sides[1], key, value);
}

static int read_side_label(struct parser *parser, int side, const char *value)
{
    parser->has_side[side] = true;
    return add_label(parser, parser->query->sides[side], strstr(parser->name, ".label.") + strlen(".label."), value);
}

static int read_before_label(struct parser *parser, const char *value)
{
    return read_side_label(parser, 0, value);
}

static int read_after_label(struct parser *parser, const char *value)
{
    return read_side_label(parser, 1, value);
}

/* One end of FROM..TO: empty, a time, or a duration for "that long ago". */
static int read_end(struct parser *parser, const char *text, bool *ret_given, ts_i128 *ret_ns)
{
    int64_t ns;
    *ret_given = *text;
    if (!*text)
        return 0;
    char last = text[strlen(text) - 1];
    bool ago = *text >= '0' && *text <= '9' && ((last >= 'a' && last <= 'z')) && !ts_parse_duration(text, &ns);
    if (ago) {
        *ret_ns = (ts_i128)parser->now - ns;
        return 0;
    }
    int r = read_time(parser, text, &ns);
    *ret_ns = ns;
    return r;
}

static int read_side(struct parser *parser, int side, const char *value)
{
    struct ts_query_span *span = &parser->query->sides[side]->span;
    char from[128];
    const char *dots = strstr(value, "..");
    parser->has_side[side] = true;
    if (strncmp(value, "last:", 5) == 0) {
        int64_t ns;
        int r = read_duration(parser, value + 5, &ns);
        *span = (struct ts_query_span){true, true, (ts_i128)parser->now - (r ? 0 : ns), parser->now};
        return r;
    }
    if (!dots || (size_t)(dots - value) >= sizeof(from))
        return BAD(parser, "\"%.60s\" is not a range: last:DURATION or FROM..TO, such as last:1h or 2h..1h", value);
    memcpy(from, value, (size_t)(dots - value));
    from[dots - value] = '\0';
    int r = read_end(parser, from, &span->has_from, &span->from);
    if (!r)
        r = read_end(parser, dots + 2, &span->has_to, &span->to);
    if (!r && span->has_from && span->has_to && span->from > span->to)
        return BAD(parser, "\"%.60s\" ends before it begins", value);
    return r;
}

static int read_before(struct parser *parser, const char *value)
{
    return read_side(parser, 0, value);
}

static int read_after(struct parser *parser, const char *value)
{
    return read_side(parser, 1, value);
}

/* ---- The table ---- */

static const struct parameter {
    const char *name;
    unsigned kinds;
    bool repeatable;
    read_fn read;
} parameters[] = {
    {"from", B | T | X, false, read_from},
    {"to", B | T | X, false, read_to},
    {"last", B | T | X, false, read_last},
    {"before", D, false, read_before},
    {"after", D, false, read_after},
    {"metric", B | T | D, false, read_metric},
    {"function", B | T | F | D | X, true, read_function},
    {"label.KEY", B | T | D | X, true, read_label}, /* matched by what stands before KEY */
    {"before.label.KEY", D, true, read_before_label},
    {"after.label.KEY", D, true, read_after_label},
    {"by", B | T | D, false, read_by},
    {"top", B | T | D, false, read_top},
    {"time_slice", B, false, read_time_slice},
    {"fill", B, false, read_fill},
    {"dry_run", X, false, read_dry_run},
    {"format", B | T | F | L | D, false, read_format},
    {"fresh", B | T | F | L | D, false, read_fresh},
};
enum { N_PARAMETERS = sizeof(parameters) / sizeof(parameters[0]) };

static int find_parameter(enum ts_query_kind kind, const char *name)
{
    for (int i = 0; i < N_PARAMETERS; i++) {
        const char *key = strstr(parameters[i].name, "KEY");
        size_t len = key ? (size_t)(key - parameters[i].name) : strlen(parameters[i].name) + 1;
        if (parameters[i].kinds & 1u << kind && strncmp(name, parameters[i].name, len) == 0)
            return i;
    }
    return -1;
}

static int unknown_parameter(struct parser *parser)
{
    enum ts_query_kind kind = parser->query->kind;
    char known[200] = "";
    size_t len = 0;
    for (int i = 0; i < N_PARAMETERS; i++) {
        if (parameters[i].kinds & 1u << kind)
            len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", len ? ", " : "", parameters[i].name);
    }
    return BAD(parser, "there is no parameter \"%.40s\"; %s takes %s", parser->name, kinds[kind], known);
}

static int read_parameters(struct parser *parser, const struct ts_query_param *params, size_t n_params)
{
    unsigned given = 0;
    for (size_t i = 0; i < n_params; i++) {
        int which = find_parameter(parser->query->kind, params[i].name);
        parser->name = params[i].name;
        if (which < 0)
            return unknown_parameter(parser);
        if (!parameters[which].repeatable && given & 1u << which)
            return BAD(parser, "%s is given more than once", params[i].name);
        given |= 1u << which;
        if (!params[i].value)
            return BAD(parser, "%.60s has no value", params[i].name);
        int r = parameters[which].read(parser, params[i].value);
        if (r)
            return r;
    }
    return 0;
}

/* ---- What concerns several ---- */

static int conclude_diff(struct parser *parser)
{
    struct ts_query *query = parser->query;
    if (!parser->has_side[0] && !parser->has_side[1]) {
        parser->name = "before";
        return BAD(parser, "there is nothing to compare: give before and after, such as before=2h..1h, after=last:1h");
    }
    for (int i = 0; i < 2; i++) {
        struct ts_query *side = query->sides[i];
        side->metric = query->metric;
        side->by = query->by;
        side->globs = query->globs;
        side->n_globs = query->n_globs;
        side->borrowed = true;
    }
    return 0;
}

static int conclude(struct parser *parser)
{
    struct ts_query *query = parser->query;
    if (parser->has_last && (parser->from_text || parser->to_text)) {
        parser->name = "last";
        return BAD(parser, "last is a range by itself: give either last, or from and to");
    }
    if (parser->from_text && parser->to_text && parser->from > parser->to) {
        parser->name = "from";
        return BAD(parser, "from %.60s is after to %.60s", parser->from_text, parser->to_text);
    }
    if (query->kind == TS_QUERY_DELETE && !parser->has_filter && !parser->has_last && !parser->from_text &&
        !parser->to_text) {
        parser->name = "function";
        return BAD(parser, "that would delete everything: give at least one of function, label.KEY, from, to, last");
    }
    if (parser->has_last)
        query->span = (struct ts_query_span){true, true, (ts_i128)parser->now - parser->last, parser->now};
    else
        query->span = (struct ts_query_span){parser->from_text, parser->to_text, parser->from, parser->to};
    /* Cumtimes nest: summed over functions they count the same second more than once. */
    if (!parser->has_metric)
        query->metric = query->by == TS_BY_LABEL ? TS_TOTTIME : TS_CUMTIME;
    return query->kind == TS_QUERY_DIFF ? conclude_diff(parser) : 0;
}

static struct ts_query *query_new(enum ts_query_kind kind, const struct ts_grid *grid)
{
    struct ts_query *query = calloc(1, sizeof(*query));
    if (!query)
        return NULL;
    *query = (struct ts_query){
        .kind = kind, .grid = *grid, .top = SIZE_MAX, .fresh = -1, .dry_run = kind == TS_QUERY_DELETE};
    query->globs = calloc(REPEATS_MAX, sizeof(*query->globs));
    query->labels = calloc(REPEATS_MAX, sizeof(*query->labels));
    return query->globs && query->labels ? query : ts_query_free(query);
}

static int make_sides(struct ts_query *query)
{
    for (int i = 0; i < 2; i++) {
        query->sides[i] = query_new(TS_QUERY_TOP, &query->grid);
        if (!query->sides[i])
            return TS_ENOMEM;
        free(query->sides[i]->globs); /* those of both are the diff's */
        query->sides[i]->globs = NULL;
    }
    return 0;
}

int ts_query_parse(enum ts_query_kind kind, const struct ts_query_param *params, size_t n_params,
                   const struct ts_grid *grid, int64_t now_ns, struct ts_query **ret_query,
                   struct ts_query_error *ret_error)
{
    struct ts_query *query = query_new(kind, grid);
    if (!query)
        return ts_query_explain(ret_error, TS_ENOMEM);
    struct parser parser = {.query = query, .stored = *grid, .now = now_ns, .error = ret_error};
    int r = kind == TS_QUERY_DIFF ? make_sides(query) : 0;
    if (!r)
        r = read_parameters(&parser, params, n_params);
    if (!r)
        r = conclude(&parser);
    if (r) {
        ts_query_free(query);
        return ts_query_explain(ret_error, r);
    }
    *ret_query = query;
    return 0;
}

struct ts_query *ts_query_free(struct ts_query *query)
{
    if (!query)
        return NULL;
    ts_query_free(query->sides[0]);
    ts_query_free(query->sides[1]);
    for (size_t i = 0; i < query->n_globs && !query->borrowed; i++)
        ts_glob_deinit(&query->globs[i]);
    for (size_t i = 0; i < query->n_labels; i++) {
        free(query->labels[i].key);
        free(query->labels[i].value);
    }
    if (!query->borrowed)
        free(query->globs);
    free(query->labels);
    free(query->by_key);
    free(query);
    return NULL;
}

bool ts_query_fresh(const struct ts_query *query, bool default_value)
{
    return query->fresh < 0 ? default_value : query->fresh;
}

bool ts_query_csv(const struct ts_query *query)
{
    return query->csv;
}

bool ts_query_dry_run(const struct ts_query *query)
{
    return query->dry_run;
}
