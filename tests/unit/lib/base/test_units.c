/* Durations, times and sizes: exact results, rejected texts, and formatting with parsing back. */
#include "lib/base/units.h"

#include "lib/aggregate/grid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define S TS_NS_PER_S
#define UNTOUCHED INT64_C(-4242)
#define NOW (1732272000 * S + 5)

static void duration(const char *text, int64_t expected)
{
    int64_t ns = UNTOUCHED;
    int r = ts_parse_duration(text, &ns);
    if (r || ns != expected)
        fail_msg("%s: %d, %lld is not %lld", text, r, (long long)ns, (long long)expected);
}

static void no_duration(const char *text)
{
    int64_t ns = UNTOUCHED;
    if (ts_parse_duration(text, &ns) != TS_EINVAL || ns != UNTOUCHED)
        fail_msg("\"%s\" is taken as %lld", text, (long long)ns);
}

static void durations_are_parsed_exactly(void **state)
{
    (void)state;
    duration("0", 0);
    duration("0.000", 0);
    duration("60", 60 * S);
    duration("10s", 10 * S);
    duration("007s", 7 * S);
    duration("250ms", 250000000);
    duration("0.000001ms", 1);
    duration("0.000000001", 1);
    duration("0.1s", 100000000);
    duration("0.3", 300000000);
    duration("1.10000000000000000000000000000000", 1100000000);
    duration("1.5h", 5400 * S);
    duration("2m", 120 * S);
    duration("1h30m", 5400 * S);
    duration("1m30s", 90 * S);
    duration("1y2w3d4h5m6.5s7ms", 31536000 * S + 17 * 86400 * S + 4 * 3600 * S + 306 * S + 507000000);
    duration("1.5h0.5m", 5430 * S);
    duration("1d", 86400 * S);
    duration("1w", 604800 * S);
    duration("1y", 31536000 * S);
    duration("0.0000000000625h", 225);
    duration("0.0000152587890625y", 481201171875); /* 2^-16: the longest possible fraction */
    duration("9223372036.854775807", INT64_MAX);
    duration("9223372036854.775807ms", INT64_MAX);
    duration("292y", INT64_C(292) * 31536000 * S);
}

static void other_texts_are_no_durations(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "s",
        "ms",
        "-1",
        "-1s",
        "+1s",
        "1 s",
        " 1s",
        "1s ",
        "10 s",
        "1..5",
        "1.",
        ".5",
        ".",
        "1.s",
        "1.5.5s",
        "1e3",
        "0x10",
        "1S",
        "1M",
        "1min",
        "1sec",
        "1us",
        "1ns",
        "1hh",
        "1h30",
        "1h-30m",
        "30m1h",
        "1h1h",
        "1h 30m",
        "1hm",
        "1h30m5",
        "200y200y",
        "292y100w",
        "1,5s",
        "inf",
        "nan",
        "NaN",
        "now",
        "9223372036.854775808",
        "9223372036855ms",
        "293y",
        "9223372036854775808",
        "99999999999999999999999999",
        "0.0000000001",
        "0.0000001ms",
        "1.0000000000000000000000000000000001",
        "0.3333333333333333h",
        "1\n",
        "\xc2\xbd h",
        "\xef\xbc\x91",
        "0.000000000000000000000000000001y",
        "0.00000762939453125y",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        no_duration(texts[i]);
}

static void format(int64_t ns, const char *expected)
{
    char text[32];
    assert_string_equal(ts_format_duration(ns, text), expected);
    assert_string_equal(text, expected);
}

static void the_shortest_exact_form_is_written(void **state)
{
    (void)state;
    format(0, "0s");
    format(10 * S, "10s");
    format(250000000, "250ms");
    format(100000000, "100ms");
    format(1500000000, "1.5s");
    format(1, "0.000001ms");
    format(1500000, "1.5ms");
    format(60 * S, "1m");
    format(90 * S, "90s");
    format(5400 * S, "90m");
    format(3600 * S, "1h");
    format(48 * 3600 * S, "2d");
    format(30 * 86400 * S, "30d");
    format(7 * 86400 * S, "1w");
    format(365 * 86400 * S, "1y");
    format(3600 * S + 1, "3600.000000001s");
    format(INT64_MAX, "9223372036.854775807s");
    format(-1500000000, "-1.5s");
    format(INT64_MIN, "-9223372036.854775808s");
}

