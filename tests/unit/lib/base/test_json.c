/* The JSON parser: steps, offsets of errors, strings. Built twice, with SSE2 and with TS_PORTABLE. */
#include "lib/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DEPTH = 4 };

/* A copy exactly as long as the text, so that the sanitizer detects a read beyond its end. */
static char *copy_of(const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    if (len)
        memcpy(copy, text, len);
    return copy;
}

static void expect(const char *text, size_t len, int code, size_t offset)
{
    char *copy = copy_of(text, len);
    struct ts_json json;
    ts_json_init(&json, copy, len, DEPTH);
    bool good = ts_json_skip(&json) && ts_json_end(&json);
    if (good != !code || json.error != code || (code && json.offset != offset))
        fail_msg("%.*s: code %d at %zu, not %d at %zu", (int)len, text, json.error, json.offset, code, offset);
    if (code) {
        assert_non_null(json.why);
        /* The error is kept, and later calls do nothing. */
        struct ts_json_string string;
        assert_int_equal(ts_json_next(&json), TS_JSON_NONE);
        assert_false(ts_json_begin(&json) || ts_json_member(&json, &string) || ts_json_element(&json));
        assert_false(ts_json_skip(&json) || ts_json_end(&json) || ts_json_string(&json, &string));
        assert_int_equal(json.error, code);
        assert_int_equal(json.offset, offset);
    }
    free(copy);
}

#define GOOD(text) expect(text, sizeof(text) - 1, 0, 0)
#define BAD(text, offset) expect(text, sizeof(text) - 1, TS_BAD_JSON, offset)
#define UTF8(text, offset) expect(text, sizeof(text) - 1, TS_BAD_UTF8, offset)
#define DEEP(text, offset) expect(text, sizeof(text) - 1, TS_TOO_DEEP, offset)

static void values_of_every_type(void **state)
{
    (void)state;
    GOOD("null");
    GOOD(" true ");
    GOOD("\t\r\n false\n");
    GOOD("\"\"");
    GOOD("{}");
    GOOD("[]");
    GOOD("[ ]");
    GOOD("{ }");
    GOOD("{\"a\":[1,2,{\"b\":\"c\"}],\"a\":null}");
    GOOD("[[],[[]],{},\"\",0]");
    BAD("", 0);
    BAD("  ", 2);
    BAD("nul", 3);
    BAD("nulL", 3);
    BAD("nullx", 4);
    BAD("[1,]", 3);
    BAD("[,1]", 1);
    BAD("[1 2]", 3);
    BAD("[1}", 2);
    BAD("{\"a\":1,}", 7);
    BAD("{\"a\" 1}", 5);
    BAD("{a:1}", 1);
    BAD("{\"a\":1]", 6);
    BAD("]", 0);
    BAD("1 2", 2);
    BAD("[1]\0", 3);
    BAD("\xEF\xBB\xBF[]", 0);
}

static void numbers_follow_the_grammar(void **state)
{
    (void)state;
    static const char *const good[] = {"0", "-0", "10", "0.0", "-1.50", "1e5", "1E+5", "0e-0", "1.5e0009", "-0.0e0"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct ts_json json;
        struct ts_json_number number;
        ts_json_init(&json, good[i], strlen(good[i]), DEPTH);
        assert_int_equal(ts_json_next(&json), TS_JSON_NUMBER);
        assert_true(ts_json_number(&json, &number));
        assert_ptr_equal(number.text, good[i]);
        assert_int_equal(number.len, strlen(good[i]));
        assert_int_equal(number.integer, !strpbrk(good[i], ".eE"));
        assert_true(ts_json_end(&json));
    }
    BAD("-", 1);
    BAD("01", 1);
    BAD("-00", 2);
    BAD("1.", 2);
    BAD("1.e1", 2);
    BAD(".5", 0);
    BAD("+1", 0);
    BAD("1e", 2);
    BAD("1e+", 3);
    BAD("1ee1", 2);
    BAD("NaN", 0);
    BAD("-Infinity", 1);
    BAD("0x1", 1);
}

static void nesting_is_limited(void **state)
{
    (void)state;
    GOOD("[[[[]]]]");
    GOOD("[[[{}]],[[{}]],[[[]]]]");
    DEEP("[[[[[]]]]]", 4);
    DEEP("[[[{\"a\":[", 8);
    DEEP("[[[[{\x80", 4);
    BAD("[[[[", 4);
    BAD("x[[[[[[", 0);
}

