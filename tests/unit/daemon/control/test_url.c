/* daemon/url and daemon/host: what a request's target and Host say, and what is refused. */
#include "daemon/control/host.h"
#include "daemon/control/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The path and the parameters in brackets, "-" for a value that is not there. */
static void assert_parsed(const char *target, const char *expected)
{
    struct tsd_url url;
    struct ts_query_error error;
    char text[512];
    assert_int_equal(tsd_url_parse(target, &url, &error), 0);
    int len = snprintf(text, sizeof(text), "%s", url.path);
    for (size_t i = 0; i < url.n_params; i++)
        len += snprintf(text + len, sizeof(text) - (size_t)len, "[%s|%s]", url.params[i].name,
                        url.params[i].value ? url.params[i].value : "-");
    assert_string_equal(text, expected);
    tsd_url_deinit(&url);
    tsd_url_deinit(&url);
}

static void test_url_parts(void **state)
{
    (void)state;
    assert_parsed("/", "/");
    assert_parsed("", "");
    assert_parsed("/v1/top", "/v1/top");
    assert_parsed("/v1/top?", "/v1/top");
    assert_parsed("/v1/top?a", "/v1/top[a|-]");
    assert_parsed("/v1/top?a=", "/v1/top[a|]");
    assert_parsed("/v1/top?=a", "/v1/top[|a]");
    assert_parsed("/v1/top?&&a=1&&a=2&", "/v1/top[a|1][a|2]");
    assert_parsed("/v1/top?a=b=c?d", "/v1/top[a|b=c?d]");
    assert_parsed("http://localhost/v1/top", "http://localhost/v1/top");
}

static void test_url_escapes(void **state)
{
    (void)state;
    assert_parsed("/v1%2Ftop+x?a+b=c+d%2B%2b", "/v1/top+x[a b|c d++]");
    assert_parsed("/t?%61=%26%3D%25", "/t[a|&=%]");
    assert_parsed("/t?label.k%3Dx=1", "/t[label.k=x|1]");
    assert_parsed("/t?f=%E6%97%A5%f0%9f%98%80", "/t[f|\xE6\x97\xA5\xF0\x9F\x98\x80]");
    assert_parsed("/t?f=%01%7f", "/t[f|\x01\x7F]");
}

static void assert_refused(const char *target, const char *parameter, const char *word)
{
    struct tsd_url url;
    struct ts_query_error error;
    if (tsd_url_parse(target, &url, &error) != TS_EINVAL)
        fail_msg("%s was taken", target);
    assert_int_equal(error.kind, TS_QUERY_BAD_PARAMETER);
    assert_string_equal(error.parameter, parameter);
    assert_non_null(strstr(error.message, word));
}

static void test_url_refused(void **state)
{
    (void)state;
    assert_refused("/t?a=%", "a", "hexadecimal");
    assert_refused("/t?a=%4", "a", "hexadecimal");
    assert_refused("/t?a=%4&b=1", "a", "hexadecimal");
    assert_refused("/t?a=%zz", "a", "hexadecimal");
    assert_refused("/t?a=%4g", "a", "hexadecimal");
    assert_refused("/t?a=%-1", "a", "hexadecimal");
    assert_refused("/t?a=x%00y", "a", "%00");
    assert_refused("/t?a%00=1", "", "%00");
    assert_refused("/t%00?a=1", "", "%00");
    assert_refused("/%ff", "", "UTF-8");
    assert_refused("/t?%ff=1", "", "UTF-8");
}

static void test_url_utf8(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80",
        "\xBF",
        "\xC0\x80",
        "\xC1\xBF",
        "\xC2",
        "\xE0\x9F\xBF",
        "\xED\xA0\x80",
        "\xED\xBF\xBF",
        "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80",
        "\xF5\x80",
        "\xF8\x88\x80\x80\x80",
        "\xE2\x82",
        "\xE2\x82x",
        "\xF0\x9F\x98",
        "\xFF",
        "\xFE",
        "a\xC3(",
    };
    static const char *const good[] = {"\xC2\x80",         "\xDF\xBF",         "\xE0\xA0\x80",
                                       "\xED\x9F\xBF",     "\xEE\x80\x80",     "\xEF\xBF\xBF",
                                       "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF", "\xE2\x82\xAC rest"};
    char target[64];
    char expected[64];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(target, sizeof(target), "/t?a=%s", bad[i]);
        assert_refused(target, "a", "UTF-8");
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(target, sizeof(target), "/t?a=%s", good[i]);
        snprintf(expected, sizeof(expected), "/t[a|%s]", good[i]);
        assert_parsed(target, expected);
    }
}

static void test_url_many(void **state)
{
    (void)state;
    struct ts_buf text;
    struct tsd_url url;
    struct ts_query_error error;
    size_t len;
    ts_buf_init(&text);
    ts_buf_puts(&text, "/t?");
    for (int i = 0; i < TSD_URL_PARAMS_MAX; i++)
        ts_buf_puts(&text, "&a=1");
    ts_buf_putc(&text, '\0');
    assert_int_equal(tsd_url_parse(text.data, &url, &error), 0);
    assert_int_equal(url.n_params, TSD_URL_PARAMS_MAX);
    tsd_url_deinit(&url);
    text.len--;
    ts_buf_puts(&text, "&a");
    char *target = ts_buf_steal(&text, &len);
    assert_refused(target, "", "256");
    free(target);
}

static void test_host(void **state)
{
    (void)state;
    const char *allowed = "one.example, Two.example,,three";
    static const char *const good[] = {"127.0.0.1",    "127.0.0.1:8138", "10.1.2.3:",    "[::1]",       "[::1]:80",
                                       "[fe80::1]:1",  "localhost",      "LocalHost:80", "one.example", "ONE.example:1",
                                       "two.example ", " three",         "[::]",         "0.0.0.0"};
    static const char *const bad[] = {
        "",
        ":80",
        "evil.example",
        "one.example.evil",
        "xone.example",
        "one",
        "localhost.",
        "localhost:x",
        "localhost:80:90",
        "127.0.0.1.evil",
        "127.0.0",
        "127.1",
        "::1",
        "[::1",
        "[::1]x",
        "[]",
        "[localhost]",
        "[127.0.0.1]",
        ",",
        "one.example, ",
        "localhost:80 evil",
        "0x7f.0.0.1",
        "256.1.1.1:80",
        "[::1]:8x",
        "one.example,three",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!tsd_host_allowed(good[i], allowed))
            fail_msg("%s was refused", good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (tsd_host_allowed(bad[i], allowed))
            fail_msg("%s was allowed", bad[i]);
    }
    assert_false(tsd_host_allowed(NULL, allowed));
    assert_false(tsd_host_allowed("one.example", ""));
    assert_true(tsd_host_allowed("localhost", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_url_parts), cmocka_unit_test(test_url_escapes), cmocka_unit_test(test_url_refused),
        cmocka_unit_test(test_url_utf8),  cmocka_unit_test(test_url_many),    cmocka_unit_test(test_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
