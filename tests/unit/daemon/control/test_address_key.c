/* daemon/control/address_key: which addresses share their limit. */
#include "daemon/control/address_key.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

static struct tsd_address_key key(const char *text)
{
    struct tsd_address_key key;
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(1234)};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(5678)};
    if (inet_pton(AF_INET, text, &ipv4.sin_addr) == 1) {
        tsd_address_key_set(&key, (const struct sockaddr *)&ipv4);
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &ipv6.sin6_addr), 1);
        tsd_address_key_set(&key, (const struct sockaddr *)&ipv6);
    }
    return key;
}

static bool same(const char *a, const char *b)
{
    struct tsd_address_key keys[2] = {key(a), key(b)};
    return tsd_address_key_equal(&keys[0], &keys[1]);
}

static void test_ipv4_is_compared_completely(void **state)
{
    (void)state;
    assert_true(same("192.0.2.1", "192.0.2.1"));
    assert_false(same("192.0.2.1", "192.0.2.2"));
    assert_true(same("192.0.2.1", "::ffff:192.0.2.1"));
    assert_false(same("::ffff:192.0.2.1", "::ffff:192.0.2.2"));
}

static void test_ipv6_is_compared_by_prefix(void **state)
{
    (void)state;
    assert_true(same("2001:db8::1", "2001:db8::ffff:2"));
    assert_false(same("2001:db8::1", "2001:db8:0:1::1"));
    assert_false(same("2001:db8::1", "192.0.2.1"));
}

static void test_other_families_share_one_key(void **state)
{
    (void)state;
    static const struct tsd_address_key zeros;
    struct sockaddr_un unix_address = {.sun_family = AF_UNIX, .sun_path = "/run/x.sock"};
    struct tsd_address_key key;
    memset(&key, 0xff, sizeof(key));
    tsd_address_key_set(&key, (const struct sockaddr *)&unix_address);
    assert_true(tsd_address_key_equal(&key, &zeros));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ipv4_is_compared_completely),
        cmocka_unit_test(test_ipv6_is_compared_by_prefix),
        cmocka_unit_test(test_other_families_share_one_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
