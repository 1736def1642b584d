/* ctl/base/display: decoding of UTF-8, widths, cutting, escaping, wrapping. */
#include "ctl/base/display.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void expect_point(const char *bytes, size_t len, int32_t point, size_t used)
{
    int32_t found;
    assert_int_equal(ctl_decode(bytes, len, &found), used);
    assert_int_equal(found, point);
}

static void test_decode(void **state)
{
    (void)state;
    expect_point("a", 1, 'a', 1);
    expect_point("", 1, 0, 1);
    expect_point("\xc3\xa9", 2, 0xE9, 2);
    expect_point("\xe2\x80\xa6", 3, 0x2026, 3);
    expect_point("\xf0\x9f\x9a\x80", 4, 0x1F680, 4);
    expect_point("\xf4\x8f\xbf\xbf", 4, 0x10FFFF, 4);
}

/* Each invalid byte is consumed alone, so that what follows it is decoded. */
static void test_decode_invalid(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } invalid[] = {
        {"\x80", 1},                 /* a continuation byte */
        {"\xc3", 1},                 /* truncated */
        {"\xc3(", 2},                /* no continuation byte */
        {"\xe2\x80(", 3},            /* no third byte */
        {"\xc0\x80", 2},             /* overlong */
        {"\xe0\x9f\xbf", 3},         /* overlong */
        {"\xf0\x8f\xbf\xbf", 4},     /* overlong */
        {"\xed\xa0\x80", 3},         /* a surrogate */
        {"\xf4\x90\x80\x80", 4},     /* above U+10FFFF */
        {"\xf8\x88\x80\x80\x80", 5}, /* five bytes */
        {"\xff", 1},
    };
    for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++)
        expect_point(invalid[i].bytes, invalid[i].len, -1, 1);
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

/* A text is cut to any width, however narrow, without exceeding it. */
static void test_fit_at_every_width(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "a", "abcdefghij", "日本語日本語", "a日b本c語", "xe\u0301yz", "🚀🚀🚀"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        for (int width = -1; width < 16; width++)
            for (int cut = CTL_CUT_END; cut <= CTL_CUT_START; cut++) {
                struct ctl_text out = {0};
                int columns = ctl_fit(&out, texts[i], width, (enum ctl_cut)cut);
                assert_int_equal(ctl_width(ctl_text_str(&out)), columns);
                assert_true(columns <= (width > 0 ? width : 0));
                ctl_text_deinit(&out);
            }
}

/* Lines are at least 10 columns wide, whatever is asked for, so that wrapping ends. */
static void test_wrap_in_a_narrow_terminal(void **state)
{
    (void)state;
    struct ctl_text out = {0};
    ctl_wrap(&out, "0123456789abcde", 3, 2);
    assert_string_equal(ctl_text_str(&out), "  0123456789\n  abcde\n");
    ctl_text_reset(&out);
    ctl_wrap(&out, "", 80, 2);
    assert_string_equal(ctl_text_str(&out), "");
    ctl_text_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_decode_invalid),
        cmocka_unit_test(test_widths),
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_fit_at_every_width),
        cmocka_unit_test(test_clean),
        cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_wrap_in_a_narrow_terminal),
    };
    return cmocka_run_group_tests_name("ctl/base/display", tests, NULL, NULL);
}
