/* Notifications, as they arrive at a socket that $NOTIFY_SOCKET names. */
#include "daemon/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static int fd = -1;

static int set_up(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t len = sizeof(address);
    char name[sizeof(address.sun_path) + 1];
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* The kernel chooses an abstract name, which is written with @. */
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address.sun_family)) ||
        getsockname(fd, (struct sockaddr *)&address, &len))
        return -1;
    snprintf(name, sizeof(name), "@%.*s", (int)(len - offsetof(struct sockaddr_un, sun_path) - 1),
             address.sun_path + 1);
    return setenv("NOTIFY_SOCKET", name, 1);
}

static int tear_down(void **state)
{
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return close(fd);
}

/* "" if nothing arrived. */
static const char *received(void)
{
    static char text[1000];
    ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void test_states(void **state)
{
    (void)state;
    long long usec;
    char end;
    tsd_notify_ready("udp 127.0.0.1:8137");
    assert_string_equal(received(), "READY=1\nSTATUS=udp 127.0.0.1:8137");
    tsd_notify_status("100 %s");
    assert_string_equal(received(), "STATUS=100 %s");
    tsd_notify_reloading();
    assert_int_equal(sscanf(received(), "RELOADING=1\nMONOTONIC_USEC=%lld%c", &usec, &end), 1);
    assert_true(usec > 0);
    tsd_notify_reloaded();
    assert_string_equal(received(), "READY=1");
    tsd_notify_watchdog();
    assert_string_equal(received(), "WATCHDOG=1");
    tsd_notify_stopping();
    assert_string_equal(received(), "STOPPING=1\nSTATUS=committing received messages");
    assert_string_equal(received(), "");
}

static void test_without_systemd(void **state)
{
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    tsd_notify_ready("x");
    tsd_notify_status("x");
    tsd_notify_watchdog();
    assert_string_equal(received(), "");
    assert_int_equal(tsd_notify_watchdog_limit(), 0);
}

static void test_watchdog_limit(void **state)
{
    (void)state;
    static const struct {
        const char *usec;
        int64_t limit;
    } cases[] = {
        {"30000000", INT64_C(30000000000)}, {"1", 1000}, {"0", 0}, {"x", 0}, {"18446744073709551614", 0},
    };
    char pid[32];
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        setenv("WATCHDOG_USEC", cases[i].usec, 1);
        assert_int_equal(tsd_notify_watchdog_limit(), cases[i].limit);
    }
    setenv("WATCHDOG_USEC", "5", 1);
    setenv("WATCHDOG_PID", "1", 1); /* meant for another process */
    assert_int_equal(tsd_notify_watchdog_limit(), 0);
    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    assert_int_equal(tsd_notify_watchdog_limit(), 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_states, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_systemd, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_watchdog_limit, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
