/* The sockets of the daemon: which thread gets which, the list of listeners, socket files, and cleanup after a failure.
 */
#include "daemon/listen.h"

#include <fcntl.h>
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

enum { N_THREADS = 3 };

static const struct tsd_passed none = {-1, -1, -1, -1, -1, -1};
static char folder[] = "/tmp/test_listen.XXXXXX";
static char stream_path[sizeof(folder) + 8], datagram_path[sizeof(folder) + 8], control_path[sizeof(folder) + 8];
static char loopback[] = "127.0.0.1:0";
static struct tsd_config config;
static struct tsd_state listeners;
static struct tsd_sockets sockets;
static struct tsd_socket_error error;

static int set_up(void **state)
{
    (void)state;
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(stream_path, sizeof(stream_path), "%s/s.sock", folder);
    snprintf(datagram_path, sizeof(datagram_path), "%s/d.sock", folder);
    snprintf(control_path, sizeof(control_path), "%s/c.sock", folder);
    memset(&listeners, 0, sizeof(listeners));
    config = (struct tsd_config){
        .ingest = {.udp = loopback,
                   .tcp = loopback,
                   .unix_stream = stream_path,
                   .unix_datagram = datagram_path,
                   .socket_mode = 0666,
                   .threads = N_THREADS,
                   .receive_buffer = 4096},
        .control = {.socket = control_path, .socket_mode = 0660, .http = loopback},
    };
    tsd_listen_init(&sockets);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tsd_listen_close(&sockets);
    return rmdir(folder); /* fails if a socket file is left */
}

static int n_open(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* Two descriptors of the same socket. */
static bool is_duplicate(int a, int b)
{
    struct stat x, y;
    assert_int_equal(fstat(a, &x), 0);
    assert_int_equal(fstat(b, &y), 0);
    return a != b && x.st_ino == y.st_ino;
}

static const char *address_of(const char *name)
{
    for (size_t i = 0; i < listeners.n_listeners; i++) {
        if (strcmp(listeners.listeners[i].name, name) == 0)
            return listeners.listeners[i].address;
    }
    return NULL;
}

static void open_all(const struct tsd_passed *passed)
{
    if (tsd_listen_open(&config, passed, &listeners, &sockets, &error))
        fail_msg("%s", error.message);
    assert_int_equal(sockets.n_threads, config.ingest.threads);
}

static void test_threads(void **state)
{
    (void)state;
    open_all(&none);
    const struct tsd_thread_sockets *threads = sockets.threads;
    for (unsigned i = 0; i < N_THREADS; i++) {
        assert_true(threads[i].udp >= 0 && threads[i].tcp >= 0 && threads[i].unix_stream >= 0);
        assert_int_equal(threads[i].unix_datagram >= 0, i == 0); /* read by the first thread only */
        if (i) {
            assert_false(is_duplicate(threads[i].udp, threads[0].udp));
            assert_false(is_duplicate(threads[i].tcp, threads[0].tcp));
            assert_true(is_duplicate(threads[i].unix_stream, threads[0].unix_stream));
        }
        assert_true(fcntl(threads[i].unix_stream, F_GETFD) & FD_CLOEXEC);
    }
    assert_true(sockets.control >= 0 && sockets.http >= 0);
}

static void test_list_of_listeners(void **state)
{
    (void)state;
    open_all(&none);
    assert_int_equal(listeners.n_listeners, 6);
    assert_string_equal(address_of("unix_stream"), stream_path);
    assert_string_equal(address_of("unix_datagram"), datagram_path);
    assert_string_equal(address_of("control"), control_path);
    /* With the port that the kernel chose. */
    static const char *const inet[] = {"udp", "tcp", "http"};
    for (size_t i = 0; i < 3; i++) {
        assert_memory_equal(address_of(inet[i]), "127.0.0.1:", 10);
        assert_string_not_equal(address_of(inet[i]), loopback);
    }
}

static void test_off(void **state)
{
    (void)state;
    int before = n_open();
    config = (struct tsd_config){.ingest.threads = N_THREADS};
    open_all(&none);
    assert_int_equal(listeners.n_listeners, 0);
    assert_int_equal(sockets.control, -1);
    assert_int_equal(sockets.http, -1);
    assert_int_equal(n_open(), before);
}

static void test_socket_files(void **state)
{
    (void)state;
    open_all(&none);
    assert_true(exists(stream_path) && exists(datagram_path) && exists(control_path));
    tsd_listen_unlink_ingest(&sockets);
    assert_true(!exists(stream_path) && !exists(datagram_path) && exists(control_path));
    /* A file that another process created since is not removed. */
    close(open(stream_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    tsd_listen_unlink_control(&sockets);
    tsd_listen_close(&sockets);
    assert_true(exists(stream_path) && !exists(control_path));
    assert_int_equal(unlink(stream_path), 0);
}

static void test_close(void **state)
{
    (void)state;
    int before = n_open();
    open_all(&none);
    /* Handed over: closed by its new owner. */
    int control = sockets.control;
    sockets.control = -1;
    tsd_listen_close(&sockets);
    tsd_listen_close(&sockets);
    assert_int_equal(n_open(), before + 1);
    close(control);
}

static void test_failure_closes_everything(void **state)
{
    (void)state;
    static char no_folder[] = "/nowhere/x.sock";
    static char malformed[] = "example.org:80";
    char **const keys[] = {&config.ingest.udp,           &config.ingest.tcp,     &config.ingest.unix_stream,
                           &config.ingest.unix_datagram, &config.control.socket, &config.control.http};
    int before = n_open();
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        char *value = *keys[i];
        *keys[i] = value == loopback ? malformed : no_folder;
        listeners.n_listeners = 0;
        assert_int_equal(tsd_listen_open(&config, &none, &listeners, &sockets, &error), TS_EINVAL);
        assert_non_null(strstr(error.message, value == loopback ? "is not an address" : "No such file"));
        assert_int_equal(n_open(), before);
        assert_true(!exists(stream_path) && !exists(datagram_path) && !exists(control_path));
        *keys[i] = value;
    }
}

static void test_passed(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
    struct tsd_passed passed = none;
    passed.unix_stream = pair[0]; /* activation.c checks the type */
    passed.control = pair[1];
    open_all(&passed);
    assert_int_equal(sockets.threads[0].unix_stream, pair[0]);
    assert_true(is_duplicate(sockets.threads[1].unix_stream, pair[0]));
    assert_int_equal(sockets.control, pair[1]);
    assert_string_equal(address_of("unix_stream"), "(abstract)");
    assert_true(!exists(stream_path) && !exists(control_path));
    assert_true(exists(datagram_path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_list_of_listeners, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_socket_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_close, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failure_closes_everything, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_passed, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("listen", tests, NULL, NULL);
}
