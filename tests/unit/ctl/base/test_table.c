/* ctl/base/table: the layout of columns, cut or dropped to fit the screen. */
#include "ctl/base/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void expect(struct ctl_table *table, int width, bool color, const char *want)
{
    struct ctl_text out = {0};
    const struct ctl_screen screen = {.width = width, .color = color};
    ctl_table_print(table, &screen, &out);
    assert_string_equal(ctl_text_str(&out), want);
    ctl_text_deinit(&out);
}

/* Two columns: a name that may be cut, and a number. */
static void fill(struct ctl_table *table, const char *name, const char *number)
{
    *table = (struct ctl_table){0};
    ctl_table_column(table, &(struct ctl_column){.title = "name", .flexible = true, .least = 4});
    ctl_table_column(table, &(struct ctl_column){.title = "n", .right = true});
    ctl_table_cell(table, name);
    ctl_table_cell(table, number);
}

static void test_cut_and_dropped_columns(void **state)
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

static void test_natural_width(void **state)
{
    (void)state;
    struct ctl_table table;
    fill(&table, "ab", "1,000");
    expect(&table, 80, false, "name      n\nab    1,000\n");
    ctl_table_deinit(&table);
}

static void test_width_that_is_just_enough(void **state)
{
    (void)state;
    struct ctl_table table;
    fill(&table, "abcdefgh", "1");
    expect(&table, 11, false, "name      n\nabcdefgh  1\n");
    expect(&table, 10, false, "name     n\nabcdef…  1\n");
    ctl_table_deinit(&table);
}

/* Nothing can be dropped here, so columns are narrowed below their minimum, to 3. */
static void test_width_below_the_minimum(void **state)
{
    (void)state;
    struct ctl_table table;
    fill(&table, "abcdefgh", "1");
    expect(&table, 1, false, "na…  n\nab…  1\n");
    ctl_table_deinit(&table);
}

static void test_no_rows(void **state)
{
    (void)state;
    struct ctl_table table = {0};
    ctl_table_column(&table, &(struct ctl_column){.title = "a", .subtitle = "b"});
    expect(&table, 80, false, "a\nb\n");
    ctl_table_deinit(&table);
    expect(&table, 80, false, "");
}

static void test_no_spaces_at_the_end_of_a_line(void **state)
{
    (void)state;
    struct ctl_table table = {0};
    ctl_table_column(&table, &(struct ctl_column){.title = "a"});
    ctl_table_column(&table, &(struct ctl_column){.title = "long title"});
    ctl_table_cell(&table, "1");
    ctl_table_cell(&table, "");
    ctl_table_cell(&table, "22");
    ctl_table_cell(&table, "x");
    expect(&table, 80, false, "a   long title\n1\n22  x\n");
    ctl_table_deinit(&table);
}

static void test_colors(void **state)
{
    (void)state;
    struct ctl_table table = {.dim_last = true};
    ctl_table_column(&table, &(struct ctl_column){.title = "a"});
    ctl_table_tinted(&table, "worse", CTL_TINT_WORSE);
    ctl_table_tinted(&table, "better", CTL_TINT_BETTER);
    ctl_table_tinted(&table, "last", CTL_TINT_WORSE); /* the style of the line replaces the tint */
    expect(&table, 80, true, "\033[1ma\033[0m\n\033[31mworse\033[0m\n\033[32mbetter\033[0m\n\033[2mlast\033[0m\n");
    ctl_table_deinit(&table);
}

static void test_escaped_titles_and_cells(void **state)
{
    (void)state;
    struct ctl_table table = {0};
    ctl_table_column(&table, &(struct ctl_column){.title = "\033[2J"});
    ctl_table_cell(&table, "a\rb");
    expect(&table, 80, true, "\033[1m\\x1b[2J\033[0m\na\\rb\n");
    ctl_table_deinit(&table);
}

static void test_too_many_columns(void **state)
{
    (void)state;
    struct ctl_table table = {0};
    struct ctl_text out = {0};
    for (int i = 0; i <= CTL_COLUMNS_MAX; i++)
        ctl_table_column(&table, &(struct ctl_column){.title = "x"});
    ctl_table_print(&table, &(struct ctl_screen){.width = 80}, &out);
    assert_true(out.failed);
    ctl_text_deinit(&out);
    ctl_table_deinit(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_natural_width),
        cmocka_unit_test(test_width_that_is_just_enough),
        cmocka_unit_test(test_width_below_the_minimum),
        cmocka_unit_test(test_cut_and_dropped_columns),
        cmocka_unit_test(test_no_rows),
        cmocka_unit_test(test_no_spaces_at_the_end_of_a_line),
        cmocka_unit_test(test_colors),
        cmocka_unit_test(test_escaped_titles_and_cells),
        cmocka_unit_test(test_too_many_columns),
    };
    return cmocka_run_group_tests_name("ctl/base/table", tests, NULL, NULL);
}