/* xorshift64: the same numbers at each run. */
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void formatted_durations_are_parsed_back(void **state)
{
    (void)state;
    static const int64_t units[] = {1, 1000, 1000000, S, 60 * S, 3600 * S, 86400 * S, 604800 * S, 31536000 * S};
    uint64_t seed = 20241122;
    for (int i = 0; i < 100000; i++) {
        int64_t unit = units[next_random(&seed) % (sizeof(units) / sizeof(units[0]))];
        int64_t most = INT64_MAX / unit;
        int64_t count = (int64_t)(next_random(&seed) >> (1 + next_random(&seed) % 63));
        int64_t ns = (count > most ? count % most : count) * unit;
        char text[32];
        int64_t back = UNTOUCHED;
        ts_format_duration(ns, text);
        if (ts_parse_duration(text, &back) || back != ns)
            fail_msg("%lld is written %s and read %lld", (long long)ns, text, (long long)back);
    }
}

static void moment(const char *text, int64_t expected)
{
    int64_t ns = UNTOUCHED;
    int r = ts_parse_time(text, NOW, &ns);
    if (r || ns != expected)
        fail_msg("%s: %d, %lld is not %lld", text, r, (long long)ns, (long long)expected);
}

static void times_of_every_form(void **state)
{
    (void)state;
    moment("0", 0);
    moment("-0", 0);
    moment("1732272000", 1732272000 * S);
    moment("-90", -90 * S);
    moment("1.5", 1500000000);
    moment("-0.000000001", -1);
    moment("9200000000", 9200000000 * S);
    moment("-9200000000", -9200000000 * S);
    moment("now", NOW);
    moment("today", 1732233600 * S);
    moment("yesterday", 1732147200 * S);
    moment("-90s", NOW - 90 * S);
    moment("-15m", NOW - 900 * S);
    moment("+1h", NOW + 3600 * S);
    moment("-0.5ms", NOW - 500000);
    moment("-100y", NOW - INT64_C(100) * 31536000 * S);
    moment("1970-01-01", 0);
    moment("1970-01-01T00:00:00Z", 0);
    moment("1969-12-31T23:59:59.999999999Z", -1);
    moment("2024-11-22T10:40:00Z", 1732272000 * S);
    moment("2024-11-22t10:40:00z", 1732272000 * S);
    moment("2024-11-22 10:40:00", 1732272000 * S);
    moment("2024-11-22T10:40", 1732272000 * S);
    moment("2024-11-22T10:40:00.25Z", 1732272000 * S + 250000000);
    moment("2024-11-22T11:40:00+01:00", 1732272000 * S);
    moment("2024-11-22T05:10:00-0530", 1732272000 * S);
    moment("2024-11-22T11:40+01", 1732272000 * S);
    moment("2024-11-23T00:39:00+13:59", 1732272000 * S);
    moment("2024-02-29", 1709164800 * S);
    moment("2000-02-29", 951782400 * S);
    moment("1900-03-01", -2203891200 * S);
    moment("2261-07-15", 9199958400 * S);
    /* Exactly at the bounds. */
    moment("2261-07-15T11:33:20Z", 9200000000 * S);
    moment("1678-06-18T12:26:40Z", -9200000000 * S);
}

