/* Maps of ids, with and without gaps. */
#include "lib/query/id_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/failing_alloc.h"

static void an_empty_map_has_no_ids(void **state)
{
    (void)state;
    struct ts_id_map map = {0};
    uint32_t group = 7;
    assert_false(ts_id_map_get(&map, 0, &group));
    assert_false(ts_id_map_get(&map, UINT32_MAX, &group));
    assert_int_equal(group, 7);
    ts_id_map_deinit(&map);
    ts_id_map_deinit(&map); /* twice is safe */
}

/* Compares every id below `end` with what was put. groups: [id], UINT32_MAX - 1 if the id was not put. */
static void expect_equal(const struct ts_id_map *map, const uint32_t *groups, uint32_t end)
{
    for (uint32_t id = 0; id < end; id++) {
        uint32_t group = UINT32_MAX - 1;
        bool found = ts_id_map_get(map, id, &group);
        assert_int_equal(found, groups[id] != UINT32_MAX - 1);
        assert_int_equal(group, groups[id]);
    }
}

static void ids_are_found_in_spite_of_gaps(void **state)
{
    (void)state;
    enum { END = 600 };
    unsigned long long seed = 11;
    for (int round = 0; round < 200; round++) {
        struct ts_id_map map = {0};
        uint32_t groups[END];
        uint64_t gaps = round % 10; /* 0: none */
        uint32_t first = (uint32_t)(next_random(&seed) % 5);
        for (uint32_t id = 0; id < END; id++) {
            bool put = id >= first && id < END - 10 && (!gaps || next_random(&seed) % (gaps + 1) == 0);
            groups[id] = UINT32_MAX - 1;
            if (!put)
                continue;
            groups[id] = next_random(&seed) % 4 ? (uint32_t)(next_random(&seed) % 9) : TS_NO_GROUP;
            assert_int_equal(ts_id_map_put(&map, id, groups[id]), 0);
        }
        expect_equal(&map, groups, END);
        ts_id_map_deinit(&map);
    }
}

static void the_largest_ids(void **state)
{
    (void)state;
    struct ts_id_map map = {0};
    uint32_t group = 0;
    assert_int_equal(ts_id_map_put(&map, 1, 5), 0);
    assert_int_equal(ts_id_map_put(&map, UINT32_MAX, 6), 0);
    assert_true(ts_id_map_get(&map, UINT32_MAX, &group));
    assert_int_equal(group, 6);
    assert_false(ts_id_map_get(&map, UINT32_MAX - 1, &group));
    assert_false(ts_id_map_get(&map, 2, &group));
    assert_true(ts_id_map_get(&map, 1, &group));
    assert_int_equal(group, 5);
    ts_id_map_deinit(&map);
}

static void a_failed_allocation_leaves_the_map_as_it_was(void **state)
{
    (void)state;
    for (int fail_at = 0; fail_at < 2; fail_at++) {
        struct ts_id_map map = {0};
        uint32_t group;
        alloc_fail_at = fail_at;
        int r = ts_id_map_put(&map, 3, 1);
        alloc_fail_at = -1;
        assert_int_equal(r, TS_ENOMEM);
        assert_int_equal(map.n, 0);
        assert_false(ts_id_map_get(&map, 3, &group));
        assert_int_equal(ts_id_map_put(&map, 3, 1), 0);
        assert_true(ts_id_map_get(&map, 3, &group));
        ts_id_map_deinit(&map);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_has_no_ids),
        cmocka_unit_test(ids_are_found_in_spite_of_gaps),
        cmocka_unit_test(the_largest_ids),
        cmocka_unit_test(a_failed_allocation_leaves_the_map_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
