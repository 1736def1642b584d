/* Diff: the split of a change into called more and slower per call, ranks, one-sided functions, what is null, CSV. */
#include "tests/unit/lib/query/query_store.h"

/* Two buckets: 10 s from T0 on, and 10 s later. */
#define BEFORE "before=1732272000..1732272010"
#define AFTER "after=1732272010..1732272020"
#define BOTH BEFORE "&" AFTER

static void fill(struct fixture *f)
{
    int64_t first = T0 / 10;
    f->with_resolution = true;
    add_head(f, first, WEB, (struct ts_profile_sums){.profiles = 2, .total_tt = 3 * S});
    add_head(f, first + 1, WEB, (struct ts_profile_sums){.profiles = 4, .total_tt = 8 * S});
    add(f, first, WEB, "_f", "/a.py", 1, (struct ts_sums){2 * S, S, 4, 4});
    add(f, first + 1, WEB, "f", "/a.py", 1, (struct ts_sums){12 * S, 2 * S, 16, 12});
    add(f, first, WEB, "gone", NULL, -1, (struct ts_sums){S, S, 1, 1});
    add(f, first + 1, WEB, "come", NULL, -1, (struct ts_sums){S, S, 3, 3});
    add(f, first, WEB, "same", NULL, -1, (struct ts_sums){S, 0, 1, 1});
    add(f, first + 1, WEB, "same", NULL, -1, (struct ts_sums){2 * S, 0, 2, 2});
    commit(f);
}

#define SIDE(from, to, profiles, total_tt) \
    "{\"from\": " from ", \"to\": " to ", \"from_resolution\": 10, \"to_resolution\": 10, \"profiles\": " profiles \
    ", \"total_tt\": " total_tt "}"
#define SUMS(cumtime, tottime, ncalls, pcalls) \
    "{\"cumtime\": " cumtime ", \"tottime\": " tottime ", \"ncalls\": " ncalls ", \"pcalls\": " pcalls "}"
#define FOUR(a, b, c, d) "{\"before\": " a ", \"after\": " b ", \"change\": " c ", \"ratio\": " d "}"

/* f: 1 s a profile in 2 calls of 0.5 s, then 3 s in 3 calls of 1 s: (3 - 2) * 0.75 s more, 0.5 s * 2.5 slower. */
static void test_split(void **state)
{
    struct fixture *f = *state;
    fill(f);
    expect(
        f, TS_QUERY_DIFF, BOTH "&top=3",
        "{\"before\": " SIDE("1732272000", "1732272010", "2", "3") ", \"after\": " SIDE(
            "1732272010", "1732272020", "4",
            "8") ", \"metric\": \"cumtime\", \"unit\": \"seconds\","
                 " \"calls\": \"pcalls\", \"functions\": [{\"function\": \"f\", \"before\": " SUMS("2", "1", "4", "4") ", \"after\": " SUMS("12", "2", "16", "12") ", \"per_profile\": " FOUR("1", "3", "2", "3") ", \"per_call\": " FOUR(
                     "0.5", "1", "0.5",
                     "2") ", \"called_more\": 0.75, \"slower_per_call\": 1.25}, "
                          "{\"function\": \"gone\", \"before\": " SUMS("1", "1", "1", "1") ", \"after\": " SUMS("0", "0", "0", "0") ", \"per_profile\": " FOUR("0.5", "0", "-0.5", "0") ", \"per_call\": " FOUR(
                              "1", "null", "null",
                              "null") ", \"called_more\": -0.5, \"slower_per_call\": 0}, "
                                      "{\"function\": \"come\", \"before\": " SUMS("0", "0", "0", "0") ", \"after\": " SUMS("1", "1", "3", "3") ", \"per_profile\": " FOUR(
                                          "0", "0.25", "0.25",
                                          "null") ", \"per_call\": " FOUR("null", "0.333333333", "null",
                                                                          "null") ", \"called_more\": 0.25, \"slower_per_call\": 0}], "
                                                                                  "\"other\": {\"functions\": 1, \"before\": " SUMS("1", "0", "1", "1") ", \"after\": " SUMS(
                                                                                      "2", "0", "2",
                                                                                      "2") ", \"per_profile\": " FOUR("0.5",
                                                                                                                      "0.5",
                                                                                                                      "0",
                                                                                                                      "1") ", \"called_more\": 0, \"slower_per_call\": 0}}");
}

