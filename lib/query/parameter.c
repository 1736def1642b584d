#include "lib/query/parameter.h"

#include "lib/aggregate/intern.h"
#include "lib/base/ascii.h"
#include "lib/base/label.h"
#include "lib/base/units.h"
#include "lib/query/error.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

const char *ts_query_kind_name(enum ts_query_kind kind)
{
    static const char *const names[TS_QUERY_KINDS] = {
        [TS_QUERY_BUCKETS] = "buckets", [TS_QUERY_TOP] = "top",   [TS_QUERY_FUNCTIONS] = "functions",
        [TS_QUERY_LABELS] = "labels",   [TS_QUERY_DIFF] = "diff", [TS_QUERY_DELETE] = "delete",
    };
    assert(kind < TS_QUERY_KINDS);
    return names[kind];
}

/* ---- Times ---- */

static int read_time(struct ts_query_parser *parser, const char *value, int64_t *ret_ns)
{
    if (ts_parse_time(value, parser->now, ret_ns))
        return TS_QUERY_BAD(parser,
                            "\"%.60s\" is not a time: epoch seconds (1732272000), ISO 8601 (2026-01-31T10:00:00Z),"
                            " now, or relative to now (-15m)",
                            value);
    return 0;
}

static int read_from(struct ts_query_parser *parser, const char *value)
{
    parser->from_text = value;
    return read_time(parser, value, &parser->from);
}

static int read_to(struct ts_query_parser *parser, const char *value)
{
    parser->to_text = value;
    return read_time(parser, value, &parser->to);
}

static int read_duration(struct ts_query_parser *parser, const char *value, int64_t *ret_ns)
{
    if (ts_parse_duration(value, ret_ns))
        return TS_QUERY_BAD(parser, "\"%.60s\" is not a duration: a number with ms, s, m, h, d, w or y, or of seconds",
                            value);
    return 0;
}

static int read_last(struct ts_query_parser *parser, const char *value)
{
    parser->has_last = true;
    return read_duration(parser, value, &parser->last);
}

static int read_time_slice(struct ts_query_parser *parser, const char *value)
{
    int64_t stored = parser->query->grid.time_slice;
    int64_t width;
    char text[32];
    int r = read_duration(parser, value, &width);
    if (r)
        return r;
    if (width == 0)
        return TS_QUERY_BAD(parser, "time_slice must not be 0; the stored time_slice is %s",
                            ts_format_duration(stored, text));
    if (width % stored)
        return TS_QUERY_BAD(parser, "%.60s is not a multiple of the stored time_slice %s", value,
                            ts_format_duration(stored, text));
    parser->query->unit = width / stored;
    return 0;
}

/* ---- Metric, grouping, filters ---- */

static int read_metric(struct ts_query_parser *parser, const char *value)
{
    for (int i = 0; i < TS_METRICS; i++) {
        if (strcmp(value, ts_metric_name((enum ts_metric)i)) == 0) {
            parser->query->metric = (enum ts_metric)i;
            parser->has_metric = true;
            return 0;
        }
    }
    return TS_QUERY_BAD(parser, "\"%.60s\" is not one of cumtime, tottime, ncalls, pcalls", value);
}

static bool is_label_key(const char *key)
{
    size_t len = 0;
    while (ts_is_letter(key[len]) || ts_is_digit(key[len]) || key[len] == '_')
        len++;
    return len > 0 && len <= TS_LABEL_KEY_MAX && !key[len] && !ts_is_digit(*key);
}

static int read_label_key(struct ts_query_parser *parser, const char *key, char **ret_key)
{
    if (!is_label_key(key))
        return TS_QUERY_BAD(parser, "\"%.60s\" is not a label key: [A-Za-z_][A-Za-z0-9_]*, up to %d bytes", key,
                            TS_LABEL_KEY_MAX);
    char *copy = strdup(key);
    if (!copy)
        return TS_ENOMEM;
    *ret_key = copy;
    return 0;
}

