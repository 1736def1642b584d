/* Diffs: the parts of a change, the order, functions on one side only, undefined values, CSV. */
#include "tests/unit/lib/query/query_fixture.h"

/* The two buckets that fill() adds to. */
#define BEFORE "before=1732272000..1732272010"
#define AFTER "after=1732272010..1732272020"
#define BOTH BEFORE "&" AFTER

static void fill(struct fixture *f)
{
    int64_t first = T0 / 10;
    f->with_resolution = true;
    add_profiles(f, first, WEB, (struct ts_profile_sums){.profiles = 2, .total_tt = 3 * S});
    add_profiles(f, first + 1, WEB, (struct ts_profile_sums){.profiles = 4, .total_tt = 8 * S});
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
#define BOTH_SUMS(before, after) ", \"before\": " before ", \"after\": " after
#define ROW(function, before, after) "{\"function\": \"" function "\"" BOTH_SUMS(before, after)
#define VALUES(name, before, after, change, ratio) \
    ", \"" name "\": {\"before\": " before ", \"after\": " after ", \"change\": " change ", \"ratio\": " ratio "}"
#define PARTS(called_more, slower_per_call) \
    ", \"called_more\": " called_more ", \"slower_per_call\": " slower_per_call "}"

/*
 * f: 2 calls of 0.5 s per profile, then 3 calls of 1 s. Called more: (3 - 2) * 0.75 s; slower per call: (1 s - 0.5 s) *
 * 2.5.
 */
static void a_change_is_split_into_two_parts(void **state)
{
    struct fixture *f = *state;
    fill(f);
    expect_parts(f, TS_QUERY_DIFF, BOTH "&top=3",
                 (const char *const[]){
                     "{\"before\": ",
                     SIDE("1732272000", "1732272010", "2", "3"),
                     ", \"after\": ",
                     SIDE("1732272010", "1732272020", "4", "8"),
                     ", \"metric\": \"cumtime\", \"unit\": \"seconds\", \"calls\": \"pcalls\", \"functions\": [",
                     ROW("f", SUMS("2", "1", "4", "4"), SUMS("12", "2", "16", "12")),
                     VALUES("per_profile", "1", "3", "2", "3"),
                     VALUES("per_call", "0.5", "1", "0.5", "2"),
                     PARTS("0.75", "1.25"),
                     ", ",
                     ROW("gone", SUMS("1", "1", "1", "1"), SUMS("0", "0", "0", "0")),
                     VALUES("per_profile", "0.5", "0", "-0.5", "0"),
                     VALUES("per_call", "1", "null", "null", "null"),
                     PARTS("-0.5", "0"),
                     ", ",
                     ROW("come", SUMS("0", "0", "0", "0"), SUMS("1", "1", "3", "3")),
                     VALUES("per_profile", "0", "0.25", "0.25", "null"),
                     VALUES("per_call", "null", "0.333333333", "null", "null"),
                     PARTS("0.25", "0"),
                     "], \"other\": {\"functions\": 1",
                     BOTH_SUMS(SUMS("1", "0", "1", "1"), SUMS("2", "0", "2", "2")),
                     VALUES("per_profile", "0.5", "0.5", "0", "1"),
                     PARTS("0", "0"),
                     "}",
                     NULL,
                 });
}

static void a_metric_of_calls_has_no_time_per_call(void **state)
{
    struct fixture *f = *state;
    fill(f);
    const char *text = run(f, TS_QUERY_DIFF, BOTH "&metric=ncalls&function=f&by=location");
    assert_non_null(text);
    assert_non_null(strstr(text, "\"unit\": \"calls\", \"calls\": \"ncalls\""));
    /* _f and f are two locations of one function. */
    assert_non_null(strstr(text, "\"raw_name\": \"f\", \"before\": " SUMS("0", "0", "0", "0")));
    assert_non_null(strstr(text, VALUES("per_profile", "0", "4", "4", "null")));
    assert_non_null(strstr(text, VALUES("per_call", "null", "null", "null", "null") PARTS("4", "0")));
    text = run(f, TS_QUERY_DIFF, BOTH "&metric=tottime&function=f");
    assert_non_null(strstr(text, "\"calls\": \"ncalls\""));
    assert_non_null(strstr(text, VALUES("per_call", "0.25", "0.125", "-0.125", "0.5")));
}

static void a_side_without_profiles_has_no_change(void **state)
{
    struct fixture *f = *state;
    fill(f);
    const char *text = run(f, TS_QUERY_DIFF, BEFORE "&after=1732279000..1732279010");
    assert_non_null(text);
    assert_non_null(strstr(text, "\"profiles\": 0, \"total_tt\": 0}, \"metric\""));
    assert_non_null(strstr(text, VALUES("per_profile", "1", "null", "null", "null")));
    assert_non_null(strstr(text, "\"called_more\": null, \"slower_per_call\": null"));
    text = run(f, TS_QUERY_DIFF, "after.label.service=web&before.label.service=db");
    assert_non_null(strstr(text, "{\"before\": {\"from\": null, \"to\": null, \"from_resolution\": null, "));
    assert_non_null(strstr(text, "\"after\": " SIDE("1732272000", "1732272020", "6", "11")));
}

static void a_diff_as_csv(void **state)
{
    struct fixture *f = *state;
    fill(f);
    expect_response(f, TS_QUERY_DIFF, BOTH "&format=csv&top=1",
                    "kind,function,before_cumtime,before_tottime,before_ncalls,before_pcalls,after_cumtime,"
                    "after_tottime,after_ncalls,after_pcalls,change,called_more,slower_per_call\r\n"
                    "function,f,2,1,4,4,12,2,16,12,2,0.75,1.25\r\n"
                    "other,,2,1,2,2,3,1,5,5,-0.25,-0.25,0\r\n");
}

/* Each side has a range, and the response states it. NOW is 100 s after T0. */
static void ranges_of_the_sides(void **state)
{
    static const struct {
        const char *range;
        const char *from;
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
        const char *text = run(f, TS_QUERY_DIFF, params);
        if (!text || strncmp(text, expected, strlen(expected)) != 0)
            fail_msg("%s: %.200s; expected: %s", params, text ? text : f->error.message, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_change_is_split_into_two_parts),
        TEST(a_metric_of_calls_has_no_time_per_call),
        TEST(a_side_without_profiles_has_no_change),
        TEST(a_diff_as_csv),
        TEST(ranges_of_the_sides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
