/*
 * The watchdog: when it notifies systemd, when it logs a hang, what the status says. Threads, writer, clock, log and
 * notifications are the test's own.
 */
#include "daemon/watchdog.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define S INT64_C(1000000000)

enum { N_THREADS = 2 };

struct tsd_thread {
    int64_t pulse;
};

struct tsd_writer {
    int64_t pulse;
};

static struct {
    uv_loop_t loop;
    struct tsd_state state;
    struct tsd_stats stats[N_THREADS];
    struct tsd_thread thread[N_THREADS];
    struct tsd_thread *threads[N_THREADS];
    struct tsd_writer writer;
    struct tsd_watchdog watchdog;
    int64_t now;
    int64_t limit; /* of systemd */
    size_t notified;
    size_t n_statuses;
    char status[2000];
    char log[2000];
} t;

int64_t tsd_thread_pulse(const struct tsd_thread *thread)
{
    return thread->pulse;
}

int64_t tsd_writer_pulse(const struct tsd_writer *writer)
{
    return writer->pulse;
}

int64_t tsd_clock_mono(void)
{
    return t.now;
}

int64_t tsd_notify_watchdog_limit(void)
{
    return t.limit;
}

void tsd_notify_watchdog(void)
{
    t.notified++;
}

void tsd_notify_status(const char *status)
{
    t.n_statuses++;
    snprintf(t.status, sizeof(t.status), "%s", status);
}

static TS_PRINTF(1, 0) void add_to_log(const char *format, va_list args)
{
    size_t len = strlen(t.log);
    vsnprintf(t.log + len, sizeof(t.log) - len, format, args);
    strcat(t.log, "\n");
}

void tsd_log_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_to_log(format, args);
    va_end(args);
}

void tsd_log_info(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_to_log(format, args);
    va_end(args);
}

/* limit: WatchdogSec= in ns, 0: none. */
static void begin(int64_t limit)
{
    memset(&t, 0, sizeof(t));
    t.now = 1000 * S;
    t.limit = limit;
    assert_int_equal(uv_loop_init(&t.loop), 0);
    assert_int_equal(tsd_state_init(&t.state), 0);
    t.writer.pulse = t.now;
    for (size_t i = 0; i < N_THREADS; i++) {
        t.thread[i].pulse = t.now;
        t.threads[i] = &t.thread[i];
        t.state.threads[i] = &t.stats[i];
    }
    t.state.n_threads = N_THREADS;
    tsd_watchdog_start(&t.watchdog, &t.loop, &t.state, t.threads, N_THREADS, &t.writer);
    assert_int_equal(uv_has_ref((uv_handle_t *)&t.watchdog.timer), 0);
    uv_ref((uv_handle_t *)&t.watchdog.timer);
}

static void tick(void)
{
    uv_timer_start(&t.watchdog.timer, t.watchdog.timer.timer_cb, 0, 0);
    uv_run(&t.loop, UV_RUN_ONCE);
}

static void end(void)
{
    uv_close((uv_handle_t *)&t.watchdog.timer, NULL);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&t.loop), 0);
    tsd_state_deinit(&t.state);
}

static void test_period(void **state)
{
    (void)state;
    begin(40 * S);
    assert_int_equal(uv_timer_get_repeat(&t.watchdog.timer), 5000); /* of the status */
    assert_int_equal(t.watchdog.limit, 20 * S);
    end();
    begin(12 * S);
    assert_int_equal(uv_timer_get_repeat(&t.watchdog.timer), 3000); /* a quarter */
    assert_int_equal(t.watchdog.limit, 6 * S);
    end();
    begin(1 * S);
    assert_int_equal(uv_timer_get_repeat(&t.watchdog.timer), 250);
    assert_int_equal(t.watchdog.limit, 2 * S); /* not below the age of a good pulse */
    end();
    begin(0);
    assert_int_equal(uv_timer_get_repeat(&t.watchdog.timer), 5000);
    assert_int_equal(t.watchdog.limit, 0);
    end();
}

static void test_notifies_while_all_progress(void **state)
{
    (void)state;
    begin(10 * S);
    for (size_t i = 1; i <= 5; i++) {
        t.now += 5 * S;
        t.writer.pulse = t.thread[0].pulse = t.thread[1].pulse = t.now - 5 * S; /* the limit is not exceeded */
        tick();
        assert_int_equal(t.notified, i);
    }
    assert_string_equal(t.log, "");
    end();
}

