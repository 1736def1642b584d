/* A growable buffer, and the texts written into it: JSON strings, CSV fields, decimal seconds. */
#include "lib/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/text.h"
#include "tests/unit/failing_alloc.h"

__extension__ typedef unsigned __int128 u128;
#define INT128_MAX ((ts_i128)(((u128)1 << 127) - 1))
#define INT128_MIN (-INT128_MAX - 1)

static void expect(struct ts_buf *buf, const char *text, size_t len)
{
    assert_false(ts_buf_failed(buf));
    if (buf->len != len || (len && memcmp(buf->data, text, len) != 0))
        fail_msg("got %.*s, expected %.*s", (int)buf->len, buf->data, (int)len, text);
    ts_buf_reset(buf);
}

#define EXPECT(buf, text) expect(buf, text, sizeof(text) - 1)

static void appending_is_like_copying_into_an_array(void **state)
{
    (void)state;
    enum { ROOM = 1 << 20 };
    unsigned long long random = 1;
    char *model = malloc(ROOM);
    char piece[5000];
    assert_non_null(model);
    for (int round = 0; round < 20; round++) {
        struct ts_buf buf;
        size_t len = 0;
        ts_buf_init(&buf);
        for (int step = 0; step < 400; step++) {
            size_t n = next_random(&random) % (step % 10 ? 20 : sizeof(piece));
            for (size_t i = 0; i < n; i++)
                piece[i] = (char)(next_random(&random) % 255 + 1);
            piece[n < sizeof(piece) ? n : n - 1] = '\0';
            assert_true(len + n + 32 < ROOM);
            switch (next_random(&random) % 5) {
            case 0:
                ts_buf_append(&buf, piece, n);
                memcpy(model + len, piece, n);
                len += n;
                break;
            case 1:
                ts_buf_puts(&buf, piece);
                memcpy(model + len, piece, strlen(piece));
                len += strlen(piece);
                break;
            case 2:
                ts_buf_putc(&buf, (char)n);
                model[len++] = (char)n;
                break;
            case 3:
                ts_buf_printf(&buf, "<%zu%s%s>", n, piece, "%d");
                len += (size_t)sprintf(model + len, "<%zu%s%s>", n, piece, "%d");
                break;
            default:
                assert_int_equal(ts_buf_reserve(&buf, n), 0);
                assert_true(buf.cap - buf.len >= n);
                break;
            }
            assert_int_equal(buf.len, len);
            assert_true(buf.len <= buf.cap);
        }
        assert_memory_equal(buf.data, model, len);
        size_t stolen;
        char *data = ts_buf_steal(&buf, &stolen);
        assert_non_null(data);
        assert_int_equal(stolen, len);
        assert_memory_equal(data, model, len);
        assert_int_equal(data[len], '\0');
        assert_null(buf.data);
        assert_int_equal(buf.len, 0);
        free(data);
        ts_buf_deinit(&buf);
    }
    free(model);
}

static void an_empty_buffer_is_valid(void **state)
{
    (void)state;
    struct ts_buf buf;
    size_t len = 7;
    ts_buf_init(&buf);
    ts_buf_append(&buf, NULL, 0);
    ts_buf_puts(&buf, "");
    ts_buf_printf(&buf, "%s", "");
    EXPECT(&buf, "");
    char *text = ts_buf_steal(&buf, &len);
    assert_non_null(text);
    assert_int_equal(len, 0);
    assert_string_equal(text, "");
    free(text);
    ts_buf_deinit(&buf);
    ts_buf_deinit(&buf);
}

static void reset_keeps_the_memory(void **state)
{
    (void)state;
    struct ts_buf buf;
    ts_buf_init(&buf);
    for (int i = 0; i < 10000; i++)
        ts_buf_puts(&buf, "0123456789");
    size_t cap = buf.cap;
    const char *data = buf.data;
    ts_buf_reset(&buf);
    size_t calls = alloc_calls;
    for (int i = 0; i < 10000; i++)
        ts_buf_puts(&buf, "0123456789");
    assert_int_equal(alloc_calls, calls);
    assert_int_equal(buf.cap, cap);
    assert_ptr_equal(buf.data, data);
    ts_buf_deinit(&buf);
}

/* A million bytes appended one by one need a few allocations. */
static void growth_is_geometric(void **state)
{
    (void)state;
    struct ts_buf buf;
    ts_buf_init(&buf);
    size_t calls = alloc_calls;
    for (int i = 0; i < 1000000; i++)
        ts_buf_putc(&buf, 'x');
    assert_int_equal(buf.len, 1000000);
    assert_in_range(alloc_calls - calls, 1, 30);
    ts_buf_deinit(&buf);
}

