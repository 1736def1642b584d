/* Parameters: those accepted, what they set in the query, and those rejected, with the message. */
#include "lib/query/spec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/query.h"
#include "tests/unit/failing_alloc.h"

#define S TS_NS_PER_S
#define NOW (INT64_C(1732272100) * S)

static struct ts_query_error error;

/* text: as of query_params(). */
static int parse(enum ts_query_kind kind, const char *text, struct ts_query **ret_query)
{
    static const struct ts_grid grid = {.start_time = 0, .time_slice = 10 * S};
    struct ts_query_param params[128];
    char copy[4096];
    assert_true(strlen(text) < sizeof(copy));
    strcpy(copy, text);
    size_t n = query_params(copy, params, 128);
    error = (struct ts_query_error){.kind = TS_QUERY_NO_ERROR};
    *ret_query = NULL;
    return ts_query_parse(kind, params, n, &grid, NOW, ret_query, &error);
}

static struct ts_query *parsed(enum ts_query_kind kind, const char *text)
{
    struct ts_query *query;
    if (parse(kind, text, &query))
        fail_msg("%s: %s", text, error.message);
    return query;
}

/* ---- Accepted ---- */

static void accepted_values(void **state)
{
    (void)state;
    static const char *const good[] = {
        "",
        "from=1&to=1",
        "from=-90s&to=now",
        "from=2026-01-31&to=2026-01-31T10:00:00Z",
        "last=0",
        "last=1.5h",
        "top=1",
        "top=99999999999999999999999999999999",
        "top=007",
        "by=location&metric=pcalls",
        "by=label._x9",
        "label.a=&label.a=b&label.b=c",
        "function=&function=*&function=[",
        "time_slice=10",
        "time_slice=10000ms",
        "time_slice=1w",
        "fill=false",
        "format=csv&fresh=false",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct ts_query *query = parsed(TS_QUERY_BUCKETS, good[i]);
        assert_int_equal(ts_query_csv(query), strstr(good[i], "csv") != NULL);
        assert_int_equal(ts_query_fresh(query, true), strstr(good[i], "fresh") == NULL);
        assert_false(ts_query_fresh(query, false));
        assert_null(ts_query_free(query));
    }
    struct ts_query *query = parsed(TS_QUERY_LABELS, "fresh=true");
    assert_true(ts_query_fresh(query, false));
    ts_query_free(query);
    assert_null(ts_query_free(NULL));
}

static void defaults(void **state)
{
    (void)state;
    struct ts_query *query = parsed(TS_QUERY_BUCKETS, "");
    assert_int_equal(query->unit, 0);
    assert_false(query->span.has_from || query->span.has_to);
    assert_int_equal(query->metric, TS_CUMTIME);
    assert_int_equal(query->by, TS_BY_FUNCTION);
    assert_true(query->top == SIZE_MAX);
    assert_false(query->fill || query->csv || query->dry_run);
    ts_query_free(query);
    /* Cumtimes of different functions cannot be added up. */
    query = parsed(TS_QUERY_TOP, "by=label.host");
    assert_int_equal(query->metric, TS_TOTTIME);
    assert_string_equal(query->by_key, "host");
    ts_query_free(query);
    query = parsed(TS_QUERY_TOP, "metric=cumtime&by=label.host");
    assert_int_equal(query->metric, TS_CUMTIME);
    ts_query_free(query);
    query = parsed(TS_QUERY_DELETE, "function=a");
    assert_true(ts_query_dry_run(query));
    ts_query_free(query);
    query = parsed(TS_QUERY_DELETE, "function=a&dry_run=false");
    assert_false(ts_query_dry_run(query));
    ts_query_free(query);
}

static void expect_span(enum ts_query_kind kind, const char *text, int64_t from, int64_t to)
{
    struct ts_query *query = parsed(kind, text);
    const struct ts_query_span *span = kind == TS_QUERY_DIFF ? &query->sides[0]->span : &query->span;
    assert_int_equal(span->has_from, from != INT64_MIN);
    assert_int_equal(span->has_to, to != INT64_MAX);
    if (span->has_from && span->from != from)
        fail_msg("%s: from %lld, expected %lld", text, (long long)span->from, (long long)from);
    if (span->has_to && span->to != to)
        fail_msg("%s: to %lld, expected %lld", text, (long long)span->to, (long long)to);
    ts_query_free(query);
}

