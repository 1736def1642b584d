/* Numbers, names, ranges and CSV fields as responses have them. */
#include "lib/query/write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/failing_alloc.h"

#define S TS_NS_PER_S
#define I128_MAX ((((ts_i128)1 << 126) - 1) * 2 + 1)
#define I128_MIN (-I128_MAX - 1)

static struct ts_buf out;

static int setup(void **state)
{
    (void)state;
    ts_buf_init(&out);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ts_buf_deinit(&out);
    return 0;
}

/* Compares what was written since the previous call. */
static void expect_written(const char *expected)
{
    ts_buf_putc(&out, '\0');
    assert_false(ts_buf_failed(&out));
    assert_string_equal(out.data, expected);
    ts_buf_reset(&out);
}

static struct ts_str str(const char *text)
{
    return text ? (struct ts_str){text, strlen(text)} : (struct ts_str){NULL, 0};
}

/* ---- Numbers ---- */

static void division_rounds_to_the_nearest_integer(void **state)
{
    (void)state;
    static const struct {
        int value, by, quotient;
    } table[] = {
        {0, 7, 0},   {6, 3, 2},   {7, 3, 2},     {8, 3, 3},   {1, 2, 1},  {-1, 2, -1},
        {1, -2, -1}, {-1, -2, 1}, {-7, 3, -2},   {-8, 3, -3}, {5, 10, 1}, {4, 10, 0},
        {-4, 10, 0}, {15, 10, 2}, {-15, 10, -2}, {14, 10, 1}, {9, 1, 9},  {-9, -1, 9},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        assert_int_equal(ts_query_divide(table[i].value, table[i].by), table[i].quotient);
    assert_true(ts_query_divide(I128_MAX, 1) == I128_MAX);
    assert_true(ts_query_divide(I128_MAX, I128_MAX) == 1);
    assert_true(ts_query_divide(I128_MAX, 2) == I128_MAX / 2 + 1);
    assert_true(ts_query_divide(1, I128_MAX) == 0);
    assert_true(ts_query_divide(I128_MIN, I128_MIN) == 1);
    /* The distance to the exact quotient is at most one half. */
    unsigned long long seed = 3;
    for (int i = 0; i < 100000; i++) {
        ts_i128 value = (ts_i128)(int64_t)next_random(&seed) >> (next_random(&seed) % 64);
        ts_i128 by = (ts_i128)(int64_t)next_random(&seed) >> (next_random(&seed) % 64);
        if (by == 0)
            continue;
        ts_i128 rest = value - ts_query_divide(value, by) * by;
        assert_true(2 * (rest < 0 ? -rest : rest) <= (by < 0 ? -by : by));
    }
}

static void integers(void **state)
{
    (void)state;
    ts_query_put_integer(&out, 0);
    expect_written("0");
    ts_query_put_integer(&out, -120);
    expect_written("-120");
    ts_query_put_integer(&out, INT64_MIN);
    expect_written("-9223372036854775808");
    ts_query_put_integer(&out, I128_MAX);
    expect_written("170141183460469231731687303715884105727");
    ts_query_put_integer(&out, I128_MIN);
    expect_written("-170141183460469231731687303715884105728");
}

static void values_are_seconds_or_calls(void **state)
{
    (void)state;
    ts_query_put_value(&out, 1500000000, TS_CUMTIME);
    expect_written("1.5");
    ts_query_put_value(&out, -1, TS_TOTTIME);
    expect_written("-0.000000001");
    ts_query_put_value(&out, 1500000000, TS_NCALLS);
    expect_written("1500000000");
    ts_query_put_value(&out, 7, TS_PCALLS);
    expect_written("7");
    ts_query_put_totals(&out, (const ts_i128[]){S, 2, 3, 4});
    expect_written("\"cumtime\": 1, \"tottime\": 0.000000002, \"ncalls\": 3, \"pcalls\": 4");
}

static void a_time_per_call_is_null_without_calls(void **state)
{
    (void)state;
    ts_query_put_per_call(&out, 10 * S, 4);
    expect_written("2.5");
    ts_query_put_per_call(&out, 10, 3);
    expect_written("0.000000003");
    ts_query_put_per_call(&out, 10, 0);
    expect_written("null");
    ts_query_put_per_call(&out, 0, 0);
    expect_written("null");
}

/* ---- Names ---- */

static void put_name(enum ts_query_by by, const char *raw, const char *file, int32_t line)
{
    struct ts_query query = {.by = by};
    struct ts_location name = {.raw_name = str(raw), .file_name = str(file), .line_number = line};
    ts_query_put_name(&out, &query, &name);
}

static void names_as_json(void **state)
{
    (void)state;
    put_name(TS_BY_FUNCTION, "__f", "a.py", 3);
    expect_written("\"function\": \"f\"");
    put_name(TS_BY_FUNCTION, "___", NULL, -1);
    expect_written("\"function\": \"\"");
    put_name(TS_BY_LOCATION, "__f", "a.py", 3);
    expect_written("\"function\": \"f\", \"file_name\": \"a.py\", \"line_number\": 3, \"raw_name\": \"__f\"");
    put_name(TS_BY_LOCATION, "f", NULL, -1);
    expect_written("\"function\": \"f\", \"file_name\": null, \"line_number\": null, \"raw_name\": \"f\"");
    put_name(TS_BY_LOCATION, "f", "", 0);
    expect_written("\"function\": \"f\", \"file_name\": \"\", \"line_number\": 0, \"raw_name\": \"f\"");
    put_name(TS_BY_LABEL, "_web", NULL, -1);
    expect_written("\"label\": \"_web\"");
    put_name(TS_BY_LABEL, NULL, NULL, -1);
    expect_written("\"label\": null");
    put_name(TS_BY_LABEL, "", NULL, -1);
    expect_written("\"label\": \"\"");
}

static void json_strings_are_escaped(void **state)
{
    (void)state;
    put_name(TS_BY_FUNCTION, "a\"b\\c/d", NULL, -1);
    expect_written("\"function\": \"a\\\"b\\\\c/d\"");
    put_name(TS_BY_FUNCTION, "\n\t\r\x01\x1f\x7f", NULL, -1);
    expect_written("\"function\": \"\\n\\u0009\\u000d\\u0001\\u001f\\u007f\"");
    put_name(TS_BY_FUNCTION, "\xe6\x97\xa5", NULL, -1);
    expect_written("\"function\": \"\xe6\x97\xa5\"");
    put_name(TS_BY_FUNCTION, "<lambda>", NULL, -1);
    expect_written("\"function\": \"<lambda>\"");
}

static void put_csv(enum ts_query_by by, const char *raw, const char *file, int32_t line)
{
    struct ts_query query = {.by = by};
    struct ts_location name = {.raw_name = str(raw), .file_name = str(file), .line_number = line};
    ts_query_put_csv_name(&out, &query, &name);
}

static void names_as_csv(void **state)
{
    (void)state;
    put_csv(TS_BY_FUNCTION, "__f", "a.py", 3);
    expect_written("f");
    put_csv(TS_BY_LOCATION, "__f", "a.py", 3);
    expect_written("f,a.py,3,__f");
    put_csv(TS_BY_LOCATION, "f", NULL, -1);
    expect_written("f,,,f");
    put_csv(TS_BY_LOCATION, "f", "", 0);
    expect_written("f,,0,f");
    put_csv(TS_BY_LABEL, "_web", NULL, -1);
    expect_written("_web");
    put_csv(TS_BY_LABEL, NULL, NULL, -1);
    expect_written("");
    /* No name: as many empty columns. */
    for (int by = TS_BY_FUNCTION; by <= TS_BY_LABEL; by++) {
        struct ts_query query = {.by = (enum ts_query_by)by};
        ts_query_put_csv_name(&out, &query, NULL);
        expect_written(by == TS_BY_LOCATION ? ",,," : "");
    }
}

static void csv_headers_have_the_columns_of_names(void **state)
{
    (void)state;
    static const char *const expected[] = {
        [TS_BY_FUNCTION] = "function",
        [TS_BY_LOCATION] = "function,file_name,line_number,raw_name",
        [TS_BY_LABEL] = "label",
    };
    for (int by = TS_BY_FUNCTION; by <= TS_BY_LABEL; by++) {
        struct ts_query query = {.by = (enum ts_query_by)by};
        ts_query_put_csv_name_header(&out, &query);
        expect_written(expected[by]);
    }
}

/* RFC 4180: fields with a comma, a quote or a line break are quoted, and quotes are doubled. */
static void csv_fields_are_quoted_if_needed(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *field;
    } table[] = {
        {"plain", "plain"},
        {"two words", "two words"},
        {"a,b", "\"a,b\""},
        {"\"", "\"\"\"\""},
        {"say \"x\"", "\"say \"\"x\"\"\""},
        {"a\nb", "\"a\nb\""},
        {"a\rb", "\"a\rb\""},
        {"a;b\tc", "a;b\tc"},
        {"\xe6\x97\xa5", "\xe6\x97\xa5"},
        {"=1+1", "=1+1"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        put_csv(TS_BY_FUNCTION, table[i].name, NULL, -1);
        expect_written(table[i].field);
    }
    put_csv(TS_BY_LOCATION, "_a,b", "c,\"d\".py", 1);
    expect_written("\"a,b\",\"c,\"\"d\"\".py\",1,\"_a,b\"");
}

/* ---- Ranges ---- */

static void ranges_and_first_and_last_buckets(void **state)
{
    (void)state;
    struct ts_query query = {.grid = {.start_time = -S / 2, .time_slice = 10 * S}};
    struct ts_query_range range = {
        .has_from = true, .has_to = true, .from = -1, .to = 6, .from_width = 60 * S, .to_width = 10 * S};
    ts_query_put_range(&out, &query, &range);
    expect_written("\"from\": -10.5, \"to\": 59.5, \"from_resolution\": 60, \"to_resolution\": 10, ");
    range = (struct ts_query_range){.has_to = true, .to = 1, .to_width = 10 * S};
    ts_query_put_range(&out, &query, &range);
    expect_written("\"from\": null, \"to\": 9.5, \"from_resolution\": null, \"to_resolution\": 10, ");
    struct ts_first_last first_last = {.found = true, .position = {-1, 3}};
    ts_query_put_first_last(&out, &query.grid, &first_last);
    expect_written(", \"first_bucket\": -10.5, \"last_bucket\": 29.5");
    ts_query_put_first_last(&out, &query.grid, &(struct ts_first_last){.found = false});
    expect_written(", \"first_bucket\": null, \"last_bucket\": null");
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(division_rounds_to_the_nearest_integer),
        T(integers),
        T(values_are_seconds_or_calls),
        T(a_time_per_call_is_null_without_calls),
        T(names_as_json),
        T(json_strings_are_escaped),
        T(names_as_csv),
        T(csv_headers_have_the_columns_of_names),
        T(csv_fields_are_quoted_if_needed),
        T(ranges_and_first_and_last_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