static void test_calls(void **state)
{
    struct fixture *f = *state;
    fill(f);
    const char *text = ask(f, TS_QUERY_DIFF, BOTH "&metric=ncalls&function=f&by=location");
    assert_non_null(text);
    assert_non_null(strstr(text, "\"unit\": \"calls\", \"calls\": \"ncalls\""));
    /* _f and f are two locations of one function. */
    assert_non_null(strstr(text, "\"raw_name\": \"f\", \"before\": " SUMS("0", "0", "0", "0")));
    assert_non_null(strstr(text, "\"per_profile\": " FOUR("0", "4", "4", "null") ", \"per_call\": " FOUR(
                                     "null", "null", "null", "null") ", \"called_more\": 4, \"slower_per_call\": 0}"));
    text = ask(f, TS_QUERY_DIFF, BOTH "&metric=tottime&function=f");
    assert_non_null(strstr(text, "\"calls\": \"ncalls\""));
    assert_non_null(strstr(text, "\"per_call\": " FOUR("0.25", "0.125", "-0.125", "0.5")));
}

static void test_one_side(void **state)
{
    struct fixture *f = *state;
    fill(f);
    const char *text = ask(f, TS_QUERY_DIFF, BEFORE "&after=1732279000..1732279010");
    assert_non_null(text);
    assert_non_null(strstr(text, "\"profiles\": 0, \"total_tt\": 0}, \"metric\""));
    assert_non_null(strstr(text, "\"per_profile\": " FOUR("1", "null", "null", "null")));
    assert_non_null(strstr(text, "\"called_more\": null, \"slower_per_call\": null"));
    text = ask(f, TS_QUERY_DIFF, "after.label.service=web&before.label.service=db");
    assert_non_null(strstr(text, "{\"before\": {\"from\": null, \"to\": null, \"from_resolution\": null, "));
    assert_non_null(strstr(text, "\"after\": " SIDE("1732272000", "1732272020", "6", "11")));
    text = ask(f, TS_QUERY_DIFF, BOTH "&format=csv&top=1");
    assert_string_equal(text, "kind,function,before_cumtime,before_tottime,before_ncalls,before_pcalls,after_cumtime,"
                              "after_tottime,after_ncalls,after_pcalls,change,called_more,slower_per_call\r\n"
                              "function,f,2,1,4,4,12,2,16,12,2,0.75,1.25\r\n"
                              "other,,2,1,2,2,3,1,5,5,-0.25,-0.25,0\r\n");
}

static void expect_rejected(struct fixture *f, const char *params, const char *parameter, const char *message)
{
    struct ts_query *query = NULL;
    assert_int_equal(parse(f, TS_QUERY_DIFF, params, &query), TS_EINVAL);
    assert_string_equal(f->error.parameter, parameter);
    if (!strstr(f->error.message, message))
        fail_msg("%s: %s", params, f->error.message);
}

static void test_parameters(void **state)
{
    static const struct {
        const char *range;
        const char *from; /* as told by the answer; NOW is 100 s after T0 */
        const char *to;
    } ranges[] = {
        {"last:1m", "1732272040", "1732272100"},
        {"90s..30s", "1732272010", "1732272070"},
        {"-90s..-30s", "1732272010", "1732272070"},
        {"1732272000..now", "1732272000", "1732272100"},
        {"2024-11-22T10:40:00Z..", "1732272000", "1732272020"},
        {"1.5m..", "1732272010", "1732272020"},
    };
    struct fixture *f = *state;
    fill(f);
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        char params[128], expected[128];
        snprintf(params, sizeof(params), "before=%s", ranges[i].range);
        snprintf(expected, sizeof(expected), "{\"before\": {\"from\": %s, \"to\": %s, ", ranges[i].from, ranges[i].to);
        const char *text = ask(f, TS_QUERY_DIFF, params);
        if (!text || strncmp(text, expected, strlen(expected)) != 0)
            fail_msg("%s: %.200s is not %s", params, text ? text : f->error.message, expected);
    }
    expect_rejected(f, "", "before", "give before, after or both");
    expect_rejected(f, "label.service=web", "before", "give before, after or both");
    expect_rejected(f, "before=1h", "before", "is not a range");
    expect_rejected(f, "after=last:x", "after", "is not a duration");
    expect_rejected(f, "after=1..x", "after", "is not a time");
    expect_rejected(f, "after=1h..2h", "after", "ends before it begins");
    expect_rejected(f, "after=last:1h&by=label.service", "by", "only by=function and by=location");
    expect_rejected(f, "after=last:1h&time_slice=10s", "time_slice", "unknown parameter");
    expect_rejected(f, "before.label.1x=a", "before.label.1x", "not a label key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_split), TEST(test_calls), TEST(test_one_side), TEST(test_parameters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
