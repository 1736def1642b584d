/* Locations to numbers, against a list that is searched linearly; bounded tables and their overflow name. */
#include "lib/aggregate/intern.h"

#include "lib/base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/failing_alloc.h"

static struct ts_str str(const char *text)
{
    return (struct ts_str){text, text ? strlen(text) : 0};
}

static struct ts_location place(const char *raw, const char *file, int32_t line)
{
    return (struct ts_location){.raw_name = str(raw), .file_name = str(file), .line_number = line};
}

static bool same(const struct ts_location *a, const struct ts_location *b)
{
    return a->raw_name.len == b->raw_name.len && memcmp(a->raw_name.data, b->raw_name.data, a->raw_name.len) == 0 &&
           !a->file_name.data == !b->file_name.data && a->file_name.len == b->file_name.len &&
           (!a->file_name.len || memcmp(a->file_name.data, b->file_name.data, a->file_name.len) == 0) &&
           a->line_number == b->line_number;
}

static uint32_t add(struct ts_intern *table, struct ts_location key)
{
    uint32_t id = UINT32_MAX;
    assert_int_equal(ts_intern_add(table, &key, &id), 0);
    assert_true(id < table->n);
    assert_true(same(&table->items[id], &key));
    return id;
}

static void an_empty_table_finds_nothing(void **state)
{
    (void)state;
    struct ts_intern table;
    struct ts_location key = place("a", NULL, -1);
    uint32_t id = 77;
    ts_intern_init(&table);
    assert_false(ts_intern_find(&table, &key, &id));
    assert_int_equal(id, 77);
    ts_intern_deinit(&table);
    ts_intern_deinit(&table);
}

/* Locations that differ in one member only, or only in where one string ends and the next begins, are distinct. */
static void every_member_of_a_location_distinguishes(void **state)
{
    (void)state;
    const struct ts_location keys[] = {
        place("", NULL, -1),
        place("", "", -1),
        place("", NULL, 0),
        place("", "", 0),
        place("a", NULL, -1),
        place("a", "", -1),
        place("", "a", -1),
        place("a", "a", -1),
        place("ab", "c", 1),
        place("a", "bc", 1),
        place("abc", "", 1),
        place("", "abc", 1),
        place("abc", NULL, 1),
        place("abc", NULL, 2),
        place("abc", NULL, 0),
        place("_abc", NULL, 1),
        place("ABC", NULL, 1),
        place("abc", "f", 1),
        place("abc", "g", 1),
        place("abc", "f", INT32_MAX),
        place("(overflow)", NULL, -1),
        place("日本語", "日本.py", 7),
        place("日本語", "日本.p", 7),
        {.raw_name = {"a\0b", 3}, .line_number = -1},
        {.raw_name = {"a\0c", 3}, .line_number = -1},
        {.raw_name = {"a\0", 2}, .line_number = -1},
    };
    enum { N = sizeof(keys) / sizeof(*keys) };
    struct ts_intern table;
    ts_intern_init(&table);
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(add(&table, keys[i]), i);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t id = UINT32_MAX;
        assert_int_equal(add(&table, keys[i]), i);
        assert_true(ts_intern_find(&table, &keys[i], &id));
        assert_int_equal(id, i);
    }
    assert_int_equal(table.n, N);
    ts_intern_deinit(&table);
}

