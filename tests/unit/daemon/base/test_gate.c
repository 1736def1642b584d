/* The readers' gate: who waits for whom, and for how long. */
#include "daemon/base/gate.h"

#include "daemon/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

#define MS INT64_C(1000000)

struct reader {
    struct tsd_gate *gate;
    uv_thread_t thread;
    atomic_int entered;
    atomic_int leave;
    atomic_int left;
};

static void read_once(void *data)
{
    struct reader *reader = data;
    tsd_gate_enter(reader->gate);
    atomic_store(&reader->entered, 1);
    while (!atomic_load(&reader->leave))
        uv_sleep(1);
    atomic_store(&reader->left, 1);
    tsd_gate_leave(reader->gate);
}

static void start(struct reader *reader, struct tsd_gate *gate)
{
    *reader = (struct reader){.gate = gate};
    assert_int_equal(uv_thread_create(&reader->thread, read_once, reader), 0);
}

static void wait_for(atomic_int *flag)
{
    while (!atomic_load(flag))
        uv_sleep(1);
}

static void an_empty_gate_closes_at_once(void **state)
{
    struct tsd_gate gate;
    (void)state;
    assert_int_equal(tsd_gate_init(&gate), 0);
    for (int i = 0; i < 3; i++) {
        tsd_gate_enter(&gate);
        tsd_gate_enter(&gate); /* any number at once */
        tsd_gate_leave(&gate);
        tsd_gate_leave(&gate);
        assert_true(tsd_gate_close(&gate, 0));
        tsd_gate_open(&gate);
    }
    tsd_gate_deinit(&gate);
}

static void the_writer_waits_for_readers_inside(void **state)
{
    struct tsd_gate gate;
    struct reader reader;
    (void)state;
    assert_int_equal(tsd_gate_init(&gate), 0);
    start(&reader, &gate);
    wait_for(&reader.entered);
    int64_t began = tsd_clock_mono();
    assert_false(tsd_gate_close(&gate, 20 * MS)); /* it stays too long */
    assert_true(tsd_clock_mono() - began >= 20 * MS);
    tsd_gate_open(&gate);
    atomic_store(&reader.leave, 1);
    assert_true(tsd_gate_close(&gate, 60000 * MS));
    assert_int_equal(atomic_load(&reader.left), 1);
    tsd_gate_open(&gate);
    uv_thread_join(&reader.thread);
    tsd_gate_deinit(&gate);
}

static void new_readers_wait_while_it_is_closed(void **state)
{
    struct tsd_gate gate;
    struct reader readers[3];
    (void)state;
    assert_int_equal(tsd_gate_init(&gate), 0);
    assert_true(tsd_gate_close(&gate, 0));
    for (int i = 0; i < 3; i++) {
        start(&readers[i], &gate);
        atomic_store(&readers[i].leave, 1);
    }
    uv_sleep(20);
    for (int i = 0; i < 3; i++)
        assert_int_equal(atomic_load(&readers[i].entered), 0);
    tsd_gate_open(&gate);
    for (int i = 0; i < 3; i++) {
        uv_thread_join(&readers[i].thread);
        assert_int_equal(atomic_load(&readers[i].left), 1);
    }
    tsd_gate_deinit(&gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_gate_closes_at_once),
        cmocka_unit_test(the_writer_waits_for_readers_inside),
        cmocka_unit_test(new_readers_wait_while_it_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
