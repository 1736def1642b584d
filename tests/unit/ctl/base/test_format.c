/* Formatting of timeslicectl: tables of values and their text; widths, cutting, escaping; layout of a table. */
#include "ctl/base/format.h"
#include "ctl/base/table.h"

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

/* cmocka runs in the C locale, so this tests our own table of widths. */
static void test_widths(void **state)
{
    (void)state;
    assert_int_equal(ctl_width(""), 0);
    assert_int_equal(ctl_width("abc"), 3);
    assert_int_equal(ctl_width("é"), 1);
    assert_int_equal(ctl_width("e\u0301"), 1);
    assert_int_equal(ctl_width("日本"), 4);
    assert_int_equal(ctl_width("🚀"), 2);
    assert_int_equal(ctl_width("█…µ"), 3);
}

static void expect_fit(const char *text, int width, enum ctl_cut cut, const char *want, int columns)
{
    struct ctl_text out = {0};
    assert_int_equal(ctl_fit(&out, text, width, cut), columns);
    assert_string_equal(ctl_text_str(&out), want);
    assert_int_equal(ctl_width(ctl_text_str(&out)), columns);
    ctl_text_deinit(&out);
}

static void test_fit(void **state)
{
    (void)state;
    expect_fit("abc", 3, CTL_CUT_END, "abc", 3);
    expect_fit("abcdef", 4, CTL_CUT_END, "abc…", 4);
    expect_fit("abcdefghij", 5, CTL_CUT_MIDDLE, "ab…ij", 5);
    expect_fit("abcdefghij", 1, CTL_CUT_MIDDLE, "…", 1);
    expect_fit("abcdefghij", 4, CTL_CUT_START, "…hij", 4);
    expect_fit("日本語日本語", 6, CTL_CUT_START, "…本語", 5);
    expect_fit("日本語日本語", 6, CTL_CUT_END, "日本…", 5);
    expect_fit("日本語日本語", 6, CTL_CUT_MIDDLE, "日…語", 5);
    expect_fit("abcdef", 0, CTL_CUT_END, "", 0);
    expect_fit("xe\u0301yz", 3, CTL_CUT_END, "xe\u0301…", 3);
}

static void test_clean(void **state)
{
    (void)state;
    static const struct {
        const char *raw, *clean;
    } pairs[] = {
        {"plain_name", "plain_name"},
        {"a\033[31mb", "a\\x1b[31mb"},
        {"a\nb\tc\r", "a\\nb\\tc\\r"},
        {"\x7f", "\\x7f"},
        {"\xc2\x9b"
         "2J",
         "\\x9b2J"},
        {"\xff\xfe", "\\xff\\xfe"},
        {"\u202eevil", "\\u202eevil"},
        {"\xc0\x80", "\\xc0\\x80"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
        {"日本 é", "日本 é"},
        {"\xe6\x97", "\\xe6\\x97"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct ctl_text out = {0};
        ctl_clean(&out, pairs[i].raw);
        assert_string_equal(ctl_text_str(&out), pairs[i].clean);
        ctl_text_deinit(&out);
    }
}

static void test_wrap(void **state)
{
    (void)state;
    struct ctl_text out = {0};
    ctl_wrap(&out, "one two three four fiveeeeeeeeeeeeee", 14, 2);
    assert_string_equal(ctl_text_str(&out), "  one two\n  three four\n  fiveeeeeeeee\n  eeeee\n");
    ctl_text_deinit(&out);
}

static void test_table(void **state)
{
    (void)state;
    struct ctl_table table = {0};
    struct ctl_text out = {0};
    const struct ctl_screen screen = {.width = 20};
    ctl_table_column(&table, &(struct ctl_column){.title = "name", .flexible = true, .least = 8});
    ctl_table_column(&table, &(struct ctl_column){.title = "calls", .right = true});
    ctl_table_column(&table, &(struct ctl_column){.title = "dropped", .right = true, .drop = 1});
    ctl_table_tinted(&table, "a_name_that_is_long", CTL_TINT_WORSE); /* no colour on this screen */
    ctl_table_cell(&table, "7");
    ctl_table_cell(&table, "1");
    ctl_table_cell(&table, "日\n");
    ctl_table_cell(&table, "1,234");
    ctl_table_cell(&table, "2");
    ctl_table_print(&table, &screen, &out);
    assert_memory_equal(ctl_text_str(&out),
                        "name           calls\n"
                        "a_name_that_…      7\n"
                        "日\\n           1,234\n"
                        "Not shown, the\n",
                        strlen("name           calls\na_name_that_…      7\n日\\n           1,234\nNot shown, the\n"));
    ctl_text_deinit(&out);
    ctl_table_deinit(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations), cmocka_unit_test(test_spans), cmocka_unit_test(test_counts),
        cmocka_unit_test(test_times),     cmocka_unit_test(test_means), cmocka_unit_test(test_changes),
        cmocka_unit_test(test_widths),    cmocka_unit_test(test_fit),   cmocka_unit_test(test_clean),
        cmocka_unit_test(test_wrap),      cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests_name("ctl/base/format", tests, NULL, NULL);
}