static void the_same_numbers_as_a_list(void **state)
{
    (void)state;
    enum { MOST = 3000 };
    static const size_t lengths[] = {0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 1024};
    struct {
        char raw[1024], file[40];
        struct ts_location key;
    } *model = malloc(MOST * sizeof(*model));
    assert_non_null(model);
    unsigned long long random = 5;
    uint32_t n = 0;
    struct ts_intern table;
    ts_intern_init(&table);
    for (int step = 0; step < 12000; step++) {
        char raw[1024], file[40];
        size_t raw_len = lengths[next_random(&random) % (step % 50 ? 8 : 14)];
        size_t file_len = next_random(&random) % 5 ? 3 : next_random(&random) % sizeof(file);
        for (size_t i = 0; i < raw_len; i++)
            raw[i] = "_a"[next_random(&random) % 2];
        for (size_t i = 0; i < file_len; i++)
            file[i] = "xy"[next_random(&random) % 2];
        struct ts_location key = {{raw, raw_len}, {file, file_len}, (int32_t)(next_random(&random) % 3) - 1, 0};
        if (next_random(&random) % 4 == 0)
            key.file_name = (struct ts_str){NULL, 0};
        uint32_t expected = 0;
        while (expected < n && !same(&model[expected].key, &key))
            expected++;
        uint32_t id = UINT32_MAX;
        assert_int_equal(ts_intern_find(&table, &key, &id), expected < n);
        if (expected < n)
            assert_int_equal(id, expected);
        else if (n == MOST)
            continue;
        assert_int_equal(add(&table, key), expected);
        if (expected == n) {
            memcpy(model[n].raw, raw, raw_len);
            memcpy(model[n].file, file, file_len);
            model[n].key = key;
            model[n].key.raw_name.data = model[n].raw;
            if (key.file_name.data)
                model[n].key.file_name.data = model[n].file;
            n++;
        }
        assert_int_equal(table.n, n);
    }
    assert_true(n > 1500);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id;
        assert_true(same(&table.items[i], &model[i].key));
        assert_true(ts_intern_find(&table, &model[i].key, &id));
        assert_int_equal(id, i);
    }
    ts_intern_deinit(&table);
    free(model);
}

/* A view of the first string stays valid while the table grows. */
static void bytes_never_move(void **state)
{
    (void)state;
    enum { N = 20000 };
    struct ts_intern table;
    const char **views = calloc(N, sizeof(*views));
    assert_non_null(views);
    ts_intern_init(&table);
    for (uint32_t i = 0; i < N; i++) {
        char text[64];
        snprintf(text, sizeof(text), "function number %u", i);
        assert_int_equal(add(&table, place(text, "/a.py", (int32_t)i)), i);
        memset(text, '!', sizeof(text)); /* the table has copied it */
        views[i] = table.items[i].raw_name.data;
    }
    for (uint32_t i = 0; i < N; i++) {
        char text[64];
        size_t len = (size_t)snprintf(text, sizeof(text), "function number %u", i);
        assert_ptr_equal(table.items[i].raw_name.data, views[i]);
        assert_int_equal(table.items[i].raw_name.len, len);
        assert_memory_equal(views[i], text, len);
    }
    assert_true(table.memory >= N * (sizeof(struct ts_location) + 17));
    free(views);
    ts_intern_deinit(&table);
}

/* Longer than a block, exactly a block, and just too long for the rest of one. */
static void long_strings_have_their_own_blocks(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 65535, 65536, 65537, 200000, 1, 65536, 3};
    enum { N = sizeof(sizes) / sizeof(*sizes) };
    struct ts_intern table;
    char *text = malloc(200000);
    assert_non_null(text);
    ts_intern_init(&table);
    for (uint32_t i = 0; i < N; i++) {
        memset(text, 'a' + (int)i, sizes[i]);
        struct ts_location key = {.raw_name = {text, sizes[i]}, .line_number = -1};
        assert_int_equal(add(&table, key), i);
    }
    for (uint32_t i = 0; i < N; i++) {
        memset(text, 'a' + (int)i, sizes[i]);
        assert_int_equal(table.items[i].raw_name.len, sizes[i]);
        assert_memory_equal(table.items[i].raw_name.data, text, sizes[i]);
    }
    free(text);
    ts_intern_deinit(&table);
}