static int read_by(struct ts_query_parser *parser, const char *value)
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
        return TS_QUERY_BAD(parser, "\"%.60s\" is not one of function, location, label.KEY", value);
    if (query->kind == TS_QUERY_DIFF)
        return TS_QUERY_BAD(parser, "diff supports only by=function and by=location");
    query->by = TS_BY_LABEL;
    return read_label_key(parser, value + 6, &query->by_key);
}

static int read_function(struct ts_query_parser *parser, const char *value)
{
    struct ts_query *query = parser->query;
    if (query->n_globs == TS_QUERY_REPEATS_MAX)
        return TS_QUERY_BAD(parser, "more than %d patterns", TS_QUERY_REPEATS_MAX);
    struct ts_str pattern = ts_function_name((struct ts_str){value, strlen(value)});
    parser->has_filter = true;
    int r = ts_glob_compile(pattern, &query->globs[query->n_globs]);
    if (r == TS_EINVAL)
        return TS_QUERY_BAD(parser, "\"%.60s\" is not a valid pattern: it must be UTF-8 of up to %d bytes", value,
                            TS_GLOB_MAX);
    if (!r)
        query->n_globs++;
    return r;
}

static int add_label(struct ts_query_parser *parser, struct ts_query *query, const char *key, const char *value)
{
    if (query->n_labels == TS_QUERY_REPEATS_MAX)
        return TS_QUERY_BAD(parser, "more than %d labels", TS_QUERY_REPEATS_MAX);
    struct ts_label_filter *label = &query->labels[query->n_labels];
    int r = read_label_key(parser, key, &label->key);
    if (r)
        return r;
    query->n_labels++; /* from here on, ts_query_free() frees the key */
    label->value = strdup(value);
    return label->value ? 0 : TS_ENOMEM;
}

static int read_label(struct ts_query_parser *parser, const char *value)
{
    const char *key = parser->name + strlen("label.");
    struct ts_query *query = parser->query;
    parser->has_filter = true;
    if (query->kind != TS_QUERY_DIFF)
        return add_label(parser, query, key, value);
    int r = add_label(parser, query->sides[0], key, value);
    return r ? r : add_label(parser, query->sides[1], key, value);
}

static int read_top(struct ts_query_parser *parser, const char *value)
{
    size_t digits = strspn(value, "0123456789");
    size_t top = 0;
    /* Stops above the limit of values, before it could overflow: any larger number selects all functions as well. */
    for (size_t i = 0; i < digits && top < TS_QUERY_VALUES_MAX * 10; i++)
        top = top * 10 + (size_t)(value[i] - '0');
    if (value[digits] || top == 0)
        return TS_QUERY_BAD(parser, "\"%.60s\" is not a positive integer", value);
    parser->query->top = top;
    return 0;
}

/* ---- Options ---- */

static int read_bool(struct ts_query_parser *parser, const char *value, bool *ret)
{
    bool is_true = strcmp(value, "true") == 0;
    if (!is_true && strcmp(value, "false") != 0)
        return TS_QUERY_BAD(parser, "\"%.60s\" is not one of true, false", value);
    *ret = is_true;
    return 0;
}

static int read_fill(struct ts_query_parser *parser, const char *value)
{
    return read_bool(parser, value, &parser->query->fill);
}

static int read_dry_run(struct ts_query_parser *parser, const char *value)
{
    return read_bool(parser, value, &parser->query->dry_run);
}

static int read_fresh(struct ts_query_parser *parser, const char *value)
{
    bool fresh = false;
    int r = read_bool(parser, value, &fresh);
    if (!r)
        parser->query->fresh = fresh;
    return r;
}

