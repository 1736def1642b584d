/* Log lines, byte by byte. This file replaces write(2) and poll(2) for standard error: they count calls and can fail.
 */
#include "daemon/base/log.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LINE_MAX_BYTES = 2048 };

static struct {
    bool on;
    char text[8 * LINE_MAX_BYTES]; /* what was written */
    size_t len;
    size_t writes;
    size_t polls;
    const int *plan; /* of each write: 0 writes all, n > 0 writes n bytes, -errno fails; ends with END */
} fake;
#define END 1000000

ssize_t write(int fd, const void *bytes, size_t len)
{
    if (fd != STDERR_FILENO || !fake.on)
        return syscall(SYS_write, fd, bytes, len);
    int step = 0;
    fake.writes++;
    if (fake.plan && *fake.plan != END)
        step = *fake.plan++;
    if (step < 0) {
        errno = -step;
        return -1;
    }
    size_t n = step && (size_t)step < len ? (size_t)step : len;
    if (n < sizeof(fake.text) - fake.len) {
        memcpy(fake.text + fake.len, bytes, n);
        fake.len += n;
    }
    return (ssize_t)n;
}

/* A separate function with a plain pointer, because glibc declares that poll() only writes to *fds. */
__attribute__((noinline)) static bool waits_to_write(void *data)
{
    const struct pollfd *fds = data;
    return fds->fd == STDERR_FILENO && fds->events == POLLOUT;
}

int poll(struct pollfd *fds, nfds_t n, int timeout)
{
    if (!fake.on)
        return (int)syscall(SYS_poll, fds, n, timeout);
    fake.polls++;
    errno = EBADF; /* the caller's errno must not change */
    return n == 1 && waits_to_write(fds) && timeout > 0 && timeout <= 1000;
}

static void capture(const int *plan)
{
    memset(&fake, 0, sizeof(fake));
    fake.plan = plan;
    fake.on = true;
}

static const char *captured(void)
{
    fake.on = false;
    fake.text[fake.len] = '\0';
    return fake.text;
}

static int set_up(void **state)
{
    (void)state;
    unsetenv("JOURNAL_STREAM");
    return 0;
}

static void log_one_of_each(void)
{
    tsd_log_error("e %d", 1);
    tsd_log_warning("w %s", "2");
    tsd_log_info("i");
    tsd_log_debug("d");
}