static void check_hang(int64_t *pulse, const char *name)
{
    char expected[200];
    t.log[0] = '\0';
    t.notified = 0;
    t.writer.pulse = t.thread[0].pulse = t.thread[1].pulse = t.now;
    *pulse = t.now - 5 * S - 1;
    tick();
    tick();
    assert_int_equal(t.notified, 0);
    snprintf(expected, sizeof(expected),
             "%s has made no progress for over 5 s; not notifying the watchdog until it does\n", name);
    assert_string_equal(t.log, expected); /* once */
    *pulse = t.now;
    tick();
    tick();
    assert_int_equal(t.notified, 2);
    strcat(expected, "all threads make progress again\n");
    assert_string_equal(t.log, expected);
}

static void test_hangs(void **state)
{
    (void)state;
    begin(10 * S);
    check_hang(&t.thread[0].pulse, "an ingest thread");
    check_hang(&t.thread[1].pulse, "an ingest thread");
    check_hang(&t.writer.pulse, "the writer");
    end();
}

static void test_without_systemd(void **state)
{
    (void)state;
    begin(0);
    t.thread[0].pulse = 0;
    t.now += 100 * S;
    tick();
    assert_int_equal(t.notified, 0);
    assert_string_equal(t.log, "");
    assert_int_equal(t.n_statuses, 1);
    end();
}

static void test_status(void **state)
{
    (void)state;
    begin(0);
    tsd_set(&t.stats[0].accepted, 100);
    tsd_set(&t.stats[1].accepted, 50);
    tsd_set(&t.stats[0].rejected[0], 1);
    tsd_set(&t.stats[1].rejected[TS_REJECT_COUNT - 1], 2);
    tsd_set(&t.stats[0].datagrams_dropped, 3);
    tsd_set(&t.stats[1].datagrams_over_memory, 4);
    tsd_set(&t.state.writer.functions, 5);
    t.now += 5 * S;
    tick();
    assert_string_equal(t.status, "150 messages accepted (30/s), 3 rejected, 7 datagrams dropped; 5 functions");
    t.now += 5 * S;
    tick();
    assert_string_equal(t.status, "150 messages accepted (0/s), 3 rejected, 7 datagrams dropped; 5 functions");
    assert_int_equal(t.n_statuses, 2);
    t.now += 5 * S;
    tick();
    assert_int_equal(t.n_statuses, 2); /* unchanged */
    tsd_set(&t.stats[0].accepted, 101);
    t.now += S;
    tick();
    assert_int_equal(t.n_statuses, 2); /* too soon */
    end();
}

/* A line feed would begin another assignment of the notification. */
static void test_status_of_a_rejecting_store(void **state)
{
    (void)state;
    begin(0);
    tsd_set(&t.stats[0].accepted, 9);
    tsd_state_set_store_error(&t.state, "disk\nfull");
    t.now += 5 * S;
    tick();
    assert_string_equal(t.status, "disk full; 9 messages are waiting in memory");
    end();
}

static void test_reload_error(void **state)
{
    (void)state;
    char longest[1000];
    begin(0);
    tsd_watchdog_set_reload_error(&t.watchdog, "t.conf:3: bad");
    assert_string_equal(t.status, "the configuration was not reloaded: t.conf:3: bad; 0 messages accepted (0/s), 0 "
                                  "rejected, 0 datagrams dropped; 0 functions");
    t.now += 5 * S;
    tick();
    assert_int_equal(t.n_statuses, 1);
    tsd_watchdog_set_reload_error(&t.watchdog, NULL);
    assert_string_equal(t.status, "0 messages accepted (0/s), 0 rejected, 0 datagrams dropped; 0 functions");
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    tsd_watchdog_set_reload_error(&t.watchdog, longest);
    assert_non_null(strstr(t.status, "xxx; 0 messages accepted"));
    end();
}

static void test_no_status_while_stopping(void **state)
{
    (void)state;
    begin(10 * S);
    tsd_watchdog_end_status(&t.watchdog);
    t.now += 5 * S;
    t.writer.pulse = t.thread[0].pulse = t.thread[1].pulse = t.now;
    tick();
    assert_int_equal(t.n_statuses, 0);
    assert_int_equal(t.notified, 1);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_period),       cmocka_unit_test(test_notifies_while_all_progress),
        cmocka_unit_test(test_hangs),        cmocka_unit_test(test_without_systemd),
        cmocka_unit_test(test_status),       cmocka_unit_test(test_status_of_a_rejecting_store),
        cmocka_unit_test(test_reload_error), cmocka_unit_test(test_no_status_while_stopping),
    };
    return cmocka_run_group_tests_name("watchdog", tests, NULL, NULL);
}
