/* Addresses: which texts are accepted, how an address is written, what is a loopback address. */
#include "daemon/base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

#define LEN(array) (sizeof(array) / sizeof(*(array)))

static struct sockaddr_storage parsed(const char *text)
{
    struct sockaddr_storage address;
    socklen_t len = 0;
    if (tsd_address_parse(text, &address, &len))
        fail_msg("rejected: %s", text);
    assert_int_equal(len, address.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
    return address;
}

static void test_accepted(void **state)
{
    (void)state;
    static const struct {
        const char *text, *written;
        int family;
    } cases[] = {
        {"127.0.0.1:8137", "127.0.0.1:8137", AF_INET},
        {"localhost:1", "127.0.0.1:1", AF_INET},
        {"0.0.0.0:0", "0.0.0.0:0", AF_INET},
        {"255.255.255.255:65535", "255.255.255.255:65535", AF_INET},
        {"10.0.0.1:00080", "10.0.0.1:80", AF_INET},
        {"[::1]:8137", "[::1]:8137", AF_INET6},
        {"[::]:0", "[::]:0", AF_INET6},
        {"[2001:DB8:0:0:0:0:0:1]:80", "[2001:db8::1]:80", AF_INET6},
        {"[::ffff:127.0.0.1]:80", "127.0.0.1:80", AF_INET},
        {"*:8137", "[::]:8137", AF_INET6},
        {":8137", "[::]:8137", AF_INET6},
        {"[fe80::1%lo]:80", "[fe80::1]:80", AF_INET6},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        char text[TSD_ADDRESS_MAX];
        struct sockaddr_storage address = parsed(cases[i].text);
        assert_int_equal(address.ss_family, cases[i].family);
        assert_ptr_equal(tsd_address_text((const struct sockaddr *)&address, text), text);
        assert_string_equal(text, cases[i].written);
    }
    struct sockaddr_storage scoped = parsed("[fe80::1%lo]:80");
    assert_int_not_equal(((const struct sockaddr_in6 *)&scoped)->sin6_scope_id, 0);
}

static void test_rejected(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        ":",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:x",
        "127.0.0.1:-1",
        "127.0.0.1:+1",
        "127.0.0.1: 1",
        "127.0.0.1:1 ",
        "127.0.0.1:65536",
        "127.0.0.1:000080",
        "127.1:80",
        "256.0.0.1:80",
        "localhost",
        "localhost.:80",
        "LOCALHOST:80",
        "example.org:80",
        "**:80",
        "[*]:80",
        " :80",
        "::1:80",
        "[::1]",
        "[::1:80",
        "::1]:80",
        "[]:80",
        "[127.0.0.1]:80",
        "[fe80::1%]:80",
        "[fe80::1%no-such-interface]:80",
        "off",
        "/run/x.sock",
        "0000000000000000000000000000000000000000000000000000000000000000:80",
    };
    for (size_t i = 0; i < LEN(texts); i++) {
        struct sockaddr_storage address, untouched;
        socklen_t len = 77;
        memset(&address, 0xA5, sizeof(address));
        memset(&untouched, 0xA5, sizeof(untouched));
        if (tsd_address_parse(texts[i], &address, &len) != TS_EINVAL)
            fail_msg("accepted: %s", texts[i]);
        assert_memory_equal(&address, &untouched, sizeof(address));
        assert_int_equal(len, 77);
    }
}

static void test_loopback(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool loopback;
    } cases[] = {
        {"127.0.0.1:1", true}, {"127.255.0.9:1", true}, {"localhost:1", true}, {"[::1]:1", true},
        {"0.0.0.0:1", false},  {"128.0.0.1:1", false},  {"[::]:1", false},     {"[fe80::1%lo]:1", false},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        struct sockaddr_storage address = parsed(cases[i].text);
        if (tsd_address_is_loopback((const struct sockaddr *)&address) != cases[i].loopback)
            fail_msg("%s", cases[i].text);
    }
}

static void test_ipv4_peer_of_an_ipv6_socket(void **state)
{
    (void)state;
    struct sockaddr_in6 peer = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
    char text[TSD_ADDRESS_MAX];
    assert_int_equal(inet_pton(AF_INET6, "::ffff:127.0.0.1", &peer.sin6_addr), 1);
    assert_string_equal(tsd_address_text((const struct sockaddr *)&peer, text), "127.0.0.1:80");
    assert_true(tsd_address_is_loopback((const struct sockaddr *)&peer));
}

static void test_overlap(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool overlap;
    } cases[] = {
        {"127.0.0.1:1", "127.0.0.1:1", true},
        {"127.0.0.1:1", "127.0.0.1:2", false},
        {"127.0.0.1:0", "127.0.0.1:0", false},
        {"127.0.0.1:1", "127.0.0.2:1", false},
        {"0.0.0.0:1", "127.0.0.2:1", true},
        {"*:1", "127.0.0.2:1", true},
        {"*:1", "[::1]:1", true},
        {"[::1]:1", "[::1]:1", true},
        {"[::1]:1", "0.0.0.0:1", false},
        {"*:1", "*:2", false},
        {"*:0", "*:0", false},
        {"[::ffff:127.0.0.1]:1", "127.0.0.1:1", true},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        struct sockaddr_storage a = parsed(cases[i].a), b = parsed(cases[i].b);
        if (tsd_address_overlap((const struct sockaddr *)&a, (const struct sockaddr *)&b) != cases[i].overlap ||
            tsd_address_overlap((const struct sockaddr *)&b, (const struct sockaddr *)&a) != cases[i].overlap)
            fail_msg("%s and %s", cases[i].a, cases[i].b);
    }
}

static void test_other_families(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/x.sock"};
    char text[TSD_ADDRESS_MAX];
    assert_string_equal(tsd_address_text((const struct sockaddr *)&address, text), "?");
    assert_true(tsd_address_is_loopback((const struct sockaddr *)&address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted), cmocka_unit_test(test_rejected),
        cmocka_unit_test(test_loopback), cmocka_unit_test(test_ipv4_peer_of_an_ipv6_socket),
        cmocka_unit_test(test_overlap),  cmocka_unit_test(test_other_families),
    };
    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
