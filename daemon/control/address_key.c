#include "daemon/control/address_key.h"

#include <netinet/in.h>
#include <string.h>

enum { PREFIX_LEN = 8 /* bytes of an IPv6 address */, MAPPED_AT = 12 /* an IPv4 address in an IPv6 address */ };

void tsd_address_key_set(struct tsd_address_key *ret_key, const struct sockaddr *address)
{
    memset(ret_key, 0, sizeof(*ret_key));
    if (address->sa_family == AF_INET) {
        struct sockaddr_in ipv4;
        memcpy(&ipv4, address, sizeof(ipv4));
        memcpy(&ret_key->bytes[MAPPED_AT], &ipv4.sin_addr, sizeof(ipv4.sin_addr));
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 ipv6;
        memcpy(&ipv6, address, sizeof(ipv6));
        if (IN6_IS_ADDR_V4MAPPED(&ipv6.sin6_addr))
            memcpy(&ret_key->bytes[MAPPED_AT], &ipv6.sin6_addr.s6_addr[MAPPED_AT], sizeof(struct in_addr));
        else
            memcpy(ret_key->bytes, &ipv6.sin6_addr, PREFIX_LEN);
    }
}

bool tsd_address_key_equal(const struct tsd_address_key *a, const struct tsd_address_key *b)
{
    return !memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}