/* Every kind of byte that ends the search, at each position in and around a block of 16 bytes. */
static void strings_at_every_alignment(void **state)
{
    (void)state;
    char text[128];
    for (size_t before = 0; before < 40; before++) {
        for (size_t after = 0; after < 20; after++) {
            for (int kind = 0; kind < 6; kind++) {
                static const char *const middles[] = {"\\n", "\xC3\xA9", "\x01", "\x80", "\\x", "\x1F"};
                static const int codes[] = {0, 0, TS_BAD_JSON, TS_BAD_UTF8, TS_BAD_JSON, TS_BAD_JSON};
                size_t len = 0;
                text[len++] = '"';
                memset(text + len, 'a', before);
                len += before;
                size_t at = len + (kind == 4);
                memcpy(text + len, middles[kind], strlen(middles[kind]));
                len += strlen(middles[kind]);
                memset(text + len, 'b', after);
                len += after;
                if (!codes[kind])
                    expect(text, len, TS_BAD_JSON, len); /* no closing quote */
                text[len++] = '"';
                expect(text, len, codes[kind], at);
            }
        }
    }
}

static void every_byte_in_a_string(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        for (size_t before = 0; before < 34; before += 11) {
            char text[96];
            memset(text, 'a', sizeof(text));
            text[0] = '"';
            text[1 + before] = (char)byte;
            size_t len = before + 30;
            text[len - 1] = '"';
            if (byte == '"')
                expect(text, len, TS_BAD_JSON, before + 2);
            else if (byte == '\\')
                expect(text, len, TS_BAD_JSON, before + 2); /* \a */
            else if (byte < 0x20)
                expect(text, len, TS_BAD_JSON, before + 1);
            else
                expect(text, len, byte < 0x80 ? 0 : TS_BAD_UTF8, before + 1);
        }
    }
}

/* All sequences of up to four bytes at the limits of the ranges, against the table of RFC 3629. */
static bool model_utf8(const unsigned char *p, size_t n)
{
    uint32_t c;
    if (n == 1)
        return p[0] < 0x80;
    for (size_t i = 1; i < n; i++) {
        if (p[i] >> 6 != 2)
            return false;
    }
    if (n == 2) {
        c = (uint32_t)(p[0] & 0x1F) << 6 | (p[1] & 0x3F);
        return p[0] >> 5 == 6 && c >= 0x80;
    }
    if (n == 3) {
        c = (uint32_t)(p[0] & 0x0F) << 12 | (uint32_t)(p[1] & 0x3F) << 6 | (p[2] & 0x3F);
        return p[0] >> 4 == 14 && c >= 0x800 && (c < 0xD800 || c > 0xDFFF);
    }
    c = (uint32_t)(p[0] & 7) << 18 | (uint32_t)(p[1] & 0x3F) << 12 | (uint32_t)(p[2] & 0x3F) << 6 | (p[3] & 0x3F);
    return p[0] >> 3 == 30 && c >= 0x10000 && c <= 0x10FFFF;
}

static void utf8_sequences_follow_the_table(void **state)
{
    (void)state;
    static const unsigned char edges[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0,
                                          0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0,
                                          0xF1, 0xF3, 0xF4, 0xF5, 0xF7, 0xF8, 0xFE, 0xFF};
    enum { N = sizeof(edges) };
    for (size_t n = 0; n < (size_t)N * N * N * N; n++) {
        unsigned char text[4] = {edges[n % N], edges[n / N % N], edges[n / N / N % N], edges[n / N / N / N]};
        for (size_t len = 1; len <= 4; len++) {
            size_t expected = 0;
            for (size_t k = 1; k <= len && !expected; k++)
                expected = model_utf8(text, k) ? k : 0;
            size_t got = ts_utf8_len((const char *)text, (const char *)text + len);
            if (got != expected)
                fail_msg("%02x %02x %02x %02x, %zu: %zu, not %zu", text[0], text[1], text[2], text[3], len, got,
                         expected);
        }
    }
    UTF8("\"\xC3", 1);
    UTF8("[\xFF]", 1);
    UTF8("tru\xFF", 3);
    UTF8("\"\\\xFF\"", 2);
    UTF8("\"\\u00\xFF\"", 5);
    UTF8("1.\x80", 2);
    UTF8("{\"a\"\xFF", 4);
    BAD("\xC3\xA9", 0);
    BAD("[\xE2\x82\xAC]", 1);
}

static void unescaped(const char *text, const char *expected, size_t expected_len)
{
    struct ts_json json;
    struct ts_json_string string;
    ts_json_init(&json, text, strlen(text), DEPTH);
    assert_int_equal(ts_json_next(&json), TS_JSON_STRING);
    assert_true(ts_json_string(&json, &string));
    assert_true(ts_json_end(&json));
    assert_int_equal(string.len, strlen(text) - 2);
    assert_int_equal(string.escaped, strchr(text, '\\') != NULL);
    char *out = copy_of(text, string.len); /* exactly the room that is documented as enough */
    size_t len = ts_json_unescape(&string, out);
    assert_int_equal(len, expected_len);
    assert_memory_equal(out, expected, len);
    free(out);
}

