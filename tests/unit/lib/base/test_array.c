/* Growth of arrays: the contents survive, growth is geometric, overflow and failed allocations change nothing. */
#include "lib/base/array.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/failing_alloc.h"

struct wide {
    uint64_t number;
    char rest[112];
};

static void growth_keeps_the_contents(void **state)
{
    (void)state;
    struct wide *items = NULL;
    size_t cap = 0;
    for (size_t n = 0; n < 5000; n++) {
        assert_int_equal(TS_ARRAY_RESERVE(&items, &cap, n + 1), 0);
        assert_true(cap > n);
        items[n].number = n;
        items[n].rest[111] = (char)n;
    }
    for (size_t n = 0; n < 5000; n++) {
        assert_int_equal(items[n].number, n);
        assert_int_equal(items[n].rest[111], (char)n);
    }
    free(items);
}

static void growth_is_geometric(void **state)
{
    (void)state;
    char *items = NULL;
    size_t cap = 0;
    size_t calls = alloc_calls;
    for (size_t need = 1; need <= 1000000; need++)
        assert_int_equal(TS_ARRAY_RESERVE(&items, &cap, need), 0);
    assert_in_range(alloc_calls - calls, 1, 20);
    /* A single large need is allocated exactly, not doubled. */
    calls = alloc_calls;
    size_t need = cap * 5;
    assert_int_equal(TS_ARRAY_RESERVE(&items, &cap, need), 0);
    assert_int_equal(alloc_calls - calls, 1);
    assert_int_equal(cap, need);
    free(items);
}

static void enough_room_allocates_nothing(void **state)
{
    (void)state;
    int *items = NULL;
    size_t cap = 0;
    size_t calls = alloc_calls;
    assert_int_equal(TS_ARRAY_RESERVE(&items, &cap, 0), 0);
    assert_null(items);
    assert_int_equal(cap, 0);
    assert_int_equal(alloc_calls, calls);
    assert_int_equal(TS_ARRAY_RESERVE(&items, &cap, 1), 0);
    int *before = items;
    size_t room = cap;
    calls = alloc_calls;
    for (size_t need = 0; need <= room; need++)
        assert_int_equal(TS_ARRAY_RESERVE(&items, &cap, need), 0);
    assert_ptr_equal(items, before);
    assert_int_equal(cap, room);
    assert_int_equal(alloc_calls, calls);
    free(items);
}

static void failure_leaves_the_array(void **state)
{
    (void)state;
    int *items = NULL;
    size_t cap = 0;
    alloc_fail_at = 0;
    assert_int_equal(TS_ARRAY_RESERVE(&items, &cap, 1), TS_ENOMEM);
    assert_null(items);
    assert_int_equal(cap, 0);
    alloc_fail_at = -1;
    assert_int_equal(TS_ARRAY_RESERVE(&items, &cap, 1), 0);
    items[0] = 7;
    int *before = items;
    size_t room = cap;
    alloc_fail_at = 0;
    assert_int_equal(TS_ARRAY_RESERVE(&items, &cap, room + 1), TS_ENOMEM);
    alloc_fail_at = -1;
    assert_ptr_equal(items, before);
    assert_int_equal(cap, room);
    assert_int_equal(items[0], 7);
    free(items);
}

/* The product of count and size must not wrap to a small allocation. */
static void overflow_fails_without_allocating(void **state)
{
    (void)state;
    static const size_t needs[] = {SIZE_MAX,
                                   SIZE_MAX - 1,
                                   SIZE_MAX / 2,
                                   SIZE_MAX / 2 + 1,
                                   SIZE_MAX / sizeof(struct wide) + 1,
                                   SIZE_MAX / sizeof(struct wide) + 2,
                                   SIZE_MAX / 2 / sizeof(struct wide) + 1};
    for (size_t i = 0; i < sizeof(needs) / sizeof(*needs); i++) {
        struct wide *items = NULL;
        size_t cap = 0;
        size_t calls = alloc_calls;
        assert_int_equal(TS_ARRAY_RESERVE(&items, &cap, needs[i]), TS_ENOMEM);
        assert_int_equal(alloc_calls, calls);
        assert_null(items);
        assert_int_equal(cap, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(growth_keeps_the_contents),         cmocka_unit_test(growth_is_geometric),
        cmocka_unit_test(enough_room_allocates_nothing),     cmocka_unit_test(failure_leaves_the_array),
        cmocka_unit_test(overflow_fails_without_allocating),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
