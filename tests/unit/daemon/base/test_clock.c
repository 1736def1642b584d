/* Clocks, with a clock_gettime() of the test's own: which jumps affect which time. */
#include "daemon/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#define S INT64_C(1000000000)

static struct {
    int64_t wall, mono;
} now;

int clock_gettime(clockid_t id, struct timespec *ret_time)
{
    int64_t ns = id == CLOCK_REALTIME ? now.wall : now.mono;
    assert_true(id == CLOCK_REALTIME || id == CLOCK_MONOTONIC);
    *ret_time = (struct timespec){.tv_sec = ns / S, .tv_nsec = ns % S};
    return 0;
}

static struct tsd_clock started(void)
{
    struct tsd_clock clock;
    now.wall = 1732272009 * S + 250000000;
    now.mono = 70 * S + 1;
    tsd_clock_init(&clock);
    return clock;
}

static void pass(int64_t ns)
{
    now.wall += ns;
    now.mono += ns;
}

static void test_nanoseconds(void **state)
{
    (void)state;
    started();
    assert_int_equal(tsd_clock_wall(), 1732272009250000000);
    assert_int_equal(tsd_clock_mono(), 70000000001);
}

static void test_without_jumps(void **state)
{
    (void)state;
    struct tsd_clock clock = started();
    assert_int_equal(tsd_clock_latest(&clock), now.wall);
    assert_int_equal(tsd_clock_horizon(&clock), now.wall);
    pass(3600 * S + 7);
    assert_int_equal(tsd_clock_latest(&clock), now.wall);
    assert_int_equal(tsd_clock_horizon(&clock), now.wall);
}

static void test_set_back(void **state)
{
    (void)state;
    struct tsd_clock clock = started();
    pass(10 * S);
    int64_t before = now.wall;
    now.wall -= 86400 * S;
    pass(S);
    assert_int_equal(tsd_clock_latest(&clock), before + S);
    assert_int_equal(tsd_clock_horizon(&clock), before + S);
}

static void test_set_forward(void **state)
{
    (void)state;
    struct tsd_clock clock = started();
    pass(10 * S);
    int64_t before = now.wall;
    now.wall += 86400 * S;
    pass(S);
    assert_int_equal(tsd_clock_latest(&clock), before + 86401 * S);
    assert_int_equal(tsd_clock_horizon(&clock), before + S);
}

/* The horizon of an earlier daemon: its age grows with monotonic time, whatever the wall clock shows. */
static void test_stored_horizon(void **state)
{
    (void)state;
    struct tsd_clock clock = started();
    clock.horizon_at_start = 1000 * S;
    pass(5 * S);
    now.wall -= 30 * S;
    assert_int_equal(tsd_clock_horizon(&clock), 1005 * S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nanoseconds), cmocka_unit_test(test_without_jumps),  cmocka_unit_test(test_set_back),
        cmocka_unit_test(test_set_forward), cmocka_unit_test(test_stored_horizon),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
