/* ctl/show/chart: the length of bars and segments, marks, the legend. */
#include "ctl/show/chart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

/* Draws a response of /v1/buckets, given by its members after "metric" and "unit". The caller frees the text. */
static struct ctl_text draw(const char *members, int width, bool color)
{
    struct ctl_text body = {0}, problem = {0}, out = {0};
    struct ctl_matrix matrix;
    ctl_text_printf(&body, "{\"metric\": \"tottime\", \"unit\": \"seconds\", \"time_slice\": 10, %s}", members);
    cJSON *root = cJSON_Parse(ctl_text_str(&body));
    assert_non_null(root);
    assert_int_equal(ctl_matrix_load(&matrix, root, &problem), 0);
    ctl_chart(&matrix, &(struct ctl_screen){.width = width, .color = color}, &out);
    assert_false(out.failed);
    ctl_matrix_deinit(&matrix);
    cJSON_Delete(root);
    ctl_text_deinit(&body);
    ctl_text_deinit(&problem);
    return out;
}

static void expect(const char *members, int width, bool color, const char *want)
{
    struct ctl_text out = draw(members, width, color);
    assert_string_equal(ctl_text_str(&out), want);
    ctl_text_deinit(&out);
}

/* 32 columns leave 14 for bars: 8 are the time, 6 the totals, 4 gaps. A letter is in the middle of each segment. */
static void test_scaled_to_the_largest(void **state)
{
    (void)state;
    expect("\"buckets\": [0, 10, 20], \"profiles\": [1, 1, 1], "
           "\"functions\": [{\"function\": \"f\", \"total\": 7, \"values\": [4, 2, 1]}]",
           32, false,
           "00:00:00  ███████a██████  4.00 s\n"
           "00:00:10  ███a███         2.00 s\n"
           "00:00:20  ██a█            1.00 s\n"
           "\n"
           "  a █  f  7.00 s  100%\n");
}

static void test_segments_in_order(void **state)
{
    (void)state;
    expect("\"buckets\": [0], \"profiles\": [1], \"functions\": ["
           "{\"function\": \"f\", \"total\": 8, \"values\": [8]}, "
           "{\"function\": \"g\", \"total\": 4, \"values\": [4]}, "
           "{\"function\": \"h\", \"total\": 2, \"values\": [2]}], "
           "\"other\": {\"functions\": 3, \"total\": 2, \"values\": [2]}",
           34, false,
           "00:00:00  ████a███▓▓b▓▒▒░░  16.0 s\n"
           "\n"
           "  a █  f          8.00 s   50%\n"
           "  b ▓  g          4.00 s   25%\n"
           "  c ▒  h          2.00 s   12%\n"
           "    ░  other (3)  2.00 s   12%\n");
}

/* The end of each segment is rounded, not its length, so that rounding never adds up over a bar. */
static void test_rounding_does_not_add_up(void **state)
{
    (void)state;
    struct ctl_text out = draw("\"buckets\": [0], \"profiles\": [1], \"functions\": ["
                               "{\"function\": \"a\", \"total\": 1, \"values\": [1]}, "
                               "{\"function\": \"b\", \"total\": 1, \"values\": [1]}, "
                               "{\"function\": \"c\", \"total\": 1, \"values\": [1]}, "
                               "{\"function\": \"d\", \"total\": 1, \"values\": [1]}]",
                               28, false);
    const char *bar = ctl_text_str(&out) + strlen("00:00:00  ");
    assert_memory_equal(bar, "███▓▓▒▒▒██  4.00 s\n", strlen("███▓▓▒▒▒██  4.00 s\n"));
    ctl_text_deinit(&out);
}

static void test_value_too_small_for_the_scale(void **state)
{
    (void)state;
    const char *members = "\"buckets\": [0, 10, 20], \"profiles\": [1, 1, 1], "
                          "\"functions\": [{\"function\": \"f\", \"total\": 1000, \"values\": [1000, 0.001, 0]}]";
    struct ctl_text out = draw(members, 40, false);
    assert_non_null(strstr(ctl_text_str(&out), "00:00:10  ▏ "));
    assert_non_null(strstr(ctl_text_str(&out), "00:00:20    "));
    ctl_text_deinit(&out);
    out = draw(members, 40, true);
    assert_non_null(strstr(ctl_text_str(&out), "00:00:10  \033[0m▏ "));
    ctl_text_deinit(&out);
}

static void test_negative_values_are_drawn_as_zero(void **state)
{
    (void)state;
    expect("\"buckets\": [0, 10], \"profiles\": [1, 1], \"functions\": ["
           "{\"function\": \"f\", \"total\": 4, \"values\": [2, 2]}, "
           "{\"function\": \"g\", \"total\": -1, \"values\": [-1, 0]}]",
           28, false,
           "00:00:00  █████a████  1.00 s\n"
           "00:00:10  █████a████  2.00 s\n"
           "\n"
           "  a █  f   4.00 s  100%\n"
           "  b ▓  g  -1.00 s    0%\n");
}