static void test_levels(void **state)
{
    (void)state;
    static const struct {
        enum tsd_log_level level;
        const char *text;
    } cases[] = {
        {TSD_LOG_INFO, "error: e 1\nwarning: w 2\ninfo: i\n"},
        {TSD_LOG_DEBUG, "error: e 1\nwarning: w 2\ninfo: i\ndebug: d\n"},
        {TSD_LOG_ERROR, "error: e 1\n"},
        {TSD_LOG_WARNING, "error: e 1\nwarning: w 2\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (i) /* info is the default */
            tsd_log_set_level(cases[i].level);
        capture(NULL);
        log_one_of_each();
        assert_string_equal(captured(), cases[i].text);
    }
    tsd_log_set_level(TSD_LOG_INFO);
}

static void test_one_write_each(void **state)
{
    (void)state;
    capture(NULL);
    log_one_of_each();
    captured();
    assert_int_equal(fake.writes, 3);
    assert_int_equal(fake.polls, 0);
}

/* What a process writes if JOURNAL_STREAM is set (NULL: not set) when it first logs. */
static void check_process(const char *stream, const char *expected)
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        if (stream)
            setenv("JOURNAL_STREAM", stream, 1);
        tsd_log_set_level(TSD_LOG_DEBUG);
        capture(NULL);
        log_one_of_each();
        _exit(strcmp(captured(), expected) != 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Must be the first test: the environment is read once per process, and children inherit that. */
static void test_journal(void **state)
{
    (void)state;
    static const char prefixed[] = "<3>e 1\n<4>w 2\n<6>i\n<7>d\n";
    check_process("8:12345", prefixed);
    check_process("", prefixed);
    check_process(NULL, "error: e 1\nwarning: w 2\ninfo: i\ndebug: d\n");
}

static void test_escapes(void **state)
{
    (void)state;
    static const struct {
        const char *message, *text;
    } cases[] = {
        {"", "info: \n"},
        {"a\nerror: b\n", "info: a\\nerror: b\\n\n"},
        {"\t\r|", "info: \\t\\r|\n"},
        {"\x1b[2J\x01\x1f\x7f~ ", "info: \\x1b[2J\\x01\\x1f\\x7f~ \n"},
        {"C:\\new \"x\" %s", "info: C:\\new \"x\" %s\n"},
        {"gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80",
         "info: gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80\n"},
        /* C1 controls; the first character after them. */
        {"\xC2\x80\xC2\x9B\xC2\x9F\xC2\xA0", "info: \\xc2\\x80\\xc2\\x9b\\xc2\\x9f\xC2\xA0\n"},
        /* Not UTF-8: a lone byte, truncated, overlong, a surrogate, above U+10FFFF. */
        {"\x80 \xC3", "info: \\x80 \\xc3\n"},
        {"\xE2\x82|\xF0\x9F\x98", "info: \\xe2\\x82|\\xf0\\x9f\\x98\n"},
        {"\xC0\xAF\xE0\x80\xAF", "info: \\xc0\\xaf\\xe0\\x80\\xaf\n"},
        {"\xED\xA0\x80\xF5", "info: \\xed\\xa0\\x80\\xf5\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        capture(NULL);
        tsd_log_info("%s", cases[i].message);
        assert_string_equal(captured(), cases[i].text);
    }
}

/* A message of n times the unit. The line is limited, and ends with "..." if it was cut. */
static void check_long(const char *unit, const char *shown, size_t n)
{
    static char message[5 * LINE_MAX_BYTES], whole[5 * LINE_MAX_BYTES];
    strcpy(message, "");
    strcpy(whole, "info: ");
    char *m = message, *w = whole + strlen(whole);
    for (size_t i = 0; i < n; i++) {
        m = stpcpy(m, unit);
        w = stpcpy(w, shown);
    }
    capture(NULL);
    tsd_log_info("%s", message);
    const char *line = captured();
    size_t len = strlen(line);
    assert_int_equal(fake.writes, 1);
    assert_true(len <= LINE_MAX_BYTES);
    assert_int_equal(line[len - 1], '\n');
    assert_ptr_equal(strchr(line, '\n'), line + len - 1);
    if (strlen(whole) + strlen("...\n") <= LINE_MAX_BYTES) {
        assert_int_equal(len, strlen(whole) + 1);
        assert_memory_equal(line, whole, len - 1);
        return;
    }
    /* Cut between characters, as late as possible. */
    size_t kept = len - strlen("...\n");
    assert_string_equal(line + kept, "...\n");
    assert_memory_equal(line, whole, kept);
    assert_int_equal((kept - strlen("info: ")) % strlen(shown), 0);
    assert_true(len + strlen(shown) > LINE_MAX_BYTES);
}

static void test_long_messages(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 500, 2037, 2038, 2039, 2040, 2041, 2042, 2043, 2047, 2048, 2049, 9000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        check_long("x", "x", sizes[i]);
        if (sizes[i] <= 2048) {
            check_long("\xE2\x82\xAC", "\xE2\x82\xAC", sizes[i]);
            check_long("\n", "\\n", sizes[i]);
            check_long("\x1b", "\\x1b", sizes[i]);
        }
    }
}

static void test_failing_writes(void **state)
{
    (void)state;
    static const struct {
        int plan[8];
        const char *text;
        size_t writes, polls;
    } cases[] = {
        {{END}, "info: hello\ninfo: next\n", 2, 0},
        {{-EINTR, -EINTR, END}, "info: hello\ninfo: next\n", 4, 0},
        {{3, 2, -EINTR, 1, END}, "info: hello\ninfo: next\n", 6, 0},
        {{-EAGAIN, END}, "info: hello\ninfo: next\n", 3, 1},
        {{-EAGAIN, -EINTR, 4, END}, "info: hello\ninfo: next\n", 5, 1},
        /* It waits once, then the line is lost; the next line is tried again. */
        {{-EAGAIN, -EAGAIN, END}, "info: next\n", 3, 1},
        {{-EAGAIN, -EAGAIN, -EAGAIN, END}, "info: next\n", 4, 2},
        {{-ENOSPC, END}, "info: next\n", 2, 0},
        {{-EPIPE, -EBADF, END}, "", 2, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        capture(cases[i].plan);
        errno = EXDEV;
        tsd_log_info("hello");
        assert_int_equal(errno, EXDEV);
        tsd_log_info("next");
        assert_int_equal(errno, EXDEV);
        assert_string_equal(captured(), cases[i].text);
        assert_int_equal(fake.writes, cases[i].writes);
        assert_int_equal(fake.polls, cases[i].polls);
    }
}

/* errno is unchanged, also if nothing is written. */
static void test_errno(void **state)
{
    (void)state;
    capture(NULL);
    errno = ENOENT;
    tsd_log_error("cannot open it: %s", strerror(errno));
    assert_int_equal(errno, ENOENT);
    tsd_log_debug("not written");
    assert_int_equal(errno, ENOENT);
    assert_string_equal(captured(), "error: cannot open it: No such file or directory\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_journal), cmocka_unit_test(test_levels),        cmocka_unit_test(test_one_write_each),
        cmocka_unit_test(test_escapes), cmocka_unit_test(test_long_messages), cmocka_unit_test(test_failing_writes),
        cmocka_unit_test(test_errno),
    };
    return cmocka_run_group_tests_name("log", tests, set_up, NULL);
}
