/* Unix sockets: leftover files are replaced, used ones and other files are not; mode and group. */
#include "daemon/unix_socket.h"

#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/test_unix_socket.XXXXXX";
static char path[sizeof(folder) + 8];
static struct tsd_socket_error error;

static int set_up(void **state)
{
    (void)state;
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/x.sock", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static struct tsd_unix_socket config_of(int type)
{
    return (struct tsd_unix_socket){.key = "ingest.x", .path = path, .type = type, .mode = 0640};
}

static int opened(int type)
{
    struct tsd_unix_socket config = config_of(type);
    struct stat st;
    int fd = -1;
    mode_t mask = umask(022);
    if (tsd_unix_socket_open(&config, &fd, &error))
        fail_msg("%s", error.message);
    assert_int_equal(umask(mask), 022); /* restored */
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_mode, S_IFSOCK | 0640);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    return fd;
}

/* The complete message. */
static void fails_with(int rc, const struct tsd_unix_socket *config, const char *after_key)
{
    char expected[sizeof(error.message)];
    int fd = -77;
    snprintf(expected, sizeof(expected), "ingest.x: %s", after_key);
    assert_int_equal(tsd_unix_socket_open(config, &fd, &error), rc);
    assert_string_equal(error.message, expected);
    assert_int_equal(fd, -77);
}

static void fails(const struct tsd_unix_socket *config, const char *after_key)
{
    fails_with(TS_EINVAL, config, after_key);
}

static void test_opens(void **state)
{
    (void)state;
    int accepting = -1;
    socklen_t len = sizeof(accepting);
    int fd = opened(SOCK_STREAM);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &len), 0);
    assert_int_equal(accepting, 1);
    close(fd);
    unlink(path);
    close(opened(SOCK_DGRAM));
}

static void test_leftover_is_replaced(void **state)
{
    (void)state;
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
    for (size_t i = 0; i < 4; i++) {
        close(opened(types[i / 2]));
        close(opened(types[i % 2]));
        unlink(path);
    }
}

static void test_in_use(void **state)
{
    (void)state;
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
    static const char *const reasons[] = {"Address already in use", "Protocol wrong type for socket"};
    for (size_t i = 0; i < 4; i++) {
        char expected[300];
        struct tsd_unix_socket config = config_of(types[i % 2]);
        int fd = opened(types[i / 2]);
        snprintf(expected, sizeof(expected), "another process is listening on %s (%s); stop it, or choose another path",
                 path, reasons[i / 2 != i % 2]);
        fails_with(TS_EUNAVAILABLE, &config, expected);
        assert_int_equal(access(path, F_OK), 0);
        close(fd);
        unlink(path);
    }
}

static void test_other_files(void **state)
{
    (void)state;
    char expected[300];
    struct tsd_unix_socket config = config_of(SOCK_STREAM);
    snprintf(expected, sizeof(expected), "%s exists and is not a socket; remove it, or choose another path", path);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    fails(&config, expected);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/nowhere", path), 0); /* not followed */
    fails(&config, expected);
    assert_int_equal(unlink(path), 0);
}

static void test_paths(void **state)
{
    (void)state;
    char longest[200], expected[300];
    struct tsd_unix_socket config = config_of(SOCK_STREAM);
    snprintf(longest, sizeof(longest), "/%0107d", 0);
    config.path = longest;
    fails(&config, "the path of a socket may have 107 bytes, this one has 108");
    snprintf(longest, sizeof(longest), "%s/none/x.sock", folder);
    snprintf(expected, sizeof(expected), "cannot bind %s: No such file or directory", longest);
    fails(&config, expected);
}

static void test_check(void **state)
{
    (void)state;
    char below[sizeof(path) + 16];
    struct tsd_unix_socket config = config_of(SOCK_STREAM);
    assert_int_equal(tsd_unix_socket_check(&config, &error), 0);
    int used = opened(SOCK_STREAM);
    assert_int_equal(tsd_unix_socket_check(&config, &error), 0);
    snprintf(below, sizeof(below), "%s/x.sock", path);
    config.path = below; /* the folder is not one */
    assert_int_equal(tsd_unix_socket_check(&config, &error), TS_EINVAL);
    snprintf(below, sizeof(below), "%s/none/x.sock", folder);
    assert_int_equal(tsd_unix_socket_check(&config, &error), TS_EINVAL);
    assert_non_null(strstr(error.message, "No such file"));
    config.path = folder;
    assert_int_equal(tsd_unix_socket_check(&config, &error), TS_EINVAL);
    assert_non_null(strstr(error.message, "is not a socket"));
    config.path = "relative";
    assert_int_equal(tsd_unix_socket_check(&config, &error), 0);
    close(used);
}

static void test_groups(void **state)
{
    (void)state;
    struct tsd_unix_socket config = config_of(SOCK_STREAM);
    struct stat st;
    int fd;
    config.group = "no-such-group-here";
    fails(&config, "there is no group no-such-group-here");
    assert_int_equal(access(path, F_OK), -1); /* removed again */
    const struct group *own = getgrgid(getegid());
    if (!own)
        skip(); /* it has no name on this machine */
    config.group = own->gr_name;
    assert_int_equal(tsd_unix_socket_open(&config, &fd, &error), 0);
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_gid, getegid());
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_opens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leftover_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_in_use, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_paths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_groups, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_check, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("unix_socket", tests, NULL, NULL);
}
