/* The grid against its definition: a bucket begins at or before its timestamps, and ends after them. */
#include "lib/aggregate/grid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/failing_alloc.h"

#define NS TS_NS_PER_S

static void floor_div_rounds_down(void **state)
{
    (void)state;
    static const struct {
        int64_t a, b, floor;
    } table[] = {
        {0, 1, 0},
        {0, 10, 0},
        {1, 10, 0},
        {9, 10, 0},
        {10, 10, 1},
        {11, 10, 1},
        {-1, 10, -1},
        {-9, 10, -1},
        {-10, 10, -1},
        {-11, 10, -2},
        {-20, 10, -2},
        {-1, INT64_MAX, -1},
        {7, 7, 1},
        {-7, 7, -1},
        {-8, 7, -2},
        {6, 7, 0},
        {5, 1, 5},
        {-5, 1, -5},
        {INT64_MAX, 1, INT64_MAX},
        {INT64_MIN, 1, INT64_MIN},
        {INT64_MAX, INT64_MAX, 1},
        {INT64_MIN, INT64_MAX, -2},
        {INT64_MIN, 2, INT64_MIN / 2},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        assert_int_equal(ts_floor_div(table[i].a, table[i].b), table[i].floor);
    /* Every small pair, against a loop. */
    for (int b = 1; b <= 12; b++) {
        int floor = -10;
        for (int a = -10 * b; a <= 10 * b; a++) {
            while ((floor + 1) * b <= a)
                floor++;
            assert_int_equal(ts_floor_div(a, b), floor);
        }
    }
}

static void floor_div_is_clamped(void **state)
{
    (void)state;
    ts_i128 big = (ts_i128)INT64_MAX + 1;
    assert_int_equal(ts_floor_div(big, 1), INT64_MAX);
    assert_int_equal(ts_floor_div(big * 2, 2), INT64_MAX);
    assert_int_equal(ts_floor_div(big * 2 - 1, 2), INT64_MAX);
    assert_int_equal(ts_floor_div(-big, 1), INT64_MIN);
    assert_int_equal(ts_floor_div(-big - 1, 1), INT64_MIN);
    assert_int_equal(ts_floor_div(-big * 2 - 1, 2), INT64_MIN);
    assert_int_equal(ts_floor_div(big * big, INT64_MAX), INT64_MAX);
    assert_int_equal(ts_floor_div(-(big * big), INT64_MAX), INT64_MIN);
}

static void a_bucket_contains_its_timestamps(void **state)
{
    (void)state;
    static const int64_t slices[] = {1,      7,       1000,      1000000,    250000000,        NS,
                                     7 * NS, 10 * NS, 3600 * NS, 86400 * NS, 365 * 86400 * NS, INT64_MAX};
    static const int64_t starts[] = {
        0, 1, -1, 3 * NS, NS / 4, -NS / 3, 1732272000 * NS, TS_TIMESTAMP_MAX_NS, -TS_TIMESTAMP_MAX_NS};
    unsigned long long random = 1;
    for (size_t i = 0; i < sizeof(slices) / sizeof(*slices); i++) {
        for (size_t j = 0; j < sizeof(starts) / sizeof(*starts); j++) {
            struct ts_grid grid = {.start_time = starts[j], .time_slice = slices[i]};
            assert_int_equal(ts_grid_bucket(&grid, grid.start_time), 0);
            assert_int_equal(ts_grid_bucket(&grid, (ts_i128)grid.start_time - 1), -1);
            assert_int_equal(ts_grid_bucket(&grid, (ts_i128)grid.start_time + grid.time_slice), 1);
            assert_int_equal(ts_grid_bucket(&grid, (ts_i128)grid.start_time + grid.time_slice - 1), 0);
            for (int round = 0; round < 300; round++) {
                int64_t at = (int64_t)(next_random(&random) >> (1 + next_random(&random) % 62));
                if (at > TS_TIMESTAMP_MAX_NS)
                    at -= TS_TIMESTAMP_MAX_NS;
                if (round % 2)
                    at = -at;
                if (round == 0)
                    at = TS_TIMESTAMP_MAX_NS;
                if (round == 1)
                    at = -TS_TIMESTAMP_MAX_NS;
                ts_i128 away = (ts_i128)at - grid.start_time;
                if (grid.time_slice == 1 && (away > INT64_MAX || away < INT64_MIN))
                    continue; /* a nanosecond grid half the range of timestamps away: clamped */
                int64_t bucket = ts_grid_bucket(&grid, at);
                assert_true(ts_grid_begin(&grid, bucket) <= at);
                assert_true(ts_grid_begin(&grid, bucket) + grid.time_slice > at);
            }
        }
    }
}

static void begins_can_exceed_64_bits(void **state)
{
    (void)state;
    struct ts_grid grid = {.start_time = INT64_MAX, .time_slice = INT64_MAX};
    assert_true(ts_grid_begin(&grid, INT64_MAX) == (ts_i128)INT64_MAX * INT64_MAX + INT64_MAX);
    assert_true(ts_grid_begin(&grid, INT64_MIN) == (ts_i128)INT64_MIN * INT64_MAX + INT64_MAX);
    assert_true(ts_grid_begin(&grid, 0) == INT64_MAX);
    grid = (struct ts_grid){.start_time = INT64_MIN, .time_slice = 1};
    assert_true(ts_grid_begin(&grid, INT64_MIN) == (ts_i128)INT64_MIN * 2);
}

/* Each bucket begins where the previous one ends, also across zero. */
static void buckets_are_adjacent(void **state)
{
    (void)state;
    struct ts_grid grid = {.start_time = 3 * NS, .time_slice = 7 * NS};
    for (int64_t n = -50; n < 50; n++) {
        assert_true(ts_grid_begin(&grid, n + 1) - ts_grid_begin(&grid, n) == grid.time_slice);
        assert_int_equal(ts_grid_bucket(&grid, ts_grid_begin(&grid, n)), n);
        assert_int_equal(ts_grid_bucket(&grid, ts_grid_begin(&grid, n + 1) - 1), n);
    }
}

static int64_t held(ts_i128 sum)
{
    return sum > INT64_MAX ? INT64_MAX : sum < INT64_MIN ? INT64_MIN : (int64_t)sum;
}

static void a_saturated_sum_stays_at_the_bound(void **state)
{
    (void)state;
    static const int64_t edges[] = {0,
                                    1,
                                    -1,
                                    2,
                                    -2,
                                    INT64_MAX,
                                    INT64_MIN,
                                    INT64_MAX - 1,
                                    INT64_MIN + 1,
                                    INT64_MAX / 2,
                                    INT64_MAX / 2 + 1,
                                    INT64_MIN / 2,
                                    INT64_MIN / 2 - 1};
    enum { N = sizeof(edges) / sizeof(*edges) };
    unsigned long long random = 2;
    for (int round = 0; round < N * N + 20000; round++) {
        int64_t a = round < N * N ? edges[round / N] : (int64_t)next_random(&random);
        int64_t b = round < N * N ? edges[round % N] : (int64_t)next_random(&random);
        int64_t expected = a == INT64_MAX || b == INT64_MAX   ? INT64_MAX
                           : a == INT64_MIN || b == INT64_MIN ? INT64_MIN
                                                              : held((ts_i128)a + b);
        assert_int_equal(ts_sat_add(a, b), expected);
        assert_int_equal(ts_sat_add(b, a), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floor_div_rounds_down),
        cmocka_unit_test(floor_div_is_clamped),
        cmocka_unit_test(a_bucket_contains_its_timestamps),
        cmocka_unit_test(begins_can_exceed_64_bits),
        cmocka_unit_test(buckets_are_adjacent),
        cmocka_unit_test(a_saturated_sum_stays_at_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
