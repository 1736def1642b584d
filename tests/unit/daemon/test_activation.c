/* Socket activation: what systemd may pass, and which configured addresses it overrides. Log lines go to a file. */
#include "daemon/activation.h"

#include "daemon/config/load.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { FIRST = 3, MAX = 8 }; /* SD_LISTEN_FDS_START */

static int log_fd = -1;
static int saved_stderr = -1;

/* Begins with an empty environment and an empty log. */
static int set_up(void **state)
{
    (void)state;
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDNAMES");
    unsetenv("JOURNAL_STREAM");
    fflush(stderr);
    saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, FIRST + MAX);
    log_fd = memfd_create("log", MFD_CLOEXEC);
    int high = fcntl(log_fd, F_DUPFD_CLOEXEC, FIRST + MAX);
    close(log_fd);
    log_fd = high;
    return log_fd < 0 || saved_stderr < 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(log_fd);
    close(saved_stderr);
    return 0;
}

static const char *logged(void)
{
    static char text[2000];
    ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}

static int inet_socket(int type, bool listening)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    int fd = socket(AF_INET, type, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    if (listening)
        assert_int_equal(listen(fd, 1), 0);
    return fd;
}

/* In the abstract namespace: no file. */
static int unix_socket(int type, bool listening)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address.sun_family)), 0);
    if (listening)
        assert_int_equal(listen(fd, 1), 0);
    return fd;
}

/* Makes fds the passed sockets, in their order. */
static void pass(const int *fds, int n, const char *names)
{
    char text[32];
    int high[MAX];
    assert_true(n <= MAX);
    for (int i = 0; i < n; i++) {
        high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, FIRST + MAX);
        assert_true(high[i] >= 0);
        close(fds[i]);
    }
    for (int i = 0; i < n; i++) {
        assert_int_equal(dup2(high[i], FIRST + i), FIRST + i);
        close(high[i]);
    }
    snprintf(text, sizeof(text), "%d", n);
    setenv("LISTEN_FDS", text, 1);
    snprintf(text, sizeof(text), "%ld", (long)getpid());
    setenv("LISTEN_PID", text, 1);
    setenv("LISTEN_FDNAMES", names, 1);
}

static int get(struct tsd_passed *ret_passed, struct tsd_socket_error *ret_error)
{
    memset(ret_passed, 0xA5, sizeof(*ret_passed));
    memset(ret_error, 0, sizeof(*ret_error));
    dup2(log_fd, STDERR_FILENO);
    int rc = tsd_activation_sockets(ret_passed, ret_error);
    dup2(saved_stderr, STDERR_FILENO);
    assert_null(getenv("LISTEN_FDS"));
    return rc;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void close_passed(int n)
{
    for (int i = 0; i < n; i++)
        close(FIRST + i);
}

static void test_none(void **state)
{
    (void)state;
    struct tsd_passed passed;
    struct tsd_socket_error error;
    assert_int_equal(get(&passed, &error), 0);
    assert_true(passed.udp == -1 && passed.tcp == -1 && passed.unix_stream == -1 && passed.unix_datagram == -1 &&
                passed.control == -1 && passed.http == -1);
    /* Meant for another process. */
    setenv("LISTEN_FDS", "1", 1);
    setenv("LISTEN_PID", "1", 1);
    assert_int_equal(get(&passed, &error), 0);
    assert_int_equal(passed.udp, -1);
}

static void test_all(void **state)
{
    (void)state;
    struct tsd_passed passed;
    struct tsd_socket_error error;
    const int fds[] = {
        inet_socket(SOCK_STREAM, true), unix_socket(SOCK_STREAM, true), inet_socket(SOCK_DGRAM, false),
        unix_socket(SOCK_STREAM, true), unix_socket(SOCK_DGRAM, false), inet_socket(SOCK_STREAM, true),
    };
    pass(fds, 6, "http:control:udp:unix_stream:unix_datagram:tcp");
    assert_int_equal(get(&passed, &error), 0);
    assert_int_equal(passed.http, FIRST);
    assert_int_equal(passed.control, FIRST + 1);
    assert_int_equal(passed.udp, FIRST + 2);
    assert_int_equal(passed.unix_stream, FIRST + 3);
    assert_int_equal(passed.unix_datagram, FIRST + 4);
    assert_int_equal(passed.tcp, FIRST + 5);
    for (int fd = FIRST; fd < FIRST + 6; fd++) {
        int reuse = -1;
        socklen_t len = sizeof(reuse);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, &len), 0);
        assert_int_equal(reuse != 0, fd == passed.tcp || fd == passed.http); /* off for UDP */
    }
    assert_string_equal(logged(), "");
    close_passed(6);
}

static void test_unknown_name(void **state)
{
    (void)state;
    struct tsd_passed passed;
    struct tsd_socket_error error;
    const int fds[] = {inet_socket(SOCK_DGRAM, false), inet_socket(SOCK_STREAM, true)};
    pass(fds, 2, "statsd:tcp");
    assert_int_equal(get(&passed, &error), 0);
    assert_int_equal(passed.tcp, FIRST + 1);
    assert_false(is_open(FIRST));
    assert_non_null(strstr(logged(), "warning: systemd passed a socket named statsd, which is closed: expected udp, "));
    close_passed(2);
}