static void other_texts_are_no_times(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "-",
        "+",
        "+90",
        "--90",
        "-+90",
        "+-1s",
        "15m",
        "1h",
        " 1h",
        "- 1h",
        "-1h ",
        "Now",
        "now ",
        "now-1h",
        "1.",
        ".5",
        "1..5",
        "1e9",
        "0x1",
        "1732272000 ",
        "-90x",
        "0.0000000001",
        "9200000000.000000001",
        "9200000001",
        "-9200000000.000000001",
        "99999999999999999999",
        "1732272000000",
        "+300y",
        "-400y",
        "2024",
        "20241122T104000Z",
    };
    static const char *const dates[] = {
        "2024-1-1",
        "24-01-01",
        "2024-00-01",
        "2024-13-01",
        "2024-01-00",
        "2024-01-32",
        "2024-04-31",
        "2023-02-29",
        "1900-02-29",
        "2100-02-29",
        "2024-11-22T",
        "2024-11-22 ",
        "2024-11-22T10",
        "2024-11-22T10:",
        "2024-11-22T1:00",
        "2024-11-22T24:00",
        "2024-11-22T10:60",
        "2024-11-22T10:00:60",
        "2024-11-22T10:00:61Z",
        "2024-11-22T10:00:0",
        "2024-11-22T10:00:000",
        "2024-11-22T10:00:00.",
        "2024-11-22T10:00:00.0000000001",
        "2024-11-22T10:00:00ZZ",
        "2024-11-22T10:00:00 Z",
        "2024-11-22T10:00:00+24:00",
        "2024-11-22T10:00:00+01:60",
        "2024-11-22T10:00:00+1",
        "2024-11-22T10:00:00+01:",
        "2024-11-22T10:00:00+",
        "2024-11-22T10:00:00 01:00",
        "2024-11-22Z",
        "2024-11-22x",
        "2024-11-22  10:00",
        "2024/11/22",
        "2262-01-01",
        "1678-06-18T12:26:39Z",
        "2261-07-15T11:33:20.000000001Z",
        "0000-01-01",
        "9999-12-31",
        "2024-11-22T10:00:00+01:000",
        "2024-11",
        "2024-",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) + sizeof(dates) / sizeof(dates[0]); i++) {
        size_t n = sizeof(texts) / sizeof(texts[0]);
        const char *text = i < n ? texts[i] : dates[i - n];
        int64_t ns = UNTOUCHED;
        int r = ts_parse_time(text, NOW, &ns);
        bool plain = strcmp(text, "2024") == 0; /* four digits are seconds */
        if (plain ? r || ns != 2024 * S : r != TS_EINVAL || ns != UNTOUCHED)
            fail_msg("\"%s\" is taken as %lld", text, (long long)ns);
    }
}

/* Every day of the range, and a time in it, against the C library. */
static void every_day_agrees_with_the_C_library(void **state)
{
    (void)state;
    for (int64_t day = -106480; day <= 106480; day++) {
        time_t seconds = (time_t)(day * 86400 + (day * 7919 % 86400 + 86400) % 86400);
        struct tm tm;
        char text[32];
        int64_t ns = UNTOUCHED;
        assert_non_null(gmtime_r(&seconds, &tm));
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
        if (ts_parse_time(text, 0, &ns) || ns != (int64_t)seconds * S)
            fail_msg("%s is read as %lld", text, (long long)ns);
    }
}

static void sizes_are_parsed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"1", 1},
        {"0016", 16},
        {"64K", 65536},
        {"64KiB", 65536},
        {"16M", 16777216},
        {"1MiB", 1048576},
        {"2G", UINT64_C(2147483648)},
        {"1GiB", UINT64_C(1073741824)},
        {"4611686018427387904", UINT64_C(1) << 62},
        {"4294967296G", UINT64_C(1) << 62},
        {"4503599627370496K", UINT64_C(1) << 62},
    };
    static const char *const bad[] = {
        "",
        "K",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1 K",
        "1.5M",
        "1k",
        "1m",
        "1KB",
        "1B",
        "1Ki",
        "1KiBs",
        "1T",
        "0x10",
        "1e3",
        "4611686018427387905",
        "4294967297G",
        "18446744073709551616",
        "18446744073709551617",
        "99999999999999999999999",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t bytes = 77;
        assert_int_equal(ts_parse_size(good[i].text, &bytes), 0);
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t bytes = 77;
        if (ts_parse_size(bad[i], &bytes) != TS_EINVAL || bytes != 77)
            fail_msg("\"%s\" is taken", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_parsed_exactly),
        cmocka_unit_test(other_texts_are_no_durations),
        cmocka_unit_test(the_shortest_exact_form_is_written),
        cmocka_unit_test(formatted_durations_are_parsed_back),
        cmocka_unit_test(times_of_every_form),
        cmocka_unit_test(other_texts_are_no_times),
        cmocka_unit_test(every_day_agrees_with_the_C_library),
        cmocka_unit_test(sizes_are_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