/* Names chosen for the last of 256 slots: long clusters that wrap around. */
static void colliding_names_are_found(void **state)
{
    (void)state;
    enum { N = 60 };
    struct ts_intern table;
    char names[N][16];
    uint32_t n = 0;
    ts_intern_init(&table);
    for (unsigned i = 0; n < N; i++) {
        int len = snprintf(names[n], sizeof(names[n]), "f%u", i);
        /* The hash of lib/aggregate/intern.c; if that changes, the check below fails. */
        uint64_t hash = ts_hash_bytes(names[n], (size_t)len, table.seed ^ (uint32_t)-1);
        if (((uint32_t)(hash ^ hash >> 32) & 255) == 255)
            n++;
    }
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(add(&table, place(names[i], NULL, -1)), i);
    assert_int_equal(table.n_slots, 256);
    assert_int_equal(table.items[0].hash & 255, 255);
    assert_int_equal(table.items[N - 1].hash & 255, 255);
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(add(&table, place(names[i], NULL, -1)), i);
    for (unsigned i = 0; i < 1000; i++) {
        char text[16];
        uint32_t id;
        snprintf(text, sizeof(text), "g%u", i);
        struct ts_location key = place(text, NULL, -1);
        assert_false(ts_intern_find(&table, &key, &id));
    }
    assert_int_equal(table.n, N);
    ts_intern_deinit(&table);
}

/* Whichever allocation fails, the table is unchanged, and the same call succeeds later. */
static void a_failed_allocation_leaves_the_table_unchanged(void **state)
{
    (void)state;
    struct ts_intern table;
    unsigned failures = 0;
    char text[300];
    memset(text, 'x', sizeof(text));
    ts_intern_init(&table);
    for (uint32_t i = 0; i < 1500; i++) {
        int len = snprintf(text, sizeof(text), "%u-", i);
        text[len] = 'x';
        struct ts_location key = {{text, 200 + i % 100}, str(i % 3 ? "/f.py" : NULL), (int32_t)i, 0};
        uint32_t id;
        for (int fail = 0;; fail++) {
            id = 4711;
            alloc_fail_at = fail;
            int rc = ts_intern_add(&table, &key, &id);
            alloc_fail_at = -1;
            if (!rc)
                break;
            failures++;
            assert_int_equal(rc, TS_ENOMEM);
            assert_int_equal(id, 4711);
            assert_int_equal(table.n, i);
            assert_false(ts_intern_find(&table, &key, &id));
            if (i) {
                assert_true(ts_intern_find(&table, &table.items[i / 2], &id));
                assert_int_equal(id, i / 2);
            }
        }
        assert_int_equal(id, i);
        assert_true(same(&table.items[i], &key));
    }
    assert_true(failures >= 3 + 6); /* each kind at the start, then growths and blocks */
    for (uint32_t i = 0; i < table.n; i++) {
        uint32_t id;
        assert_true(ts_intern_find(&table, &table.items[i], &id));
        assert_int_equal(id, i);
    }
    ts_intern_deinit(&table);
}

/* ---- Bounded ---- */

static struct ts_location bounded_add(struct ts_bounded *bounded, struct ts_location key)
{
    uint32_t id = UINT32_MAX;
    assert_int_equal(ts_bounded_add(bounded, &key, &id), 0);
    assert_true(id < bounded->table.n);
    return bounded->table.items[id];
}

static void expect_place(struct ts_location got, struct ts_location expected)
{
    if (!same(&got, &expected))
        fail_msg("got %.*s:%d", (int)got.raw_name.len, got.raw_name.data, got.line_number);
}