static void test_name_twice(void **state)
{
    (void)state;
    struct tsd_passed passed;
    struct tsd_socket_error error;
    const int fds[] = {inet_socket(SOCK_STREAM, true), inet_socket(SOCK_STREAM, true)};
    pass(fds, 2, "tcp:tcp");
    assert_int_equal(get(&passed, &error), TS_EINVAL);
    assert_string_equal(error.message, "systemd passed two sockets named tcp; only one is supported");
    close_passed(2);
}

static void test_wrong_types(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int family, type;
        bool listening;
    } cases[] = {
        {"udp", AF_INET, SOCK_STREAM, true},           {"udp", AF_UNIX, SOCK_DGRAM, false},
        {"tcp", AF_INET, SOCK_DGRAM, false},           {"tcp", AF_UNIX, SOCK_STREAM, true},
        {"tcp", AF_INET, SOCK_STREAM, false},          {"unix_stream", AF_INET, SOCK_STREAM, true},
        {"unix_stream", AF_UNIX, SOCK_DGRAM, false},   {"unix_stream", AF_UNIX, SOCK_STREAM, false},
        {"unix_datagram", AF_INET, SOCK_DGRAM, false}, {"unix_datagram", AF_UNIX, SOCK_STREAM, true},
        {"control", AF_INET, SOCK_STREAM, true},       {"control", AF_UNIX, SOCK_DGRAM, false},
        {"http", AF_UNIX, SOCK_STREAM, true},          {"http", AF_INET, SOCK_DGRAM, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct tsd_passed passed;
        struct tsd_socket_error error;
        char expected[200];
        int fd = cases[i].family == AF_INET ? inet_socket(cases[i].type, cases[i].listening)
                                            : unix_socket(cases[i].type, cases[i].listening);
        pass(&fd, 1, cases[i].name);
        assert_int_equal(get(&passed, &error), TS_EINVAL);
        snprintf(expected, sizeof(expected), "systemd passed a socket named %s that has another type", cases[i].name);
        assert_string_equal(error.message, expected);
        close_passed(1);
    }
}

/* Loads a configuration from --set arguments, and returns the warnings about the passed sockets. */
static const char *compared(const struct tsd_passed *passed, const struct tsd_state *state, const char *set)
{
    struct tsd_config config;
    struct tsd_config_error error;
    const char *const sets[] = {"ingest.threads=4", set};
    assert_int_equal(tsd_config_load("/dev/null", sets, set ? 2 : 1, 0, &config, &error), 0);
    assert_int_equal(ftruncate(log_fd, 0), 0);
    lseek(log_fd, 0, SEEK_SET);
    dup2(log_fd, STDERR_FILENO);
    tsd_activation_compare(&config, passed, state);
    dup2(saved_stderr, STDERR_FILENO);
    tsd_config_deinit(&config);
    return logged();
}

static void test_compare(void **state)
{
    (void)state;
    static struct tsd_state addresses = {
        .listeners = {{"tcp", "127.0.0.1:99"}, {"control", "/run/c.sock"}},
        .n_listeners = 2,
    };
    struct tsd_passed passed = {-1, 50, -1, -1, 51, -1};
    static const char control[] =
        "warning: control.socket is /run/timesliced/control.sock, but is replaced by the socket"
        " that systemd passed, /run/c.sock: change or mask the socket unit\n";
    unsetenv("RUNTIME_DIRECTORY");
    unsetenv("STATE_DIRECTORY");
    /* The default of control.socket depends on the environment, so it is always compared. */
    assert_string_equal(compared(&passed, &addresses, NULL), control);
    assert_string_equal(compared(&passed, &addresses, "control.socket=/run/c.sock"), "");
    passed.control = -1;
    assert_string_equal(compared(&passed, &addresses, NULL), ""); /* the default of ingest.tcp */
    assert_string_equal(compared(&passed, &addresses, "ingest.tcp=127.0.0.1:99"), "");
    assert_string_equal(compared(&passed, &addresses, "ingest.tcp=127.0.0.1:98"),
                        "warning: ingest.tcp is 127.0.0.1:98, but is replaced by the socket that systemd passed,"
                        " 127.0.0.1:99: change or mask the socket unit\n");
    assert_string_equal(compared(&passed, &addresses, "ingest.tcp=off"),
                        "warning: ingest.tcp is off, but is replaced by the socket that systemd passed,"
                        " 127.0.0.1:99: change or mask the socket unit\n");
    assert_string_equal(compared(&passed, &addresses, "ingest.udp=127.0.0.1:98"), ""); /* not passed */
    passed.udp = 52;
    assert_string_equal(compared(&passed, &addresses, NULL),
                        "info: only one of the 4 ingest threads reads the UDP socket that systemd passed\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_name_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wrong_types, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_compare, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("activation", tests, NULL, NULL);
}
