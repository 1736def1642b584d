/* ctl/show/diff: rows kept and summed, and the check of --fail-over. */
#include "ctl/show/diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

/* Appends a row whose metric per profile went from before to after. */
static void add_row(struct ctl_text *rows, const char *function, double before, double after)
{
    ctl_text_printf(rows,
                    "%s{\"function\": \"%s\", \"per_profile\": {\"before\": %g, \"after\": %g, \"change\": %.17g}, "
                    "\"called_more\": 0, \"slower_per_call\": %.17g}",
                    rows->len ? ", " : "", function, before, after, after - before, after - before);
}

static void load_rows(struct ctl_diff *diff, const struct ctl_text *rows, double profiles_before, double profiles_after,
                      const char *unit, size_t keep)
{
    struct ctl_text body = {0}, problem = {0};
    ctl_text_printf(&body,
                    "{\"before\": {\"profiles\": %g}, \"after\": {\"profiles\": %g}, \"metric\": \"cumtime\", "
                    "\"unit\": \"%s\", \"functions\": [%s]}",
                    profiles_before, profiles_after, unit, ctl_text_str(rows));
    cJSON *root = cJSON_Parse(ctl_text_str(&body));
    assert_non_null(root);
    assert_int_equal(ctl_diff_load(diff, root, keep, &problem), 0);
    cJSON_Delete(root);
    ctl_text_deinit(&body);
    ctl_text_deinit(&problem);
}

/* NULL: the check passes. */
static void expect_verdict(double before, double after, double percent, double ignore_below, const char *want)
{
    struct ctl_diff diff;
    struct ctl_text rows = {0}, text = {0};
    add_row(&rows, "f", before, after);
    load_rows(&diff, &rows, 1, 1, "seconds", 0);
    assert_int_equal(ctl_diff_check(&diff, percent, ignore_below, &text), want ? -1 : 0);
    assert_string_equal(ctl_text_str(&text), want ? want : "");
    ctl_diff_deinit(&diff);
    ctl_text_deinit(&rows);
    ctl_text_deinit(&text);
}

static void test_growth(void **state)
{
    (void)state;
    expect_verdict(1, 1.3, 20, 0, "1 function grew by over 20% in cumtime per profile: f +30% (1.00 s to 1.30 s)");
    expect_verdict(1, 1.2, 20, 0, NULL); /* exactly 20% */
    expect_verdict(0.1, 0.3, 200, 0, NULL);
    expect_verdict(1, 0.5, 20, 0, NULL);
    expect_verdict(1, 1, 0, 0, NULL);
    expect_verdict(1, 1.0001, 0, 0, "1 function grew by over 0% in cumtime per profile: f ~0% (1.00 s to 1.00 s)");
}

static void test_growth_to_ignore(void **state)
{
    (void)state;
    expect_verdict(0.001, 0.002, 20, 0.0011, NULL);
    expect_verdict(0.001, 0.003, 20, 0.0011,
                   "1 function grew by over 20% in cumtime per profile: f +200% (1.00 ms to 3.00 ms)");
    expect_verdict(0, 0.001, 20, 0.0011, NULL);
}

static void test_new_function(void **state)
{
    (void)state;
    expect_verdict(0, 0.5, 1000, 0, "1 function grew by over 1000% in cumtime per profile: f new (500 ms)");
    expect_verdict(-1, 0.5, 1000, 0, "1 function grew by over 1000% in cumtime per profile: f up (-1.00 s to 500 ms)");
}

static void test_largest_growths_are_named(void **state)
{
    (void)state;
    struct ctl_diff diff;
    struct ctl_text rows = {0}, text = {0};
    static const double growths[] = {3, 1, 7, 2, 6, 4, 5};
    for (size_t i = 0; i < 7; i++) {
        char name[] = {'f', (char)('0' + (int)growths[i]), '\0'};
        add_row(&rows, name, 1, 1 + growths[i]);
    }
    load_rows(&diff, &rows, 1, 1, "calls", 0);
    assert_int_equal(ctl_diff_check(&diff, 20, 0, &text), -1);
    assert_string_equal(ctl_text_str(&text), "7 functions grew by over 20% in cumtime per profile: f7 +700% (1 to 8), "
                                             "f6 +600% (1 to 7), f5 +500% (1 to 6), f4 +400% (1 to 5), "
                                             "f3 +300% (1 to 4) and 2 more");
    ctl_diff_deinit(&diff);
    ctl_text_deinit(&rows);
    ctl_text_deinit(&text);
}

static void test_rows_beyond_the_limit_are_summed(void **state)
{
    (void)state;
    struct ctl_diff diff;
    struct ctl_text rows = {0};
    add_row(&rows, "a", 1, 5);
    add_row(&rows, "b", 1, 2);
    add_row(&rows, "c", 2, 4);
    load_rows(&diff, &rows, 1, 1, "seconds", 1);
    assert_int_equal(diff.n, 1);
    assert_string_equal(ctl_text_str(&diff.rows[0].name), "a");
    assert_true(diff.other_functions > 1.9 && diff.other_functions < 2.1);
    assert_true(fabs(diff.other.before - 3) < 1e-9 && fabs(diff.other.after - 6) < 1e-9);
    assert_true(fabs(diff.other.change - 3) < 1e-9 && fabs(diff.other.ratio - 2) < 1e-9);
    ctl_diff_deinit(&diff);
    load_rows(&diff, &rows, 1, 1, "seconds", 99);
    assert_int_equal(diff.n, 3);
    ctl_diff_deinit(&diff);
    ctl_text_deinit(&rows);
}

static void test_ranges_without_profiles(void **state)
{
    (void)state;
    static const struct {
        double before, after;
        const char *message;
    } rows[] = {
        {1, 1, NULL},
        {0, 1, "there are no profiles before, so nothing can be compared"},
        {1, 0, "there are no profiles after, so nothing can be compared"},
        {0, 0, "there are no profiles on either side, so nothing can be compared"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ctl_diff diff;
        struct ctl_text text = {0}, none = {0};
        load_rows(&diff, &none, rows[i].before, rows[i].after, "seconds", 0);
        assert_int_equal(ctl_diff_is_one_sided(&diff, &text), rows[i].message != NULL);
        assert_string_equal(ctl_text_str(&text), rows[i].message ? rows[i].message : "");
        ctl_diff_deinit(&diff);
        ctl_text_deinit(&text);
    }
}

static void test_malformed(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{}",
        "{\"functions\": 1}",
        "{\"functions\": []}",
        "{\"functions\": [], \"before\": {\"profiles\": 1}}",
        "{\"functions\": [], \"before\": {\"profiles\": \"1\"}, \"after\": {\"profiles\": 1}}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct ctl_diff diff;
        struct ctl_text problem = {0};
        cJSON *root = cJSON_Parse(bodies[i]);
        assert_int_equal(ctl_diff_load(&diff, root, 0, &problem), -1);
        assert_true(problem.len);
        ctl_diff_deinit(&diff);
        ctl_text_deinit(&problem);
        cJSON_Delete(root);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_growth_to_ignore),
        cmocka_unit_test(test_new_function),
        cmocka_unit_test(test_largest_growths_are_named),
        cmocka_unit_test(test_rows_beyond_the_limit_are_summed),
        cmocka_unit_test(test_ranges_without_profiles),
        cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests_name("ctl/show/diff", tests, NULL, NULL);
}