static void beyond_the_bound_locations_are_replaced(void **state)
{
    (void)state;
    struct ts_bounded bounded;
    ts_bounded_init(&bounded, 3, TS_OVERFLOW_NAME);
    const struct ts_location a1 = place("a", "f", 1), a2 = place("a", "f", 2), b = place("b", NULL, -1);
    assert_false(ts_bounded_full(&bounded));
    expect_place(bounded_add(&bounded, a1), a1);
    expect_place(bounded_add(&bounded, a2), a2);
    assert_false(ts_bounded_full(&bounded));
    expect_place(bounded_add(&bounded, b), b);
    assert_true(ts_bounded_full(&bounded));
    /* Known locations keep their numbers. */
    expect_place(bounded_add(&bounded, a2), a2);
    /* A known name is used without file and line. */
    expect_place(bounded_add(&bounded, place("a", "f", 3)), place("a", NULL, -1));
    expect_place(bounded_add(&bounded, place("a", "g", 1)), place("a", NULL, -1));
    expect_place(bounded_add(&bounded, place("a", NULL, 1)), place("a", NULL, -1));
    expect_place(bounded_add(&bounded, place("b", "f", 1)), b);
    /* An unknown name is replaced by the overflow name. Raw names count, not functions: "_a" is unknown. */
    const struct ts_location rest = place(TS_OVERFLOW_NAME, NULL, -1);
    expect_place(bounded_add(&bounded, place("c", "f", 1)), rest);
    expect_place(bounded_add(&bounded, place("_a", "f", 1)), rest);
    expect_place(bounded_add(&bounded, place("", NULL, -1)), rest);
    expect_place(bounded_add(&bounded, place("c", "f", 1)), rest);
    expect_place(bounded_add(&bounded, place(TS_OVERFLOW_NAME, "f", 1)), rest);
    expect_place(bounded_add(&bounded, a1), a1);
    assert_int_equal(bounded.table.n, 5);
    ts_bounded_deinit(&bounded);
    ts_bounded_deinit(&bounded);
}

static void a_bound_of_0_has_only_the_overflow_name(void **state)
{
    (void)state;
    struct ts_bounded bounded;
    ts_bounded_init(&bounded, 0, "{}");
    assert_true(ts_bounded_full(&bounded));
    expect_place(bounded_add(&bounded, place("a", "f", 1)), place("{}", NULL, -1));
    expect_place(bounded_add(&bounded, place("b", "f", 1)), place("{}", NULL, -1));
    assert_int_equal(bounded.table.n, 1);
    ts_bounded_deinit(&bounded);
}

static void loading_ignores_the_bound(void **state)
{
    (void)state;
    struct ts_bounded bounded;
    ts_bounded_init(&bounded, 2, TS_OVERFLOW_NAME);
    for (uint32_t i = 0; i < 10; i++) {
        char text[8];
        uint32_t id = UINT32_MAX;
        snprintf(text, sizeof(text), "f%u", i);
        struct ts_location key = place(text, "x", 1);
        assert_int_equal(ts_bounded_load(&bounded, &key, &id), 0);
        assert_int_equal(id, i);
    }
    expect_place(bounded_add(&bounded, place("f9", "x", 1)), place("f9", "x", 1));
    expect_place(bounded_add(&bounded, place("f9", "x", 2)), place("f9", NULL, -1));
    expect_place(bounded_add(&bounded, place("new", "x", 2)), place(TS_OVERFLOW_NAME, NULL, -1));
    /* After deinit it is empty, with the same bound. */
    ts_bounded_deinit(&bounded);
    assert_int_equal(bounded.table.n, 0);
    expect_place(bounded_add(&bounded, place("new", "x", 2)), place("new", "x", 2));
    expect_place(bounded_add(&bounded, place("newer", "x", 2)), place("newer", "x", 2));
    expect_place(bounded_add(&bounded, place("newest", "x", 2)), place(TS_OVERFLOW_NAME, NULL, -1));
    ts_bounded_deinit(&bounded);
}

