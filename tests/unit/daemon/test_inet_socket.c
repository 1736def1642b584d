/* UDP sockets and TCP listeners: several on one address, options, addresses in use. */
#include "daemon/inet_socket.h"

#include "daemon/base/address.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAX = 4 };

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static struct sockaddr_storage address_of(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    return address;
}

static void opened(const char *text, int type, unsigned n, int *fds, char *ret_text)
{
    const struct tsd_inet_socket config = {.key = "ingest.x", .text = text, .type = type};
    struct sockaddr_storage address;
    struct tsd_socket_error error;
    if (tsd_inet_socket_open(&config, n, fds, &address, &error))
        fail_msg("%s", error.message);
    tsd_address_text((const struct sockaddr *)&address, ret_text);
    for (unsigned i = 0; i < n; i++) {
        char one[TSD_ADDRESS_MAX];
        struct sockaddr_storage bound = address_of(fds[i]);
        assert_string_equal(tsd_address_text((const struct sockaddr *)&bound, one), ret_text);
        assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
        assert_int_equal(option(fds[i], SOL_SOCKET, SO_TYPE), type);
        assert_int_equal(option(fds[i], SOL_SOCKET, SO_ACCEPTCONN), type == SOCK_STREAM);
        assert_int_equal(option(fds[i], SOL_SOCKET, SO_REUSEPORT), n > 1);
        assert_int_equal(option(fds[i], SOL_SOCKET, SO_REUSEADDR), type == SOCK_STREAM);
    }
}

static void close_all(const int *fds, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        close(fds[i]);
}

static void test_several_on_one_address(void **state)
{
    (void)state;
    static const int types[] = {SOCK_DGRAM, SOCK_STREAM};
    for (size_t i = 0; i < 2; i++) {
        for (unsigned n = 1; n <= MAX; n++) {
            char text[TSD_ADDRESS_MAX];
            int fds[MAX];
            opened("127.0.0.1:0", types[i], n, fds, text);
            assert_memory_equal(text, "127.0.0.1:", 10);
            assert_string_not_equal(text, "127.0.0.1:0");
            close_all(fds, n);
        }
    }
}

static void test_ipv6_alone(void **state)
{
    (void)state;
    char text[TSD_ADDRESS_MAX];
    int fds[2];
    int probe = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    if (probe < 0 || bind(probe, (const struct sockaddr *)&loopback, sizeof(loopback)))
        skip(); /* this machine has no IPv6 */
    close(probe);
    opened("[::1]:0", SOCK_STREAM, 2, fds, text);
    assert_memory_equal(text, "[::1]:", 6);
    assert_int_equal(option(fds[0], IPPROTO_IPV6, IPV6_V6ONLY), 1);
    close_all(fds, 2);
}

static void test_all_interfaces(void **state)
{
    (void)state;
    static const char *const texts[] = {"*:0", ":0", "[::]:0"};
    for (size_t i = 0; i < 3; i++) {
        char text[TSD_ADDRESS_MAX];
        int fds[2];
        int probe = socket(AF_INET6, SOCK_DGRAM, 0);
        if (probe < 0 && i == 2)
            break; /* the kernel has no IPv6 */
        opened(texts[i], SOCK_DGRAM, 2, fds, text);
        if (probe >= 0) {
            assert_memory_equal(text, "[::]:", 5);
            assert_int_equal(option(fds[0], IPPROTO_IPV6, IPV6_V6ONLY), 0);
            assert_int_equal(option(fds[1], IPPROTO_IPV6, IPV6_V6ONLY), 0);
            close(probe);
        } else {
            assert_memory_equal(text, "0.0.0.0:", 8);
        }
        close_all(fds, 2);
    }
}

static int n_open(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Also if the other one permits sharing, as a second daemon of the same user does. */
static void test_address_in_use(void **state)
{
    (void)state;
    static const int types[] = {SOCK_DGRAM, SOCK_STREAM};
    for (size_t i = 0; i < 2; i++) {
        for (unsigned n = 1; n <= 2; n++) {
            char text[TSD_ADDRESS_MAX], expected[300];
            int fds[2], more[2];
            struct sockaddr_storage address;
            struct tsd_socket_error error;
            opened("127.0.0.1:0", types[i], n, fds, text);
            const struct tsd_inet_socket config = {.key = "ingest.x", .text = text, .type = types[i]};
            int before = n_open();
            assert_int_equal(tsd_inet_socket_open(&config, 2, more, &address, &error), TS_EUNAVAILABLE);
            snprintf(expected, sizeof(expected),
                     "ingest.x: cannot bind %s: Address already in use; is another daemon running?", text);
            assert_string_equal(error.message, expected);
            assert_int_equal(n_open(), before);
            close_all(fds, n);
        }
    }
}

static void test_errors(void **state)
{
    (void)state;
    struct sockaddr_storage address;
    struct tsd_socket_error error;
    int fd;
    const struct tsd_inet_socket malformed = {.key = "control.http", .text = "example.org:80", .type = SOCK_STREAM};
    assert_int_equal(tsd_inet_socket_open(&malformed, 1, &fd, &address, &error), TS_EINVAL);
    assert_string_equal(error.message,
                        "control.http: example.org:80 is not an address such as 127.0.0.1:8137 or [::1]:8137");
    const struct tsd_inet_socket foreign = {.key = "ingest.udp", .text = "192.0.2.1:80", .type = SOCK_DGRAM};
    assert_int_equal(tsd_inet_socket_open(&foreign, 1, &fd, &address, &error), TS_EINVAL);
    assert_string_equal(error.message, "ingest.udp: cannot bind 192.0.2.1:80: Cannot assign requested address");
}

/* The port of the address is not bound, so a daemon may have it. */
static void test_check(void **state)
{
    (void)state;
    char text[TSD_ADDRESS_MAX];
    struct tsd_socket_error error;
    int fd;
    int before = n_open();
    struct tsd_inet_socket config = {.key = "ingest.tcp", .text = text, .type = SOCK_STREAM};
    opened("127.0.0.1:0", SOCK_STREAM, 1, &fd, text);
    assert_int_equal(tsd_inet_socket_check(&config, &error), 0);
    close(fd);
    config.text = "*:1";
    assert_int_equal(tsd_inet_socket_check(&config, &error), 0);
    config.text = "192.0.2.1:80";
    assert_int_equal(tsd_inet_socket_check(&config, &error), TS_EINVAL);
    assert_string_equal(error.message, "ingest.tcp: cannot bind 192.0.2.1:80: Cannot assign requested address");
    assert_int_equal(n_open(), before);
}

static void test_receive_buffer(void **state)
{
    (void)state;
    char text[TSD_ADDRESS_MAX];
    int fd;
    int granted = -1;
    opened("127.0.0.1:0", SOCK_DGRAM, 1, &fd, text);
    assert_true(tsd_inet_socket_set_buffer(fd, 8192, &granted));
    assert_int_equal(granted, 8192);
    assert_int_equal(option(fd, SOL_SOCKET, SO_RCVBUF), 2 * 8192);
    /* Root may exceed net.core.rmem_max, others get less. */
    bool all = tsd_inet_socket_set_buffer(fd, UINT64_MAX, &granted);
    assert_true(all || (granted > 0 && granted < INT32_MAX / 2));
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_several_on_one_address),
        cmocka_unit_test(test_ipv6_alone),
        cmocka_unit_test(test_all_interfaces),
        cmocka_unit_test(test_address_in_use),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_receive_buffer),
    };
    return cmocka_run_group_tests_name("inet_socket", tests, NULL, NULL);
}