static void write_all(struct ts_buf *buf)
{
    char text[600];
    memset(text, 'a', sizeof(text));
    ts_buf_append(buf, text, sizeof(text));
    ts_put_json_string(buf, text, sizeof(text));
    ts_put_csv_field(buf, text, sizeof(text));
    ts_buf_printf(buf, "%.*s", 600, text);
    ts_buf_puts(buf, "end");
    ts_put_seconds(buf, -1);
    ts_buf_putc(buf, '!');
}

/* Whichever call fails, later ones append nothing; after reset the buffer can be used again. */
static void a_failure_is_kept_until_reset(void **state)
{
    (void)state;
    struct ts_buf whole;
    ts_buf_init(&whole);
    write_all(&whole);
    assert_false(ts_buf_failed(&whole));
    int n = 0;
    for (;; n++) {
        struct ts_buf buf;
        ts_buf_init(&buf);
        alloc_fail_at = n;
        write_all(&buf);
        alloc_fail_at = -1;
        if (!ts_buf_failed(&buf)) {
            assert_int_equal(buf.len, whole.len);
            assert_memory_equal(buf.data, whole.data, whole.len);
            ts_buf_deinit(&buf);
            break;
        }
        /* It has the beginning of the text, without gaps, and later calls do not append, even with memory. */
        assert_true(buf.len < whole.len);
        if (buf.len)
            assert_memory_equal(buf.data, whole.data, buf.len);
        size_t len = buf.len;
        ts_buf_putc(&buf, 'x');
        ts_buf_printf(&buf, "%d", 1);
        assert_int_equal(ts_buf_reserve(&buf, 1), TS_ENOMEM);
        assert_int_equal(buf.len, len);
        assert_true(ts_buf_failed(&buf));
        if (n % 2) {
            ts_buf_reset(&buf);
            write_all(&buf);
            expect(&buf, whole.data, whole.len);
        } else {
            size_t stolen = 99;
            assert_null(ts_buf_steal(&buf, &stolen));
            assert_int_equal(stolen, 99);
            assert_null(buf.data);
            ts_buf_putc(&buf, 'y'); /* usable again */
            EXPECT(&buf, "y");
        }
        ts_buf_deinit(&buf);
    }
    assert_true(n >= 3);
    ts_buf_deinit(&whole);
}

static void sizes_beyond_memory_fail(void **state)
{
    (void)state;
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2 + 2};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        struct ts_buf buf;
        ts_buf_init(&buf);
        ts_buf_puts(&buf, "kept");
        assert_int_equal(ts_buf_reserve(&buf, sizes[i]), TS_ENOMEM);
        assert_true(ts_buf_failed(&buf));
        assert_memory_equal(buf.data, "kept", 4);
        ts_buf_deinit(&buf);
    }
}

static void steal_without_memory_fails(void **state)
{
    (void)state;
    struct ts_buf buf;
    ts_buf_init(&buf);
    ts_buf_putc(&buf, 'x');
    while (buf.len < buf.cap)
        ts_buf_putc(&buf, 'x');
    size_t len = 5;
    alloc_fail_at = 0; /* no room for the terminator */
    assert_null(ts_buf_steal(&buf, &len));
    alloc_fail_at = -1;
    assert_int_equal(len, 5);
    assert_null(buf.data);
}

/* ---- JSON ---- */

static void json_strings_of_every_byte(void **state)
{
    (void)state;
    struct ts_buf buf;
    ts_buf_init(&buf);
    for (int byte = 0; byte < 256; byte++) {
        char text[3] = {'a', (char)byte, 'b'};
        char expected[32];
        if (byte == '"' || byte == '\\')
            snprintf(expected, sizeof(expected), "\"a\\%cb\"", byte);
        else if (byte == '\n')
            snprintf(expected, sizeof(expected), "\"a\\nb\"");
        else if (byte < 0x20 || byte == 0x7F)
            snprintf(expected, sizeof(expected), "\"a\\u%04xb\"", (unsigned)byte);
        else if (byte >= 0x80)
            snprintf(expected, sizeof(expected),
                     "\"a\xEF\xBF\xBD"
                     "b\"");
        else
            snprintf(expected, sizeof(expected), "\"a%cb\"", byte);
        ts_put_json_string(&buf, text, sizeof(text));
        expect(&buf, expected, strlen(expected));
        /* Alone at the end of the memory: nothing after it is read. */
        char *alone = malloc(1);
        assert_non_null(alone);
        *alone = (char)byte;
        ts_put_json_string(&buf, alone, 1);
        free(alone);
        assert_int_equal(buf.data[0], '"');
        assert_int_equal(buf.data[buf.len - 1], '"');
        assert_true(buf.len >= 3);
        ts_buf_reset(&buf);
    }
    ts_put_json_string(&buf, "", 0);
    EXPECT(&buf, "\"\"");
    ts_buf_deinit(&buf);
}

