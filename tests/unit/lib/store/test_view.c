/*
 * The view bucket_totals: labels and locations of one function are summed, times and counts exceed 64 bits.
 */
#include "tests/unit/lib/store/store_fixture.h"

static void values(void **state)
{
    struct fixture *f = *state;
    struct ts_store *store = open_ok(f);
    struct ts_location locations[3] = {name("_send", "a.py", 1), name("send", "b.py", 2), name("x", NULL, -1)};
    add(f, -1, 1, 1, 1100000000, 1, 5, 4);
    add(f, -1, 1, 2, 3100000000, -3, 6, 6);
    add(f, -1, 2, 2, -1, 1, 1, 1); /* other labels */
    add(f, 2, 1, 3, INT64_MAX, INT64_MIN, INT64_MAX, INT64_MAX - 1);
    add(f, 3, 1, 1, INT64_MAX, INT64_MIN, INT64_MAX, (INT64_C(1) << 62) + 1);
    add(f, 3, 1, 2, INT64_MAX, INT64_MIN, INT64_MAX, INT64_C(1) << 61);
    commit_ok(f, store, locations, 3, 1);
    expect_sql(f, "SELECT * FROM bucket_totals ORDER BY bucket, function",
               "-10|10|send|4.199999999|-1.0e-09|12|11\n"
               "20|10|x|9223372036.85478|-9223372036.85478|9223372036854775807|9223372036854775806\n"
               "30|10|send|18446744073.7096|-18446744073.7096|9223372036854775807|6917529027641081857");
    expect_sql(f, "SELECT DISTINCT typeof(bucket), typeof(width), typeof(cumtime), typeof(ncalls) FROM bucket_totals",
               "integer|integer|real|integer");
    ts_store_close(store);
    expect_intact(f);
}

static void fractions_of_a_second(void **state)
{
    struct fixture *f = *state;
    f->config.grid = (struct ts_grid){.start_time = 1732272000 * S + S / 4, .time_slice = S / 4};
    struct ts_store *store = open_ok(f);
    struct ts_location one = name("a", NULL, -1);
    add(f, -1, 1, 1, 4200000000, 0, 1, 1);
    add(f, 0, 1, 1, 0, 0, 1, 1);
    add(f, -6929088003, 1, 1, 0, 0, 1, 1); /* before 1970: -0.5 s */
    commit_ok(f, store, &one, 1, 1);
    expect_sql(f, "SELECT bucket, width, cumtime, typeof(bucket) FROM bucket_totals ORDER BY 1",
               "-0.5|0.25|0.0|real\n1732272000|0.25|4.2|integer\n1732272000.25|0.25|0.0|real");
    ts_store_close(store);
}

static void times_beyond_64_bits(void **state)
{
    struct fixture *f = *state;
    /* Begins outside 64 bits of nanoseconds. */
    f->config.grid = (struct ts_grid){.start_time = 0, .time_slice = INT64_C(9000000000) * S};
    struct ts_store *store = open_ok(f);
    struct ts_location one = name("a", NULL, -1);
    add(f, -2, 1, 1, 0, 0, 1, 1);
    add(f, 1, 1, 1, 0, 0, 1, 1);
    add(f, INT64_MIN, 1, 1, 0, 0, 1, 1);
    add(f, INT64_MAX - 1, 1, 1, 0, 0, 1, 1);
    commit_ok(f, store, &one, 1, 1);
    expect_sql(f, "SELECT bucket, width FROM bucket_totals WHERE abs(bucket) < 1e12 ORDER BY 1",
               "-18000000000|9000000000\n9000000000|9000000000");
    expect_sql(f, "SELECT count(*) FROM bucket_totals", "4");
    ts_store_close(store);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(values),
        T(fractions_of_a_second),
        T(times_beyond_64_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
