/*
 * Names with their numbers: new and stored ones, the bound, lookups in the store, rebuilding the table.
 */
#include "daemon/write/names.h"

#include "tests/unit/failing_alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    static struct tsd_names names;
    tsd_names_init(&names, 100, TS_OVERFLOW_NAME);
    alloc_fail_at = -1;
    *state = &names;
    return 0;
}

static int teardown(void **state)
{
    tsd_names_deinit(*state);
    tsd_names_deinit(*state);
    return 0;
}

static struct ts_location key(const char *text)
{
    return (struct ts_location){.raw_name = {text, strlen(text)}, .line_number = -1};
}

static uint32_t number(struct tsd_names *names, const char *text)
{
    struct ts_location location = key(text);
    uint32_t n = 0;
    assert_int_equal(tsd_names_number(names, &location, false, &n), 0);
    assert_true(n > 0);
    return n;
}

static void load(struct tsd_names *names, uint32_t n, const char *text, int64_t last)
{
    struct ts_location location = key(text);
    assert_int_equal(tsd_names_load(names, n, &location, last), 0);
}

static void expect_fresh(struct tsd_names *names, uint32_t expected_first, uint32_t expected_n)
{
    uint32_t n;
    uint32_t first;
    const struct ts_location *fresh = tsd_names_fresh(names, &n, &first);
    assert_int_equal(n, expected_n);
    assert_int_equal(first, expected_first);
    assert_int_equal(fresh != NULL, expected_n > 0);
}

/* ---- Numbers ---- */

static void new_names_are_numbered_and_fresh_until_committed(void **state)
{
    struct tsd_names *names = *state;
    uint32_t n;
    uint32_t first;
    expect_fresh(names, 0, 0);
    assert_int_equal(number(names, "a"), 1);
    assert_int_equal(number(names, "b"), 2);
    assert_int_equal(number(names, "a"), 1);
    expect_fresh(names, 1, 2);
    const struct ts_location *fresh = tsd_names_fresh(names, &n, &first);
    assert_memory_equal(fresh[1].raw_name.data, "b", 1);
    tsd_names_committed(names);
    expect_fresh(names, 0, 0);
    assert_int_equal(number(names, "c"), 3);
    expect_fresh(names, 3, 1);
}

static void loaded_names_keep_their_numbers(void **state)
{
    struct tsd_names *names = *state;
    load(names, 3, "a", 5);
    load(names, 700, "b", 6); /* others in between were deleted */
    expect_fresh(names, 0, 0);
    assert_int_equal(number(names, "b"), 700);
    assert_int_equal(number(names, "new"), 701);
    expect_fresh(names, 701, 1);
    assert_int_equal(tsd_names_held(names, 3)->last, 5);
    assert_null(tsd_names_held(names, 4));
    assert_null(tsd_names_held(names, 100000));
}

static void beyond_the_bound_names_overflow(void **state)
{
    struct tsd_names *names = *state;
    names->known.max = 2;
    number(names, "a");
    number(names, "b");
    uint32_t overflow = number(names, "c");
    assert_int_equal(number(names, "d"), overflow);
    assert_int_equal(number(names, TS_OVERFLOW_NAME), overflow);
    struct ts_location location = key("e");
    uint32_t n;
    assert_int_equal(tsd_names_number(names, &location, true, &n), 0); /* regardless of the bound */
    assert_int_not_equal(n, overflow);
}

/* Whichever allocation fails: calling again gives the numbers that would have been given. */
static void without_memory_nothing_is_lost(void **state)
{
    struct tsd_names *names = *state;
    char text[16];
    int failed = 0;
    for (uint32_t i = 1; i <= 90; i++) {
        snprintf(text, sizeof(text), "name %u", i);
        struct ts_location location = key(text);
        uint32_t n = 0;
        for (int at = 0; !n; at++) {
            alloc_fail_at = at;
            int rc = tsd_names_number(names, &location, false, &n);
            alloc_fail_at = -1;
            failed += rc != 0;
            assert_true(rc ? rc == TS_ENOMEM && !n : n == i);
        }
    }
    assert_true(failed > 4);
    expect_fresh(names, 1, 90);
}

/* ---- The store ---- */

struct stored {
    const char *name;
    uint32_t number;
    int rc;
    int calls;
};

static int find(void *data, const struct ts_location *location, uint32_t *ret_number)
{
    struct stored *stored = data;
    stored->calls++;
    if (stored->rc)
        return stored->rc;
    bool same = location->raw_name.len == strlen(stored->name) &&
                memcmp(location->raw_name.data, stored->name, location->raw_name.len) == 0;
    *ret_number = same ? stored->number : 0;
    return 0;
}

