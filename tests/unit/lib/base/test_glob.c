/* Patterns for function names, and the reader of stored label sets. */
#include "lib/aggregate/labels.h"
#include "lib/base/glob.h"
#include "lib/base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct ts_str str(const char *text)
{
    return (struct ts_str){text, strlen(text)};
}

static void patterns_match_as_fnmatchcase(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *name;
        bool matches;
    } table[] = {
        {"", "", true},
        {"", "a", false},
        {"a", "", false},
        {"*", "", true},
        {"***", "anything", true},
        {"a*", "a", true},
        {"a*b", "ab", true},
        {"a*b", "axxbxb", true},
        {"a*b", "axxbx", false},
        {"*a*b*", "xxaxxbxx", true},
        {"*a*b*", "xxbxxaxx", false},
        {"?", "", false},
        {"?", "a", true},
        {"?", "\xc3\xa9", true},
        {"??", "\xc3\xa9", false},
        {"?", "\xf0\x9f\x98\x80", true},
        {"e?", "e\xcc\x81", true},
        {"*\xa9", "\xc3\xa9", false}, /* not UTF-8: see below */
        {"A", "a", false},
        {"*.py", "a.py", true},
        {"*.py", ".py", true},
        {"*", "a/b\nc", true},
        {"?", "\n", true},
        {"\\*", "\\x", true},
        {"\\*", "*", false},
        {"[abc]", "b", true},
        {"[abc]", "d", false},
        {"[a-c]x", "bx", true},
        {"[a-c]", "-", false},
        {"[-ac]", "-", true},
        {"[ac-]", "-", true},
        {"[a-c-e]", "-", true},
        {"[a-c-e]", "d", false},
        {"[a-c-e]", "e", true},
        {"[--/]", ".", true},
        {"[c-a]", "b", false},
        {"[c-a]", "c", false},
        {"[!c-a]", "b", true},
        {"[!abc]", "d", true},
        {"[!abc]", "a", false},
        {"[!abc]", "", false},
        {"[^a]", "^", true},
        {"[^a]", "b", false},
        {"[a!]", "!", true},
        {"[]]", "]", true},
        {"[]a]", "a", true},
        {"[!]]", "]", false},
        {"[!]]", "a", true},
        {"[]", "[]", true},
        {"[!]", "[!]", true},
        {"[!", "[!", true},
        {"[", "[", true},
        {"[a", "[a", true},
        {"[[]", "[", true},
        {"[a-]]", "a]", true},
        {"[\\a]", "\\", true},
        {"[\xc3\xa0-\xc3\xbf]", "\xc3\xa9", true},
        {"[!\xc3\xa9]", "\xc3\xa8", true},
        {"[\xe6\x97\xa5\xe6\x9c\xac]*", "\xe6\x9c\xac\xe8\xaa\x9e", true},
        {"[a-\xf4\x8f\xbf\xbf]", "\xe6\x97\xa5", true},
        {"*[!x]", "xxy", true},
        {"*[!x]", "yxx", false},
        {"*[ab]*[cd]", "xaxbxc", true},
        {"<built-in method*>", "<built-in method builtins.len>", true},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct ts_glob glob = {0};
        int r = ts_glob_compile(str(table[i].pattern), &glob);
        bool utf8 = strcmp(table[i].pattern, "*\xa9") != 0;
        assert_int_equal(r, utf8 ? 0 : TS_EINVAL);
        if (utf8 && ts_glob_match(&glob, str(table[i].name)) != table[i].matches)
            fail_msg("%s on %s", table[i].pattern, table[i].name);
        ts_glob_deinit(&glob);
        ts_glob_deinit(&glob);
    }
    static const char *const bad[] = {
        "\x80",         "a\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
        "\xe0\x80\x80", "[\xff]"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ts_glob glob = {0};
        assert_int_equal(ts_glob_compile(str(bad[i]), &glob), TS_EINVAL);
        assert_null(glob.tokens);
    }
}

/* 512 stars and a name that does not match: exponential time in a naive matcher. */
static void many_stars_need_no_exponential_time(void **state)
{
    (void)state;
    char pattern[TS_GLOB_MAX + 2];
    char name[TS_GLOB_MAX + 1];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    for (size_t i = 0; i < TS_GLOB_MAX; i += 2)
        memcpy(pattern + i, "*a", 2);
    pattern[TS_GLOB_MAX - 1] = 'b';
    pattern[TS_GLOB_MAX] = '\0';
    struct ts_glob glob = {0};
    assert_int_equal(ts_glob_compile(str(pattern), &glob), 0);
    for (int i = 0; i < 100; i++)
        assert_false(ts_glob_match(&glob, str(name)));
    ts_glob_deinit(&glob);
    for (size_t i = 0; i < TS_GLOB_MAX; i++)
        pattern[i] = '[';
    assert_int_equal(ts_glob_compile(str(pattern), &glob), 0);
    memset(name, '[', sizeof(name) - 1);
    assert_true(ts_glob_match(&glob, str(name)));
    ts_glob_deinit(&glob);
    strcat(pattern, "[");
    assert_int_equal(ts_glob_compile(str(pattern), &glob), TS_EINVAL);
}

static void stored_label_sets_are_read(void **state)
{
    (void)state;
    struct ts_buf json;
    struct ts_buf value;
    ts_buf_init(&json);
    ts_buf_init(&value);
    /* Every byte in its canonical form. */
    ts_buf_puts(&json, "{\"first\": \"\", \"second_2\": ");
    char bytes[0x80];
    for (int i = 0; i < 0x80; i++)
        bytes[i] = (char)i;
    ts_put_json_string(&json, bytes, sizeof(bytes));
    ts_buf_puts(&json, ", \"z\": \"\xe6\x97\xa5\"}");
    struct ts_labels_reader reader;
    struct ts_str key;
    ts_labels_reader_init(&reader, json.data, json.len);
    assert_int_equal(ts_labels_next(&reader, &key, &value), 1);
    assert_int_equal(key.len, 5);
    assert_memory_equal(key.data, "first", 5);
    assert_int_equal(value.len, 0);
    assert_int_equal(ts_labels_next(&reader, &key, &value), 1);
    assert_memory_equal(key.data, "second_2", 8);
    assert_int_equal(value.len, sizeof(bytes));
    assert_memory_equal(value.data, bytes, sizeof(bytes));
    assert_int_equal(ts_labels_next(&reader, &key, &value), 1);
    assert_int_equal(value.len, 3);
    assert_memory_equal(value.data, "\xe6\x97\xa5", 3);
    assert_int_equal(ts_labels_next(&reader, &key, &value), 0);
    /* Every incomplete text is rejected, and nothing after its end is read. */
    for (size_t len = 0; len < json.len; len++) {
        char *cut = malloc(len ? len : 1);
        memcpy(cut, json.data, len);
        int r;
        ts_labels_reader_init(&reader, cut, len);
        while ((r = ts_labels_next(&reader, &key, &value)) > 0)
            ;
        assert_int_equal(r, TS_EINVAL);
        free(cut);
    }
    ts_buf_deinit(&json);
    ts_buf_deinit(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_as_fnmatchcase),
        cmocka_unit_test(many_stars_need_no_exponential_time),
        cmocka_unit_test(stored_label_sets_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