static void ranges(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t from; /* INT64_MIN: not given */
        int64_t to;   /* INT64_MAX: not given */
    } table[] = {
        {"from=100&to=200.5", 100 * S, 200 * S + S / 2},
        {"from=-90", -90 * S, INT64_MAX},
        {"to=now", INT64_MIN, NOW},
        {"from=-90s&to=-1m", NOW - 90 * S, NOW - 60 * S},
        {"from=2024-11-22T10:40:00Z", INT64_C(1732272000) * S, INT64_MAX},
        {"last=1h", NOW - 3600 * S, NOW},
        {"last=0", NOW, NOW},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        expect_span(TS_QUERY_BUCKETS, table[i].text, table[i].from, table[i].to);
        expect_span(TS_QUERY_TOP, table[i].text, table[i].from, table[i].to);
        expect_span(TS_QUERY_DELETE, table[i].text, table[i].from, table[i].to);
    }
    expect_span(TS_QUERY_DIFF, "before=last:1m", NOW - 60 * S, NOW);
    expect_span(TS_QUERY_DIFF, "before=2h..1h", NOW - 7200 * S, NOW - 3600 * S);
    expect_span(TS_QUERY_DIFF, "before=-2h..-1h", NOW - 7200 * S, NOW - 3600 * S);
    expect_span(TS_QUERY_DIFF, "before=100..1d", 100 * S, NOW - 86400 * S);
    expect_span(TS_QUERY_DIFF, "before=..100", INT64_MIN, 100 * S);
    expect_span(TS_QUERY_DIFF, "before=100..", 100 * S, INT64_MAX);
    expect_span(TS_QUERY_DIFF, "before=..", INT64_MIN, INT64_MAX);
    expect_span(TS_QUERY_DIFF, "after=last:1m", INT64_MIN, INT64_MAX);
}

static void filters_and_options(void **state)
{
    (void)state;
    struct ts_query *query =
        parsed(TS_QUERY_BUCKETS, "time_slice=1m&top=7&fill=true&format=csv&by=location&metric=pcalls"
                                 "&function=_a*&function=b&label.x=1&label.y=&label.x=2");
    assert_int_equal(query->unit, 6);
    assert_int_equal(query->top, 7);
    assert_true(query->fill && query->csv);
    assert_int_equal(query->by, TS_BY_LOCATION);
    assert_int_equal(query->metric, TS_PCALLS);
    /* Leading underscores of a pattern are removed, as those of names are. */
    assert_int_equal(query->n_globs, 2);
    assert_true(ts_glob_match(&query->globs[0], (struct ts_str){"ab", 2}));
    assert_false(ts_glob_match(&query->globs[0], (struct ts_str){"_ab", 3}));
    assert_int_equal(query->n_labels, 3);
    assert_string_equal(query->labels[0].key, "x");
    assert_string_equal(query->labels[1].value, "");
    assert_string_equal(query->labels[2].value, "2");
    ts_query_free(query);
}

static void both_sides_of_a_diff_have_its_filters(void **state)
{
    (void)state;
    struct ts_query *query = parsed(TS_QUERY_DIFF, "before=last:1m&metric=tottime&by=location&function=a&label.x=1"
                                                   "&after.label.y=2&top=3");
    assert_int_equal(query->top, 3);
    for (int i = 0; i < 2; i++) {
        const struct ts_query *side = query->sides[i];
        assert_int_equal(side->kind, TS_QUERY_TOP);
        assert_int_equal(side->metric, TS_TOTTIME);
        assert_int_equal(side->by, TS_BY_LOCATION);
        assert_int_equal(side->n_globs, 1);
        assert_true(side->top == SIZE_MAX); /* both sides are joined before the rows are selected */
        assert_int_equal(side->n_labels, 1 + i);
        assert_string_equal(side->labels[0].key, "x");
    }
    assert_string_equal(query->sides[1]->labels[1].key, "y");
    ts_query_free(query);
}

static void very_large_numbers_of_rows_select_all(void **state)
{
    (void)state;
    char text[200] = "top=";
    memset(text + 4, '9', 100);
    text[104] = '\0';
    struct ts_query *query = parsed(TS_QUERY_TOP, text);
    assert_true(query->top > TS_QUERY_VALUES_MAX);
    ts_query_free(query);
}

/* ---- Rejected ---- */

static void expect_rejected(enum ts_query_kind kind, const char *params, const char *parameter, const char *message)
{
    struct ts_query *query;
    int r = parse(kind, params, &query);
    if (r != TS_EINVAL || query)
        fail_msg("\"%s\" is accepted (%d)", params, r);
    assert_int_equal(error.kind, TS_QUERY_BAD_PARAMETER);
    assert_string_equal(error.parameter, parameter);
    if (!strstr(error.message, message))
        fail_msg("%s: \"%s\" is not in: %s", params, message, error.message);
}