/* Random locations: never more than 2 * max + 1, each number by the rule, also after the bound is raised. */
static void the_bound_is_never_exceeded(void **state)
{
    (void)state;
    for (uint32_t max = 1; max < 40; max += 6) {
        struct ts_bounded bounded;
        unsigned long long random = max;
        ts_bounded_init(&bounded, max, TS_OVERFLOW_NAME);
        for (int step = 0; step < 4000; step++) {
            char raw[8], file[8];
            snprintf(raw, sizeof(raw), "n%llu", next_random(&random) % 60);
            snprintf(file, sizeof(file), "f%llu", next_random(&random) % 4);
            struct ts_location key =
                place(raw, next_random(&random) % 3 ? file : NULL, (int32_t)(next_random(&random) % 4) - 1);
            bool known = false, name_known = false, full = bounded.table.n >= max;
            for (uint32_t i = 0; i < bounded.table.n; i++) {
                const struct ts_location *item = &bounded.table.items[i];
                known = known || same(item, &key);
                name_known = name_known || (item->raw_name.len == key.raw_name.len &&
                                            memcmp(item->raw_name.data, raw, key.raw_name.len) == 0);
            }
            expect_place(bounded_add(&bounded, key), known || !full ? key
                                                     : name_known   ? place(raw, NULL, -1)
                                                                    : place(TS_OVERFLOW_NAME, NULL, -1));
            assert_true(bounded.table.n <= 2 * max + 1);
        }
        assert_true(ts_bounded_memory(&bounded) >= bounded.table.n * sizeof(struct ts_location));
        bounded.max = 2000;
        expect_place(bounded_add(&bounded, place("room again", "f", 1)), place("room again", "f", 1));
        ts_bounded_deinit(&bounded);
    }
}

static void a_failed_bounded_add_can_be_repeated(void **state)
{
    (void)state;
    struct ts_bounded bounded;
    unsigned failures = 0;
    ts_bounded_init(&bounded, 300, TS_OVERFLOW_NAME);
    for (uint32_t i = 0; i < 700; i++) {
        char text[16];
        snprintf(text, sizeof(text), "f%u", i % 400);
        struct ts_location key = place(text, "x", (int32_t)i);
        uint32_t id = 4711;
        for (int fail = 0;; fail++) {
            uint32_t n = bounded.table.n;
            alloc_fail_at = fail;
            int rc = ts_bounded_add(&bounded, &key, &id);
            alloc_fail_at = -1;
            if (!rc)
                break;
            failures++;
            assert_int_equal(rc, TS_ENOMEM);
            assert_int_equal(id, 4711);
            assert_int_equal(bounded.table.n, n);
        }
        expect_place(bounded.table.items[id], i < 300   ? key
                                              : i < 400 ? place(TS_OVERFLOW_NAME, NULL, -1)
                                                        : place(text, NULL, -1));
        if (i == 699)
            break;
    }
    assert_true(failures > 6);
    ts_bounded_deinit(&bounded);
}

static void a_function_name_has_no_leading_underscores(void **state)
{
    (void)state;
    static const char *const table[][2] = {{"send", "send"}, {"_send", "send"}, {"__init__", "init__"}, {"_", ""},
                                           {"___", ""},      {"", ""},          {"a_", "a_"},           {"_a_b", "a_b"},
                                           {" _a", " _a"},   {"_é", "é"},       {"-_a", "-_a"},         {"__1", "1"}};
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct ts_str got = ts_function_name(str(table[i][0]));
        assert_int_equal(got.len, strlen(table[i][1]));
        assert_memory_equal(got.data, table[i][1], got.len);
    }
    /* Bytes after the end of the name are not read. */
    struct ts_str cut = ts_function_name((struct ts_str){"____a", 2});
    assert_int_equal(cut.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_table_finds_nothing),
        cmocka_unit_test(every_member_of_a_location_distinguishes),
        cmocka_unit_test(the_same_numbers_as_a_list),
        cmocka_unit_test(bytes_never_move),
        cmocka_unit_test(long_strings_have_their_own_blocks),
        cmocka_unit_test(colliding_names_are_found),
        cmocka_unit_test(a_failed_allocation_leaves_the_table_unchanged),
        cmocka_unit_test(beyond_the_bound_locations_are_replaced),
        cmocka_unit_test(a_bound_of_0_has_only_the_overflow_name),
        cmocka_unit_test(loading_ignores_the_bound),
        cmocka_unit_test(the_bound_is_never_exceeded),
        cmocka_unit_test(a_failed_bounded_add_can_be_repeated),
        cmocka_unit_test(a_function_name_has_no_leading_underscores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
