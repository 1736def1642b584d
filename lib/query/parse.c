/*
 * Parameters to struct ts_query: reads each by the table of parameters, then checks combinations and sets defaults that
 * depend on several of them.
 */
#include "lib/query/error.h"
#include "lib/query/parameter.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* The index of the parameter in the table, -1 if queries of this kind do not accept it. */
static int find_parameter(enum ts_query_kind kind, const char *name)
{
    for (int i = 0; i < TS_QUERY_PARAMETERS; i++) {
        const struct ts_query_parameter *parameter = &ts_query_parameters[i];
        const char *key = strstr(parameter->name, "KEY");
        size_t len = key ? (size_t)(key - parameter->name) : strlen(parameter->name) + 1;
        if (parameter->kinds & 1u << kind && strncmp(name, parameter->name, len) == 0)
            return i;
    }
    return -1;
}

static int fail_unknown(struct ts_query_parser *parser)
{
    enum ts_query_kind kind = parser->query->kind;
    char accepted[200] = "";
    size_t len = 0;
    for (int i = 0; i < TS_QUERY_PARAMETERS; i++) {
        if (ts_query_parameters[i].kinds & 1u << kind)
            len += (size_t)snprintf(accepted + len, sizeof(accepted) - len, "%s%s", len ? ", " : "",
                                    ts_query_parameters[i].name);
    }
    assert(len < sizeof(accepted));
    return TS_QUERY_BAD(parser, "unknown parameter \"%.40s\"; %s accepts %s", parser->name, ts_query_kind_name(kind),
                        accepted);
}

static int read_parameters(struct ts_query_parser *parser, const struct ts_query_param *params, size_t n_params)
{
    unsigned given = 0;
    for (size_t i = 0; i < n_params; i++) {
        int which = find_parameter(parser->query->kind, params[i].name);
        parser->name = params[i].name;
        if (which < 0)
            return fail_unknown(parser);
        if (!ts_query_parameters[which].repeatable && given & 1u << which)
            return TS_QUERY_BAD(parser, "%s is given more than once", params[i].name);
        given |= 1u << which;
        if (!params[i].value)
            return TS_QUERY_BAD(parser, "%.60s has no value", params[i].name);
        int r = ts_query_parameters[which].read(parser, params[i].value);
        if (r)
            return r;
    }
    return 0;
}

/* ---- Combinations and defaults ---- */

static int set_sides(struct ts_query_parser *parser)
{
    struct ts_query *query = parser->query;
    if (!parser->has_side[0] && !parser->has_side[1]) {
        parser->name = "before";
        return TS_QUERY_BAD(parser, "give before, after or both, such as before=2h..1h and after=last:1h");
    }
    for (int i = 0; i < 2; i++) {
        struct ts_query *side = query->sides[i];
        side->metric = query->metric;
        side->by = query->by;
        side->n_globs = query->n_globs;
        assert(side->globs == query->globs);
    }
    return 0;
}

static int check_range(struct ts_query_parser *parser)
{
    if (parser->has_last && (parser->from_text || parser->to_text)) {
        parser->name = "last";
        return TS_QUERY_BAD(parser, "last cannot be combined with from or to");
    }
    if (parser->from_text && parser->to_text && parser->from > parser->to) {
        parser->name = "from";
        return TS_QUERY_BAD(parser, "from %.60s is after to %.60s", parser->from_text, parser->to_text);
    }
    return 0;
}

static int finish(struct ts_query_parser *parser)
{
    struct ts_query *query = parser->query;
    bool has_range = parser->has_last || parser->from_text || parser->to_text;
    int r = check_range(parser);
    if (r)
        return r;
    if (query->kind == TS_QUERY_DELETE && !parser->has_filter && !has_range) {
        parser->name = "function";
        return TS_QUERY_BAD(parser, "refusing to delete everything: give at least one of function, label.KEY, from,"
                                    " to, last");
    }
    if (parser->has_last)
        query->span = (struct ts_query_span){true, true, (ts_i128)parser->now - parser->last, parser->now};
    else
        query->span = (struct ts_query_span){parser->from_text, parser->to_text, parser->from, parser->to};
    /* Cumtimes include those of called functions, so their sum over functions would count time more than once. */
    if (!parser->has_metric)
        query->metric = query->by == TS_BY_LABEL ? TS_TOTTIME : TS_CUMTIME;
    return query->kind == TS_QUERY_DIFF ? set_sides(parser) : 0;
}

int ts_query_parse(enum ts_query_kind kind, const struct ts_query_param *params, size_t n_params,
                   const struct ts_grid *grid, int64_t now_ns, struct ts_query **ret_query,
                   struct ts_query_error *ret_error)
{
    struct ts_query *query = ts_query_new(kind, grid);
    if (!query)
        return ts_query_fail_with(ret_error, TS_ENOMEM);
    struct ts_query_parser parser = {.query = query, .now = now_ns, .error = ret_error};
    int r = read_parameters(&parser, params, n_params);
    if (!r)
        r = finish(&parser);
    if (r) {
        ts_query_free(query);
        return ts_query_fail_with(ret_error, r);
    }
    *ret_query = query;
    return 0;
}
