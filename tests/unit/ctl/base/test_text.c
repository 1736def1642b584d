/* ctl/base/text: appending, and the sticky failure. */
#include "ctl/base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "failing_alloc.h"

static void test_append(void **state)
{
    (void)state;
    struct ctl_text text = {0};
    assert_string_equal(ctl_text_str(&text), "");
    ctl_text_puts(&text, "a");
    ctl_text_append(&text, "bcd", 2);
    ctl_text_spaces(&text, 2);
    ctl_text_spaces(&text, -1);
    ctl_text_putc(&text, 'x');
    ctl_text_printf(&text, "%d%s", 42, "!");
    assert_string_equal(ctl_text_str(&text), "abc  x42!");
    assert_int_equal(text.len, 9);
    ctl_text_reset(&text);
    assert_string_equal(ctl_text_str(&text), "");
    ctl_text_deinit(&text);
    ctl_text_deinit(&text);
}

static void test_growth(void **state)
{
    (void)state;
    struct ctl_text text = {0};
    for (int i = 0; i < 10000; i++)
        ctl_text_putc(&text, (char)('a' + i % 26));
    assert_int_equal(text.len, 10000);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(text.data[i], 'a' + i % 26);
    assert_int_equal(text.data[10000], 0);
    ctl_text_printf(&text, "%0*d", 30000, 7);
    assert_int_equal(text.len, 40000);
    assert_int_equal(text.data[39999], '7');
    ctl_text_deinit(&text);
}

/* An append that fails adds nothing, and neither do later ones, so a text is never incomplete without notice. */
static void test_failure_is_sticky(void **state)
{
    (void)state;
    struct ctl_text text = {0};
    ctl_text_puts(&text, "kept");
    alloc_fail_at = 0;
    ctl_text_printf(&text, "%0*d", 1000, 1);
    alloc_fail_at = -1;
    ctl_text_puts(&text, "dropped");
    assert_true(text.failed);
    assert_string_equal(ctl_text_str(&text), "kept");
    ctl_text_clear(&text);
    ctl_text_puts(&text, "dropped");
    assert_true(text.failed);
    assert_string_equal(ctl_text_str(&text), "");
    ctl_text_reset(&text);
    ctl_text_puts(&text, "usable");
    assert_false(text.failed);
    assert_string_equal(ctl_text_str(&text), "usable");
    ctl_text_deinit(&text);
}

static void test_impossible_length(void **state)
{
    (void)state;
    struct ctl_text text = {0};
    ctl_text_append(&text, "", SIZE_MAX / 2);
    assert_true(text.failed);
    assert_null(text.data);
    ctl_text_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_failure_is_sticky),
        cmocka_unit_test(test_impossible_length),
    };
    return cmocka_run_group_tests_name("ctl/base/text", tests, NULL, NULL);
}
