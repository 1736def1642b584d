/* ctl/args/help: every command and option is in it, and no line is wider than a terminal. */
#include "ctl/args/help.h"

#include "ctl/args/options.h"
#include "ctl/base/display.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static bool has_option(const struct ctl_text *help, const char *name)
{
    struct ctl_text line = {0};
    ctl_text_printf(&line, "\n  --%s ", name);
    bool found = strstr(ctl_text_str(help), ctl_text_str(&line)) != NULL;
    ctl_text_deinit(&line);
    return found;
}

static void check_lines(const struct ctl_text *help)
{
    struct ctl_text line = {0};
    for (const char *at = ctl_text_str(help); *at;) {
        size_t len = strcspn(at, "\n");
        assert_int_equal(at[len], '\n');
        ctl_text_reset(&line);
        ctl_text_append(&line, at, len);
        assert_true(ctl_width(ctl_text_str(&line)) <= 80);
        assert_true(!len || at[len - 1] != ' ');
        at += len + 1;
    }
    ctl_text_deinit(&line);
}

static void test_help_of_the_program(void **state)
{
    (void)state;
    struct ctl_text help = {0}, line = {0};
    ctl_help(CTL_COMMANDS, &help);
    assert_false(help.failed);
    check_lines(&help);
    for (int i = 0; i < CTL_OPTIONS; i++)
        assert_true(has_option(&help, ctl_options[i].name));
    for (int i = 0; i < CTL_COMMANDS; i++) {
        ctl_text_reset(&line);
        ctl_text_printf(&line, "\n  %-11s %s\n", ctl_commands[i].name, ctl_commands[i].help);
        assert_non_null(strstr(ctl_text_str(&help), ctl_text_str(&line)));
    }
    assert_non_null(strstr(ctl_text_str(&help), "Exit codes: "));
    ctl_text_deinit(&help);
    ctl_text_deinit(&line);
}

static void test_help_of_each_command(void **state)
{
    (void)state;
    for (int c = 0; c < CTL_COMMANDS; c++) {
        struct ctl_text help = {0}, usage = {0};
        ctl_help((enum ctl_command_id)c, &help);
        check_lines(&help);
        for (int i = 0; i < CTL_OPTIONS; i++)
            assert_int_equal(has_option(&help, ctl_options[i].name), (ctl_options[i].commands & 1u << c) != 0);
        const char *operand = ctl_commands[c].operand;
        ctl_text_printf(&usage, "Usage: timeslicectl [--socket PATH | --url URL] %s%s%s [OPTIONS]\n",
                        ctl_commands[c].name, operand ? " " : "", operand ? operand : "");
        assert_memory_equal(ctl_text_str(&help), ctl_text_str(&usage), usage.len);
        ctl_text_deinit(&help);
        ctl_text_deinit(&usage);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help_of_the_program),
        cmocka_unit_test(test_help_of_each_command),
    };
    return cmocka_run_group_tests_name("ctl/args/help", tests, NULL, NULL);
}
