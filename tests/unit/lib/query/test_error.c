/* The codes, messages and truncation of query errors. */
#include "lib/query/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void codes_of_errors(void **state)
{
    (void)state;
    static const char *const codes[TS_QUERY_ERROR_KINDS] = {
        [TS_QUERY_BAD_PARAMETER] = "bad_parameter", [TS_QUERY_TOO_LARGE] = "too_large",
        [TS_QUERY_NOT_KEPT] = "not_kept",           [TS_QUERY_STORE_UNAVAILABLE] = "store_unavailable",
        [TS_QUERY_INTERNAL] = "internal",
    };
    for (int kind = TS_QUERY_BAD_PARAMETER; kind < TS_QUERY_ERROR_KINDS; kind++)
        assert_string_equal(ts_query_error_code((enum ts_query_error_kind)kind), codes[kind]);
}

static void errors_are_truncated_to_valid_utf8(void **state)
{
    (void)state;
    struct ts_query_error error;
    char text[400];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    memcpy(text + 94, "\xc3\xa9", 2);  /* the last byte of parameter, and one that does not fit */
    memcpy(text + 253, "\xc3\xa9", 2); /* the last bytes of message */
    text[10] = '\xff';
    assert_int_equal(ts_query_fail(&error, TS_QUERY_TOO_LARGE, text, "%s", text), TS_EINVAL);
    assert_int_equal(error.kind, TS_QUERY_TOO_LARGE);
    assert_int_equal(strlen(error.parameter), sizeof(error.parameter) - 1);
    assert_int_equal(error.parameter[94], '?');
    assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
    assert_int_equal(error.message[10], '?');
    assert_memory_equal(error.message + 253, "\xc3\xa9", 2);
}

static void fatal_codes_have_a_message(void **state)
{
    (void)state;
    static const struct {
        int code;
        int kind;
        const char *message;
    } table[] = {
        {TS_ENOMEM, TS_QUERY_INTERNAL, "out of memory"},
        {TS_ECANCELED, TS_QUERY_STORE_UNAVAILABLE, "interrupted"},
        {TS_ESTORE, TS_QUERY_STORE_UNAVAILABLE, "cannot be read"},
        {TS_EREFUSED, TS_QUERY_STORE_UNAVAILABLE, "cannot be read"},
    };
    struct ts_query_error error = {.kind = TS_QUERY_NO_ERROR};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_int_equal(ts_query_fail_with(&error, table[i].code), table[i].code);
        assert_int_equal(error.kind, table[i].kind);
        assert_string_equal(error.parameter, "");
        assert_non_null(strstr(error.message, table[i].message));
    }
    /* An error that was described already is kept. */
    assert_int_equal(ts_query_fail(&error, TS_QUERY_NOT_KEPT, "from", "at %d", 7), TS_EINVAL);
    assert_int_equal(ts_query_fail_with(&error, TS_EINVAL), TS_EINVAL);
    assert_int_equal(error.kind, TS_QUERY_NOT_KEPT);
    assert_string_equal(error.message, "at 7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_of_errors),
        cmocka_unit_test(errors_are_truncated_to_valid_utf8),
        cmocka_unit_test(fatal_codes_have_a_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