#define UNESCAPED(text, expected) unescaped(text, expected, sizeof(expected) - 1)

static void escapes_are_decoded(void **state)
{
    (void)state;
    UNESCAPED("\"\"", "");
    UNESCAPED("\"plain\"", "plain");
    UNESCAPED("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t");
    UNESCAPED("\"a\\u0000b\"", "a\0b");
    UNESCAPED("\"\\u007f\\u0080\\u07FF\\u0800\\uffff\"", "\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF");
    UNESCAPED("\"\\ud7ff\\uE000\"", "\xED\x9F\xBF\xEE\x80\x80");
    UNESCAPED("\"\\ud83d\\ude00\"", "\xF0\x9F\x98\x80");
    UNESCAPED("\"\\uD800\\uDC00\\udbff\\udfff\"", "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF");
    UNESCAPED("\"\\ud83d\"", "\xEF\xBF\xBD");
    UNESCAPED("\"\\ude00x\"", "\xEF\xBF\xBDx");
    UNESCAPED("\"\\ude00\\ud83d\"", "\xEF\xBF\xBD\xEF\xBF\xBD");
    UNESCAPED("\"\\ud83d\\ud83d\\ude00\"", "\xEF\xBF\xBD\xF0\x9F\x98\x80");
    UNESCAPED("\"\\ud83d\\u0041\"", "\xEF\xBF\xBD"
                                    "A");
    UNESCAPED("\"\\ud83d\\n\\ude00\"", "\xEF\xBF\xBD\n\xEF\xBF\xBD");
    UNESCAPED("\"\\ud83d\\\\ude00\"", "\xEF\xBF\xBD\\ude00");
    UNESCAPED("\"x\\u00e9\xC3\xA9\\\\\"", "x\xC3\xA9\xC3\xA9\\");
}

static void members_and_elements_are_stepped_through(void **state)
{
    (void)state;
    static const char text[] = " { \"a\" : [ 1 , \"b\" , [ ] ] , \"c\\n\":{},\"d\":true } ";
    struct ts_json json;
    struct ts_json_string string;
    struct ts_json_number number;
    ts_json_init(&json, text, sizeof(text) - 1, DEPTH);
    assert_int_equal(ts_json_next(&json), TS_JSON_OBJECT);
    assert_int_equal(ts_json_offset(&json), 1);
    assert_true(ts_json_begin(&json));
    assert_true(ts_json_member(&json, &string));
    assert_int_equal(string.len, 1);
    assert_ptr_equal(string.bytes, text + 4);
    assert_false(string.escaped);
    assert_int_equal(ts_json_next(&json), TS_JSON_LIST);
    assert_true(ts_json_begin(&json));
    assert_true(ts_json_element(&json));
    assert_int_equal(ts_json_next(&json), TS_JSON_NUMBER);
    assert_true(ts_json_number(&json, &number));
    assert_true(ts_json_element(&json));
    assert_int_equal(ts_json_next(&json), TS_JSON_STRING);
    assert_true(ts_json_string(&json, &string));
    assert_true(ts_json_element(&json));
    assert_int_equal(ts_json_next(&json), TS_JSON_LIST);
    assert_int_equal(json.depth, 2);
    assert_true(ts_json_begin(&json));
    assert_false(ts_json_element(&json)); /* the end of the inner list, */
    assert_false(ts_json_element(&json)); /* of the outer one, */
    assert_int_equal(json.error, 0);      /* and neither is an error */
    assert_int_equal(json.depth, 1);
    assert_true(ts_json_member(&json, &string));
    assert_true(string.escaped);
    assert_true(ts_json_skip(&json));
    assert_true(ts_json_member(&json, &string));
    assert_int_equal(ts_json_next(&json), TS_JSON_TRUE);
    assert_true(ts_json_skip(&json));
    assert_false(ts_json_member(&json, &string));
    assert_int_equal(json.depth, 0);
    assert_true(ts_json_end(&json));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_type),   cmocka_unit_test(numbers_follow_the_grammar),
        cmocka_unit_test(nesting_is_limited),     cmocka_unit_test(strings_at_every_alignment),
        cmocka_unit_test(every_byte_in_a_string), cmocka_unit_test(utf8_sequences_follow_the_table),
        cmocka_unit_test(escapes_are_decoded),    cmocka_unit_test(members_and_elements_are_stepped_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
