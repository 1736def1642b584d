/* ctl/show/matrix: only a response whose lists fit together is accepted. */
#include "ctl/show/matrix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

static void test_load(void **state)
{
    (void)state;
    struct ctl_matrix m;
    struct ctl_text problem = {0};
    cJSON *root = cJSON_Parse(
        "{\"time_slice\": 10, \"metric\": \"tottime\", \"unit\": \"seconds\", \"buckets\": [100, 110], "
        "\"profiles\": [1, 2], \"parts_missing\": [0, 1], \"functions\": ["
        "{\"function\": \"f\", \"total\": 3, \"values\": [1, 2], \"file_name\": \"/a/b.py\", \"line_number\": 7}, "
        "{\"function\": \"\", \"total\": 0, \"values\": [0, 0]}, "
        "{\"label\": null, \"total\": 0, \"values\": [0, 0]}], "
        "\"other\": {\"functions\": 5, \"total\": 9, \"values\": [4, 5]}}");
    assert_int_equal(ctl_matrix_load(&m, root, &problem), 0);
    assert_int_equal(m.n_buckets, 2);
    assert_int_equal(m.n_series, 3);
    assert_true(fabs(m.times[1] - 110) < 1e-9 && fabs(m.profiles[1] - 2) < 1e-9 && fabs(m.missing[1] - 1) < 1e-9);
    assert_string_equal(ctl_text_str(&m.series[0].name), "f");
    assert_string_equal(ctl_text_str(&m.series[0].location), "/a/b.py:7");
    assert_true(fabs(m.series[0].values[1] - 2) < 1e-9 && fabs(m.series[0].total - 3) < 1e-9);
    assert_string_equal(ctl_text_str(&m.series[1].name), "(empty)");
    assert_string_equal(ctl_text_str(&m.series[2].name), "(none)");
    assert_true(fabs(m.other.values[0] - 4) < 1e-9 && fabs(m.other_functions - 5) < 1e-9);
    assert_true(m.seconds);
    assert_string_equal(m.metric, "tottime");
    ctl_matrix_deinit(&m);
    ctl_matrix_deinit(&m);
    cJSON_Delete(root);
    ctl_text_deinit(&problem);
}

/* Members that earlier or later daemons may omit. */
static void test_optional_members(void **state)
{
    (void)state;
    struct ctl_matrix m;
    struct ctl_text problem = {0};
    cJSON *root = cJSON_Parse("{\"buckets\": [1], \"profiles\": [1], \"functions\": []}");
    assert_int_equal(ctl_matrix_load(&m, root, &problem), 0);
    assert_null(m.missing);
    assert_false(m.seconds);
    assert_non_null(m.other.values);
    assert_true(fabs(m.other.values[0]) < 1e-9);
    ctl_matrix_deinit(&m);
    cJSON_Delete(root);
    ctl_text_deinit(&problem);
}

static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *body, *message;
    } rows[] = {
        {"{}", "the response has no list \"buckets\""},
        {"{\"buckets\": {}}", "the response has no list \"buckets\""},
        {"{\"buckets\": [1]}", "the response has no list \"profiles\""},
        {"{\"buckets\": [\"1\"], \"profiles\": [1]}", "in the response, \"buckets\" is not a list of 1 numbers"},
        {"{\"buckets\": [1], \"profiles\": []}", "in the response, \"profiles\" is not a list of 1 numbers"},
        {"{\"buckets\": [1], \"profiles\": [1, 2]}", "in the response, \"profiles\" is not a list of 1 numbers"},
        {"{\"buckets\": [1], \"profiles\": [null]}", "in the response, \"profiles\" is not a list of 1 numbers"},
        {"{\"buckets\": [1], \"profiles\": [1]}", "the response has no list \"functions\""},
        {"{\"buckets\": [1], \"profiles\": [1], \"parts_missing\": [], \"functions\": []}",
         "in the response, \"parts_missing\" is not a list of 1 numbers"},
        {"{\"buckets\": [1], \"profiles\": [1], \"functions\": [{\"function\": \"f\"}]}",
         "the response has no list \"values\""},
        {"{\"buckets\": [1], \"profiles\": [1], \"functions\": [7]}", "the response has no list \"values\""},
        {"{\"buckets\": [1], \"profiles\": [1], \"functions\": [{\"function\": \"f\", \"values\": [1, 2]}]}",
         "in the response, \"values\" of f is not a list of 1 numbers"},
        {"{\"buckets\": [1], \"profiles\": [1], \"functions\": [], \"other\": {\"values\": []}}",
         "in the response, \"values\" of other is not a list of 1 numbers"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ctl_matrix m;
        struct ctl_text problem = {0};
        cJSON *root = cJSON_Parse(rows[i].body);
        assert_int_equal(ctl_matrix_load(&m, root, &problem), -1);
        assert_string_equal(ctl_text_str(&problem), rows[i].message);
        ctl_matrix_deinit(&m);
        ctl_text_deinit(&problem);
        cJSON_Delete(root);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_optional_members),
        cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests_name("ctl/show/matrix", tests, NULL, NULL);
}