static void test_nothing_but_zeros(void **state)
{
    (void)state;
    expect("\"buckets\": [0], \"profiles\": [0], "
           "\"functions\": [{\"function\": \"f\", \"total\": 0, \"values\": [0]}]",
           25, false,
           "00:00:00              0 s\n"
           "\n"
           "  a █  f  0 s    0%\n");
}

static void test_gaps_and_missing_parts(void **state)
{
    (void)state;
    expect("\"buckets\": [0, 10, 40, 60], \"profiles\": [1, 1, 1, 1], \"parts_missing\": [0, 2, 0, 0], "
           "\"functions\": [{\"function\": \"f\", \"total\": 4, \"values\": [1, 1, 1, 1]}]",
           28, false,
           "00:00:00  █████a████  1.00 s\n"
           "00:00:10! █████a████  1.00 s\n"
           "       ⋮  2 buckets without data\n"
           "00:00:40  █████a████  1.00 s\n"
           "       ⋮  1 bucket without data\n"
           "00:01:00  █████a████  1.00 s\n"
           "\n"
           "  a █  f  4.00 s  100%\n"
           "! parts of profiles are\n"
           "missing; the sums of these\n"
           "buckets are too small\n");
}

/* 33 and 208 are the first two colours. The first bar has 10 columns, the second 1/8 of a column more than 5. */
static void test_color_in_eighths(void **state)
{
    (void)state;
    struct ctl_text out = draw("\"buckets\": [0, 10], \"profiles\": [1, 1], \"functions\": ["
                               "{\"function\": \"f\", \"total\": 60.5, \"values\": [40, 20.5]}]",
                               28, true);
    const char *want = "00:00:00  \033[38;5;33m██████████\033[0m  40.0 s\n"
                       "00:00:10  \033[38;5;33m█████▏\033[0m      20.5 s\n";
    assert_memory_equal(ctl_text_str(&out), want, strlen(want));
    ctl_text_deinit(&out);

    out = draw("\"buckets\": [0], \"profiles\": [1], \"functions\": ["
               "{\"function\": \"f\", \"total\": 6, \"values\": [6]}, "
               "{\"function\": \"g\", \"total\": 34, \"values\": [34]}]",
               28, true);
    want = "00:00:00  \033[38;5;33m█\033[48;5;208m▌\033[49m\033[38;5;208m████████\033[0m  40.0 s\n";
    assert_memory_equal(ctl_text_str(&out), want, strlen(want));
    ctl_text_deinit(&out);
}

static void test_counts(void **state)
{
    (void)state;
    struct ctl_text problem = {0}, out = {0};
    struct ctl_matrix matrix;
    cJSON *root = cJSON_Parse("{\"metric\": \"cumtime\", \"unit\": \"calls\", \"time_slice\": 10, \"buckets\": [0], "
                              "\"profiles\": [1], "
                              "\"functions\": [{\"function\": \"f\", \"total\": 1234, \"values\": [1234]}]}");
    assert_int_equal(ctl_matrix_load(&matrix, root, &problem), 0);
    ctl_chart(&matrix, &(struct ctl_screen){.width = 60}, &out);
    assert_non_null(strstr(ctl_text_str(&out), "  1,234\n"));
    assert_non_null(strstr(ctl_text_str(&out), "Cumtimes of callers include their callees")); /* only for cumtime */
    ctl_matrix_deinit(&matrix);
    cJSON_Delete(root);
    ctl_text_deinit(&out);
}

/* Whatever the width, no bar exceeds it, and every line of a bucket has the same width. */
static void test_every_width(void **state)
{
    (void)state;
    for (int width = 1; width <= 120; width++)
        for (int color = 0; color < 2; color++) {
            struct ctl_text out = draw("\"buckets\": [0, 10, 20], \"profiles\": [1, 1, 1], \"functions\": ["
                                       "{\"function\": \"f\", \"total\": 7, \"values\": [4, 2.7, 0]}, "
                                       "{\"function\": \"g\", \"total\": 3, \"values\": [1.1, 1.7, 0]}]",
                                       width, color);
            int first = 0;
            const char *at = ctl_text_str(&out);
            for (int bucket = 0; bucket < 3; bucket++) {
                int columns = 0;
                while (*at != '\n') {
                    int32_t point;
                    if (*at == '\033') {
                        at = strchr(at, 'm') + 1;
                        continue;
                    }
                    at += ctl_decode(at, strlen(at), &point);
                    columns++;
                }
                at++;
                first = bucket ? first : columns;
                assert_int_equal(columns, first);
                assert_int_equal(columns, width > 28 ? width : 28);
            }
            ctl_text_deinit(&out);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scaled_to_the_largest),
        cmocka_unit_test(test_segments_in_order),
        cmocka_unit_test(test_rounding_does_not_add_up),
        cmocka_unit_test(test_value_too_small_for_the_scale),
        cmocka_unit_test(test_negative_values_are_drawn_as_zero),
        cmocka_unit_test(test_nothing_but_zeros),
        cmocka_unit_test(test_gaps_and_missing_parts),
        cmocka_unit_test(test_color_in_eighths),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_every_width),
    };
    return cmocka_run_group_tests_name("ctl/show/chart", tests, NULL, NULL);
}