static void rejected_values(void **state)
{
    (void)state;
    static const struct {
        int kind;
        const char *params;
        const char *parameter;
        const char *message;
    } table[] = {
        {TS_QUERY_BUCKETS, "form=1", "form",
         "unknown parameter \"form\"; buckets accepts from, to, last, metric, function, "
         "label.KEY, by, top, time_slice, fill, format, fresh"},
        {TS_QUERY_TOP, "time_slice=10s", "time_slice", "top accepts from"},
        {TS_QUERY_TOP, "fill=true", "fill", "top accepts"},
        {TS_QUERY_FUNCTIONS, "from=1", "from", "functions accepts function, format, fresh"},
        {TS_QUERY_LABELS, "function=a", "function", "labels accepts format, fresh"},
        {TS_QUERY_TOP, "=1", "", "unknown parameter \"\""},
        {TS_QUERY_TOP, "From=1", "From", "unknown parameter"},
        {TS_QUERY_TOP, "label=web", "label", "unknown parameter"},
        {TS_QUERY_TOP, "from=1&from=1", "from", "more than once"},
        {TS_QUERY_TOP, "fresh=true&fresh=true", "fresh", "more than once"},
        {TS_QUERY_TOP, "metric=ncalls&by=function&metric=ncalls", "metric", "more than once"},
        {TS_QUERY_TOP, "from", "from", "no value"},
        {TS_QUERY_TOP, "function", "function", "no value"},
        {TS_QUERY_TOP, "label.a", "label.a", "no value"},
        {TS_QUERY_TOP, "from=", "from", "\"\" is not a time: epoch seconds"},
        {TS_QUERY_TOP, "to=tomorrow", "to", "\"tomorrow\" is not a time"},
        {TS_QUERY_TOP, "from=2&to=1", "from", "from 2 is after to 1"},
        {TS_QUERY_TOP, "from=now&to=-1ms", "from", "is after"},
        {TS_QUERY_TOP, "last=1h&from=1", "last", "cannot be combined"},
        {TS_QUERY_TOP, "to=now&last=1h", "last", "cannot be combined"},
        {TS_QUERY_TOP, "last=-1h", "last", "\"-1h\" is not a duration"},
        {TS_QUERY_TOP, "last=1 h", "last", "not a duration"},
        {TS_QUERY_TOP, "metric=calls", "metric", "\"calls\" is not one of cumtime, tottime, ncalls, pcalls"},
        {TS_QUERY_TOP, "metric=", "metric", "is not one of"},
        {TS_QUERY_TOP, "by=file", "by", "\"file\" is not one of function, location, label.KEY"},
        {TS_QUERY_TOP, "by=label.", "by", "is not a label key"},
        {TS_QUERY_TOP, "by=label.a-b", "by", "\"a-b\" is not a label key"},
        {TS_QUERY_TOP, "by=label.1a", "by", "\"1a\" is not a label key"},
        {TS_QUERY_TOP, "label.=x", "label.", "not a label key"},
        {TS_QUERY_TOP, "label.a b=x", "label.a b", "not a label key"},
        {TS_QUERY_TOP, "label.abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklm=x",
         "label.abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklm", "up to 64 bytes"},
        {TS_QUERY_TOP, "top=0", "top", "\"0\" is not a positive integer"},
        {TS_QUERY_TOP, "top=-1", "top", "not a positive integer"},
        {TS_QUERY_TOP, "top=", "top", "not a positive integer"},
        {TS_QUERY_TOP, "top=1.5", "top", "not a positive integer"},
        {TS_QUERY_TOP, "top=10x", "top", "not a positive integer"},
        {TS_QUERY_TOP, "top=+1", "top", "not a positive integer"},
        {TS_QUERY_BUCKETS, "time_slice=7s", "time_slice", "7s is not a multiple of the stored time_slice 10s"},
        {TS_QUERY_BUCKETS, "time_slice=5", "time_slice", "5 is not a multiple of the stored time_slice 10s"},
        {TS_QUERY_BUCKETS, "time_slice=10001ms", "time_slice", "10001ms is not a multiple"},
        {TS_QUERY_BUCKETS, "time_slice=0", "time_slice", "must not be 0; the stored time_slice is 10s"},
        {TS_QUERY_BUCKETS, "time_slice=-10s", "time_slice", "not a duration"},
        {TS_QUERY_BUCKETS, "fill=1", "fill", "\"1\" is not one of true, false"},
        {TS_QUERY_BUCKETS, "fill=TRUE", "fill", "true, false"},
        {TS_QUERY_BUCKETS, "fresh=", "fresh", "true, false"},
        {TS_QUERY_BUCKETS, "format=xml", "format", "\"xml\" is not one of json, csv"},
        {TS_QUERY_FUNCTIONS, "format=csv", "format", "functions supports only the format json"},
        {TS_QUERY_LABELS, "format=xml", "format", "is not one of json"},
        {TS_QUERY_TOP, "function=\xff", "function", "\"?\" is not a valid pattern: it must be UTF-8"},
        {TS_QUERY_TOP, "fr\xc3=1", "fr?", "unknown parameter \"fr?\""},
        {TS_QUERY_DIFF, "", "before", "give before, after or both"},
        {TS_QUERY_DIFF, "label.service=web", "before", "give before, after or both"},
        {TS_QUERY_DIFF, "before=1h", "before", "is not a range"},
        {TS_QUERY_DIFF, "after=last:x", "after", "is not a duration"},
        {TS_QUERY_DIFF, "after=1..x", "after", "is not a time"},
        {TS_QUERY_DIFF, "after=1h..2h", "after", "ends before it begins"},
        {TS_QUERY_DIFF, "after=last:1h&by=label.service", "by", "only by=function and by=location"},
        {TS_QUERY_DIFF, "after=last:1h&time_slice=10s", "time_slice", "unknown parameter"},
        {TS_QUERY_DIFF, "before.label.1x=a", "before.label.1x", "not a label key"},
        {TS_QUERY_DELETE, "", "function", "refusing to delete everything"},
        {TS_QUERY_DELETE, "dry_run=false", "function", "at least one of function, label.KEY, from, to, last"},
        {TS_QUERY_DELETE, "function=a&fresh=true", "fresh",
         "delete accepts from, to, last, function, label.KEY, dry_run"},
        {TS_QUERY_DELETE, "function=a&dry_run=yes", "dry_run", "not one of true, false"},
        {TS_QUERY_DELETE, "last=1h&to=now", "last", "cannot be combined"},
        /* The value is truncated, the last one within a character. */
        {TS_QUERY_TOP, "metric=123456789012345678901234567890123456789012345678901234567890", "metric",
         "7890\" is not"},
        {TS_QUERY_TOP, "metric=12345678901234567890123456789012345678901234567890123456789\xc3\xa9", "metric",
         "789?\" is not"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        expect_rejected((enum ts_query_kind)table[i].kind, table[i].params, table[i].parameter, table[i].message);
}

static void too_many_or_too_long_values_are_rejected(void **state)
{
    (void)state;
    char many[4096] = "";
    for (int i = 0; i < 65; i++)
        strcat(many, "function=a&");
    expect_rejected(TS_QUERY_TOP, many, "function", "more than 64");
    many[0] = '\0';
    for (int i = 0; i < 65; i++)
        strcat(many, "label.a=b&");
    expect_rejected(TS_QUERY_TOP, many, "label.a", "more than 64");
    memset(many, 'a', 2000);
    memcpy(many, "function=", 9);
    many[2000] = '\0';
    expect_rejected(TS_QUERY_TOP, many, "function", "up to 1024 bytes");
    memset(many, 'a', 2000);
    expect_rejected(TS_QUERY_TOP, many,
                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                    "aaaaaaaaaaaaaa",
                    "unknown parameter");
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    static const struct ts_query_param params[] = {{"before.label.a", "b"}, {"label.c", "d"}, {"function", "x*"}};
    static const struct ts_grid grid = {.start_time = 0, .time_slice = S};
    int failures = 0;
    for (int r = TS_ENOMEM; r; failures++) {
        struct ts_query *query = NULL;
        alloc_fail_at = failures;
        r = ts_query_parse(TS_QUERY_DIFF, params, 3, &grid, NOW, &query, &error);
        alloc_fail_at = -1;
        assert_int_equal(r == 0, query != NULL);
        if (r) {
            assert_int_equal(r, TS_ENOMEM);
            assert_int_equal(error.kind, TS_QUERY_INTERNAL);
        }
        ts_query_free(query);
    }
    assert_true(failures >= 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_values),
        cmocka_unit_test(defaults),
        cmocka_unit_test(ranges),
        cmocka_unit_test(filters_and_options),
        cmocka_unit_test(both_sides_of_a_diff_have_its_filters),
        cmocka_unit_test(very_large_numbers_of_rows_select_all),
        cmocka_unit_test(rejected_values),
        cmocka_unit_test(too_many_or_too_long_values_are_rejected),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