static void a_name_that_is_not_held_is_looked_up(void **state)
{
    struct tsd_names *names = *state;
    struct stored stored = {.name = "old", .number = 2000};
    names->find = find;
    names->data = &stored;
    number(names, "a");
    assert_int_equal(stored.calls, 0); /* the store has no more than the table */
    names->not_held = 1;
    names->next = 3000;
    assert_int_equal(number(names, "old"), 2000);
    assert_int_equal(names->not_held, 0);
    expect_fresh(names, 1, 1); /* "old" is stored */
    assert_int_equal(number(names, "old"), 2000);
    assert_int_equal(stored.calls, 1);
    assert_int_equal(tsd_names_held(names, 2000)->number, 2000);
}

static void a_lookup_that_fails_is_repeated(void **state)
{
    struct tsd_names *names = *state;
    struct stored stored = {.name = "old", .number = 7, .rc = TS_ESTORE};
    struct ts_location location = key("old");
    uint32_t n = 0;
    names->find = find;
    names->data = &stored;
    names->not_held = 1;
    names->next = 8;
    assert_int_equal(tsd_names_number(names, &location, false, &n), TS_ESTORE);
    assert_int_equal(tsd_names_number(names, &location, false, &n), TS_ESTORE);
    stored.rc = 0;
    assert_int_equal(tsd_names_number(names, &location, false, &n), 0);
    assert_int_equal(n, 7);
}

/* ---- Use ---- */

static void uses_remember_the_latest_bucket_and_commit(void **state)
{
    struct tsd_names *names = *state;
    uint32_t a = number(names, "a");
    uint32_t b = number(names, "b");
    tsd_names_used(names, a, 10, 1);
    tsd_names_used(names, a, 5, 2);  /* late data */
    tsd_names_used(names, 99, 5, 2); /* not held: ignored */
    assert_int_equal(tsd_names_held(names, a)->last, 10);
    assert_int_equal(tsd_names_held(names, a)->used_at, 2);
    assert_int_equal(tsd_names_count_before(names, 10), 1); /* b was never used */
    assert_int_equal(tsd_names_count_before(names, 11), 2);
    tsd_names_used(names, b, 20, 3);
    assert_int_equal(tsd_names_count_before(names, 11), 1);
}

static bool keep_recent(void *data, const struct tsd_name *name)
{
    return name->last >= *(int64_t *)data;
}

static void renewing_removes_names_from_memory(void **state)
{
    struct tsd_names *names = *state;
    int64_t from = 10;
    load(names, 1, "a", 5);
    load(names, 2, "b", 15);
    load(names, 4, "c", 9);
    tsd_names_used(names, 2, 16, 33);
    assert_int_equal(tsd_names_renew(names, keep_recent, &from, true), 0);
    assert_int_equal(names->known.table.n, 1);
    assert_int_equal(names->not_held, 2); /* still in the store */
    assert_null(tsd_names_held(names, 1));
    assert_int_equal(tsd_names_held(names, 2)->last, 16);
    assert_int_equal(tsd_names_held(names, 2)->used_at, 33);
    assert_int_equal(number(names, "d"), 5); /* numbers are not used twice */
    tsd_names_committed(names);
    from = 100;
    assert_int_equal(tsd_names_renew(names, keep_recent, &from, false), 0); /* deleted there as well */
    assert_int_equal(names->not_held, 2);
    assert_int_equal(names->known.table.n, 0);
}

static void renewing_without_memory_changes_nothing(void **state)
{
    struct tsd_names *names = *state;
    int64_t from = 0;
    load(names, 1, "a", 5);
    load(names, 2, "b", -1);
    int failed = 0;
    for (int at = 0;; at++) {
        alloc_fail_at = at;
        int rc = tsd_names_renew(names, keep_recent, &from, true);
        alloc_fail_at = -1;
        if (!rc)
            break;
        failed++;
        assert_int_equal(names->known.table.n, 2);
        assert_non_null(tsd_names_held(names, 2));
        assert_int_equal(names->not_held, 0);
    }
    assert_true(failed > 2);
    assert_int_equal(names->known.table.n, 1);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(new_names_are_numbered_and_fresh_until_committed),
        T(loaded_names_keep_their_numbers),
        T(beyond_the_bound_names_overflow),
        T(without_memory_nothing_is_lost),
        T(a_name_that_is_not_held_is_looked_up),
        T(a_lookup_that_fails_is_repeated),
        T(uses_remember_the_latest_bucket_and_commit),
        T(renewing_removes_names_from_memory),
        T(renewing_without_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