static size_t encode(unsigned code, char *text)
{
    if (code < 0x80) {
        text[0] = (char)code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        text[i] = (char)(0x80 | (code & 0x3F));
    text[0] = (char)((n == 2 ? 0xC0 : n == 3 ? 0xE0 : 0xF0) | code);
    return n;
}

/* Every code point is copied; surrogates, overlong forms, numbers above the last code point and incomplete sequences
 * are replaced. */
static void json_strings_of_every_code_point(void **state)
{
    (void)state;
    struct ts_buf buf;
    ts_buf_init(&buf);
    for (unsigned code = 0x80; code <= 0x1FFFFF; code++) {
        char text[8];
        char expected[16] = "\"";
        size_t n = encode(code, text);
        bool valid = code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
        if (valid)
            memcpy(expected + 1, text, n);
        ts_put_json_string(&buf, text, n);
        if (valid) {
            expected[n + 1] = '"';
            expect(&buf, expected, n + 2);
        } else {
            assert_false(ts_buf_failed(&buf));
            assert_int_equal(buf.len % 3, 2);
            for (size_t i = 1; i + 1 < buf.len; i += 3)
                assert_memory_equal(buf.data + i, "\xEF\xBF\xBD", 3);
            ts_buf_reset(&buf);
        }
        if (code > 0x10FFFF + 1000 && code < 0x1FF000)
            code = 0x1FF000;
    }
    static const char *const bad[] = {"\xC0\x80",
                                      "\xC1\xBF",
                                      "\xE0\x80\x80",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xED\xBF\xBF",
                                      "\xF0\x80\x80\x80",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xE2\x82",
                                      "\xF0\x9F\x98",
                                      "\xC3",
                                      "\xFE",
                                      "\xFF"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        size_t len = strlen(bad[i]);
        char *exact = malloc(len); /* no terminator, so that the sanitizer detects a read beyond the end */
        assert_non_null(exact);
        memcpy(exact, bad[i], len);
        ts_put_json_string(&buf, exact, len);
        free(exact);
        assert_memory_equal(buf.data + 1, "\xEF\xBF\xBD", 3);
        ts_buf_reset(&buf);
    }
    /* The bytes after an incomplete sequence are kept. */
    ts_put_json_string(&buf, "\xE2\x82\"x", 4);
    EXPECT(&buf, "\"\xEF\xBF\xBD\xEF\xBF\xBD\\\"x\"");
    ts_put_json_string(&buf, "\xF0\x9F\xC3\xA9", 4);
    EXPECT(&buf, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xC3\xA9\"");
    ts_buf_deinit(&buf);
}

/* ---- CSV ---- */

static void csv_fields_are_quoted_if_needed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *field;
    } table[] = {
        {"", ""},           {"plain", "plain"},
        {"a b", "a b"},     {"a,b", "\"a,b\""},
        {"\"", "\"\"\"\""}, {"a\"b", "\"a\"\"b\""},
        {"\n", "\"\n\""},   {"\r", "\"\r\""},
        {",", "\",\""},     {"\"\"", "\"\"\"\"\"\""},
        {";", ";"},         {"'", "'"},
        {"日本", "日本"},   {"x\r\ny,\"", "\"x\r\ny,\"\"\""},
    };
    struct ts_buf buf;
    ts_buf_init(&buf);
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        ts_put_csv_field(&buf, table[i].text, strlen(table[i].text));
        expect(&buf, table[i].field, strlen(table[i].field));
    }
    ts_buf_deinit(&buf);
}

/* Random fields are read back by a reader in this test. */
static void csv_fields_are_read_back(void **state)
{
    (void)state;
    unsigned long long random = 3;
    struct ts_buf buf;
    ts_buf_init(&buf);
    for (int round = 0; round < 5000; round++) {
        char text[12];
        size_t len = next_random(&random) % sizeof(text);
        for (size_t i = 0; i < len; i++)
            text[i] = "\",\r\nab\xC3 "[next_random(&random) % 8];
        ts_put_csv_field(&buf, text, len);
        char back[sizeof(text) * 2];
        size_t n = 0;
        if (buf.len && buf.data[0] == '"') {
            size_t i = 1;
            for (; i + 1 < buf.len; i++) {
                if (buf.data[i] == '"')
                    assert_int_equal(buf.data[++i], '"');
                back[n++] = buf.data[i];
            }
            assert_int_equal(i, buf.len - 1);
            assert_int_equal(buf.data[i], '"');
        } else {
            for (; n < buf.len; n++) {
                assert_null(memchr("\",\r\n", buf.data[n], 4));
                back[n] = buf.data[n];
            }
        }
        assert_int_equal(n, len);
        assert_memory_equal(back, text, len);
        ts_buf_reset(&buf);
    }
    ts_buf_deinit(&buf);
}

