/* ctl/base/format: tables of values and their text. */
#include "ctl/base/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

struct pair {
    double value;
    const char *text;
};

static void test_durations(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {0, "0 s"},          {12e-9, "12 ns"},     {0.34e-9, "0.34 ns"},
        {789e-6, "789 µs"},  {1.5e-6, "1.50 µs"},  {0.0456, "45.6 ms"},
        {0.9994, "999 ms"},  {0.9996, "1.00 s"},   {1.234, "1.23 s"},
        {9.996, "10.0 s"},   {59.94, "59.9 s"},    {59.97, "1 m 00 s"},
        {200, "3 m 20 s"},   {3599.6, "1 h 00 m"}, {7500, "2 h 05 m"},
        {86399, "1 d 00 h"}, {273600, "3 d 04 h"}, {-0.0456, "-45.6 ms"},
        {-200, "-3 m 20 s"}, {9.99e-7, "999 ns"},  {9.999e-7, "1.00 µs"},
        {INFINITY, "inf"},   {NAN, "?"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        assert_string_equal(ctl_duration(pairs[i].value).text, pairs[i].text);
}

static void test_spans(void **state)
{
    (void)state;
    static const struct pair pairs[] = {{10, "10 s"},   {60, "1 m"},      {90, "90 s"},    {3600, "1 h"},
                                        {86400, "1 d"}, {0.25, "250 ms"}, {0.1, "100 ms"}, {1, "1 s"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        assert_string_equal(ctl_span(pairs[i].value).text, pairs[i].text);
}

static void test_counts(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {0, "0"},
        {12, "12"},
        {999, "999"},
        {1000, "1,000"},
        {1234, "1,234"},
        {-1234, "-1,234"},
        {999999, "999,999"},
        {1e6, "1.00 M"},
        {1234567, "1.23 M"},
        {999.9e6, "1.00 G"},
        {45.6e9, "45.6 G"},
        {9.223372e18, "9.22 E"},
        {1e300, "1.00e+300"},
        {-INFINITY, "-inf"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        assert_string_equal(ctl_count(pairs[i].value).text, pairs[i].text);
    assert_string_equal(ctl_size(12).text, "12 B");
    assert_string_equal(ctl_size(1536).text, "1.50 KiB");
    assert_string_equal(ctl_size(1048575).text, "1.00 MiB");
}

static void test_means(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {0, "0"}, {1.5, "1.50"},     {0.6, "0.60"},    {12.34, "12.3"},       {99.9, "99.9"},      {99.96, "100"},
        {3, "3"}, {1234.5, "1,235"}, {-0.25, "-0.25"}, {0.000123, "0.00012"}, {2.0000000001, "2"}, {NAN, "?"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        assert_string_equal(ctl_mean(pairs[i].value).text, pairs[i].text);
}

static void test_changes(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {0.5, "+50%"},    {-0.5, "-50%"}, {0.042, "+4.2%"},    {-0.042, "-4.2%"}, {0.0994, "+9.9%"},
        {0.0996, "+10%"}, {0, "0%"},      {0.0001, "~0%"},     {-1e-9, "~0%"},    {12.34, "+1,234%"},
        {1e6, "+100 M%"}, {-1, "-100%"},  {INFINITY, "+inf%"}, {0.001, "+0.1%"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        assert_string_equal(ctl_percent(pairs[i].value).text, pairs[i].text);
    assert_string_equal(ctl_signed(ctl_duration(0.3), 0.3).text, "+300 ms");
    assert_string_equal(ctl_signed(ctl_duration(-0.3), -0.3).text, "-300 ms");
    assert_string_equal(ctl_signed(ctl_duration(0), 0).text, "0 s");
}

static void test_times(void **state)
{
    (void)state;
    assert_string_equal(ctl_time(1769853600).text, "2026-01-31 10:00:00Z");
    assert_string_equal(ctl_time(1769853600.25).text, "2026-01-31 10:00:00.250Z");
    assert_string_equal(ctl_time(-1).text, "1969-12-31 23:59:59Z");
    assert_string_equal(ctl_time(-0.5).text, "1969-12-31 23:59:59.500Z");
    assert_non_null(strchr(ctl_time(1e300).text, 'e'));

    const double day[] = {1769853600, 1769853610}, days[] = {1769853600, 1769940000}, midnights[] = {86400, 172800};
    struct ctl_clock clock = ctl_clock_for(day, 2);
    assert_string_equal(ctl_clock_time(&clock, day[1]).text, "10:00:10");
    clock = ctl_clock_for(days, 2);
    assert_string_equal(ctl_clock_time(&clock, days[1]).text, "02-01 10:00");
    clock = ctl_clock_for(midnights, 2);
    assert_string_equal(ctl_clock_time(&clock, midnights[0]).text, "1970-01-02");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations), cmocka_unit_test(test_spans),   cmocka_unit_test(test_counts),
        cmocka_unit_test(test_means),     cmocka_unit_test(test_changes), cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests_name("ctl/base/format", tests, NULL, NULL);
}