static int read_format(struct ts_query_parser *parser, const char *value)
{
    enum ts_query_kind kind = parser->query->kind;
    bool has_csv = kind == TS_QUERY_BUCKETS || kind == TS_QUERY_TOP || kind == TS_QUERY_DIFF;
    parser->query->csv = strcmp(value, "csv") == 0;
    if (parser->query->csv && !has_csv)
        return TS_QUERY_BAD(parser, "%s supports only the format json", ts_query_kind_name(kind));
    if (!parser->query->csv && strcmp(value, "json") != 0)
        return TS_QUERY_BAD(parser, "\"%.60s\" is not one of json%s", value, has_csv ? ", csv" : "");
    return 0;
}

/* ---- The sides of a diff ---- */

/* One end of FROM..TO: empty, a time, or a duration before now. */
static int read_end(struct ts_query_parser *parser, const char *text, bool *ret_given, ts_i128 *ret_ns)
{
    int64_t ns;
    *ret_given = *text;
    if (!*text)
        return 0;
    char last = text[strlen(text) - 1];
    bool has_unit = ts_is_digit(*text) && last >= 'a' && last <= 'z';
    if (has_unit && !ts_parse_duration(text, &ns)) {
        *ret_ns = (ts_i128)parser->now - ns;
        return 0;
    }
    int r = read_time(parser, text, &ns);
    *ret_ns = ns;
    return r;
}

static int read_side(struct ts_query_parser *parser, int side, const char *value)
{
    struct ts_query_span *span = &parser->query->sides[side]->span;
    char from[128];
    const char *dots = strstr(value, "..");
    parser->has_side[side] = true;
    if (strncmp(value, "last:", 5) == 0) {
        int64_t ns;
        int r = read_duration(parser, value + 5, &ns);
        if (!r)
            *span = (struct ts_query_span){true, true, (ts_i128)parser->now - ns, parser->now};
        return r;
    }
    if (!dots || (size_t)(dots - value) >= sizeof(from))
        return TS_QUERY_BAD(parser, "\"%.60s\" is not a range: last:DURATION or FROM..TO, such as last:1h or 2h..1h",
                            value);
    memcpy(from, value, (size_t)(dots - value));
    from[dots - value] = '\0';
    int r = read_end(parser, from, &span->has_from, &span->from);
    if (!r)
        r = read_end(parser, dots + 2, &span->has_to, &span->to);
    if (!r && span->has_from && span->has_to && span->from > span->to)
        return TS_QUERY_BAD(parser, "\"%.60s\" ends before it begins", value);
    return r;
}

static int read_before(struct ts_query_parser *parser, const char *value)
{
    return read_side(parser, 0, value);
}

static int read_after(struct ts_query_parser *parser, const char *value)
{
    return read_side(parser, 1, value);
}

static int read_side_label(struct ts_query_parser *parser, int side, const char *value)
{
    const char *key = strstr(parser->name, ".label.") + strlen(".label.");
    parser->has_side[side] = true;
    return add_label(parser, parser->query->sides[side], key, value);
}

static int read_before_label(struct ts_query_parser *parser, const char *value)
{
    return read_side_label(parser, 0, value);
}

static int read_after_label(struct ts_query_parser *parser, const char *value)
{
    return read_side_label(parser, 1, value);
}

/* ---- The table ---- */

enum {
    B = 1 << TS_QUERY_BUCKETS,
    T = 1 << TS_QUERY_TOP,
    F = 1 << TS_QUERY_FUNCTIONS,
    L = 1 << TS_QUERY_LABELS,
    D = 1 << TS_QUERY_DIFF,
    X = 1 << TS_QUERY_DELETE,
};

const struct ts_query_parameter ts_query_parameters[TS_QUERY_PARAMETERS] = {
    {"from", B | T | X, false, read_from},
    {"to", B | T | X, false, read_to},
    {"last", B | T | X, false, read_last},
    {"before", D, false, read_before},
    {"after", D, false, read_after},
    {"metric", B | T | D, false, read_metric},
    {"function", B | T | F | D | X, true, read_function},
    {"label.KEY", B | T | D | X, true, read_label},
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