/* ---- Seconds ---- */

static void decimal_seconds_are_exact(void **state)
{
    (void)state;
    static const struct {
        long long ns;
        const char *text;
    } table[] = {
        {0, "0"},
        {1, "0.000000001"},
        {-1, "-0.000000001"},
        {10, "0.00000001"},
        {100000000, "0.1"},
        {999999999, "0.999999999"},
        {-999999999, "-0.999999999"},
        {1000000000, "1"},
        {-1000000000, "-1"},
        {1500000000, "1.5"},
        {10000000000, "10"},
        {100000000000, "100"},
        {1000000001, "1.000000001"},
        {1732272009250000000, "1732272009.25"},
        {INT64_MAX, "9223372036.854775807"},
        {INT64_MIN, "-9223372036.854775808"},
    };
    struct ts_buf buf;
    ts_buf_init(&buf);
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        ts_put_seconds(&buf, table[i].ns);
        expect(&buf, table[i].text, strlen(table[i].text));
    }
    ts_put_seconds(&buf, INT128_MAX);
    EXPECT(&buf, "170141183460469231731687303715.884105727");
    ts_put_seconds(&buf, INT128_MIN);
    EXPECT(&buf, "-170141183460469231731687303715.884105728");
    ts_put_seconds(&buf, (ts_i128)INT64_MAX + 1);
    EXPECT(&buf, "9223372036.854775808");
    ts_put_seconds(&buf, -((ts_i128)1000000000 << 64));
    EXPECT(&buf, "-18446744073709551616");
    ts_buf_deinit(&buf);
}

/* Read back digit by digit, it is the same number; no trailing zeros, no exponent. */
static void decimal_seconds_are_read_back(void **state)
{
    (void)state;
    unsigned long long random = 4;
    struct ts_buf buf;
    ts_buf_init(&buf);
    for (int round = 0; round < 50000; round++) {
        u128 bits = (u128)next_random(&random) << 64 | next_random(&random);
        ts_i128 ns = (ts_i128)(bits >> next_random(&random) % 127);
        if (next_random(&random) % 2)
            ns = -ns;
        if (next_random(&random) % 3 == 0)
            ns = ns / 1000000 * 1000000;
        ts_put_seconds(&buf, ns);
        const char *p = buf.data;
        const char *end = p + buf.len;
        bool negative = *p == '-';
        p += negative;
        assert_true(p < end && (*p != '0' || p + 1 == end || p[1] == '.'));
        u128 back = 0;
        int decimals = -1;
        for (; p < end; p++) {
            if (*p == '.') {
                assert_int_equal(decimals, -1);
                decimals = 0;
                continue;
            }
            assert_in_range(*p, '0', '9');
            back = back * 10 + (unsigned)(*p - '0');
            decimals += decimals >= 0;
        }
        if (decimals >= 0) {
            assert_in_range(decimals, 1, 9);
            assert_int_not_equal(end[-1], '0');
        }
        for (int i = decimals < 0 ? 0 : decimals; i < 9; i++)
            back *= 10;
        assert_true(back == (negative ? -(u128)ns : (u128)ns));
        assert_true(negative == (ns < 0));
        ts_buf_reset(&buf);
    }
    ts_buf_deinit(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appending_is_like_copying_into_an_array),
        cmocka_unit_test(an_empty_buffer_is_valid),
        cmocka_unit_test(reset_keeps_the_memory),
        cmocka_unit_test(growth_is_geometric),
        cmocka_unit_test(a_failure_is_kept_until_reset),
        cmocka_unit_test(sizes_beyond_memory_fail),
        cmocka_unit_test(steal_without_memory_fails),
        cmocka_unit_test(json_strings_of_every_byte),
        cmocka_unit_test(json_strings_of_every_code_point),
        cmocka_unit_test(csv_fields_are_quoted_if_needed),
        cmocka_unit_test(csv_fields_are_read_back),
        cmocka_unit_test(decimal_seconds_are_exact),
        cmocka_unit_test(decimal_seconds_are_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
