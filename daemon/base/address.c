#include "daemon/base/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse_port(const char *text, in_port_t *ret_port)
{
    size_t len = strspn(text, "0123456789");
    if (!len || len > 5 || text[len])
        return TS_EINVAL;
    long port = strtol(text, NULL, 10);
    if (port > 65535)
        return TS_EINVAL;
    *ret_port = htons((uint16_t)port);
    return 0;
}

static void set_ipv4(struct sockaddr_storage *address, struct in_addr host, in_port_t port)
{
    struct sockaddr_in *in = (struct sockaddr_in *)address;
    memset(address, 0, sizeof(*address));
    in->sin_family = AF_INET;
    in->sin_addr = host;
    in->sin_port = port;
}

static void set_ipv6(struct sockaddr_storage *address, struct in6_addr host, uint32_t scope, in_port_t port)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;
    memset(address, 0, sizeof(*address));
    in6->sin6_family = AF_INET6;
    in6->sin6_addr = host;
    in6->sin6_scope_id = scope;
    in6->sin6_port = port;
}

static struct in_addr mapped_ipv4(const struct in6_addr *host)
{
    struct in_addr ipv4;
    memcpy(&ipv4, &host->s6_addr[12], sizeof(ipv4));
    return ipv4;
}

/* host: without brackets; changed. */
static int parse_ipv6(char *host, in_port_t port, struct sockaddr_storage *address)
{
    struct in6_addr ipv6;
    uint32_t scope = 0;
    char *percent = strchr(host, '%');
    if (percent) {
        *percent = '\0';
        scope = if_nametoindex(percent + 1);
        if (!scope)
            return TS_EINVAL;
    }
    if (inet_pton(AF_INET6, host, &ipv6) != 1)
        return TS_EINVAL;
    if (IN6_IS_ADDR_V4MAPPED(&ipv6) && !scope)
        set_ipv4(address, mapped_ipv4(&ipv6), port);
    else
        set_ipv6(address, ipv6, scope, port);
    return 0;
}

int tsd_address_parse(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_len)
{
    char host[64];
    in_port_t port = 0;
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof(host) || parse_port(colon + 1, &port))
        return TS_EINVAL;
    size_t len = (size_t)(colon - text);
    memcpy(host, text, len);
    host[len] = '\0';

    struct sockaddr_storage address;
    struct in_addr ipv4;
    if (!len || strcmp(host, "*") == 0) {
        set_ipv6(&address, in6addr_any, 0, port);
    } else if (host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        if (parse_ipv6(host + 1, port, &address))
            return TS_EINVAL;
    } else {
        if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &ipv4) != 1)
            return TS_EINVAL;
        set_ipv4(&address, ipv4, port);
    }
    *ret_address = address;
    *ret_len = address.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    return 0;
}

const char *tsd_address_text(const struct sockaddr *address, char *text)
{
    char host[INET6_ADDRSTRLEN] = "";
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(text, TSD_ADDRESS_MAX, "%s:%u", host, ntohs(in->sin_port));
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
        struct in_addr ipv4 = mapped_ipv4(&in6->sin6_addr);
        inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? (const void *)&ipv4 : &in6->sin6_addr, host, sizeof(host));
        snprintf(text, TSD_ADDRESS_MAX, mapped ? "%s:%u" : "[%s]:%u", host, ntohs(in6->sin6_port));
    } else {
        snprintf(text, TSD_ADDRESS_MAX, "?");
    }
    return text;
}

bool tsd_address_is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        return (ntohl(in->sin_addr.s_addr) >> 24) == 127;
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
        return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr) ||
               (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) && in6->sin6_addr.s6_addr[12] == 127);
    }
    return true;
}

bool tsd_address_is_both_families(const struct sockaddr *address)
{
    return address->sa_family == AF_INET6 &&
           IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static bool has_host_and_port(const struct sockaddr *address, const void **ret_host, size_t *ret_len,
                              in_port_t *ret_port)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
    bool ipv4 = address->sa_family == AF_INET;
    *ret_host = ipv4 ? (const void *)&in->sin_addr : &in6->sin6_addr;
    *ret_len = ipv4 ? sizeof(in->sin_addr) : sizeof(in6->sin6_addr);
    *ret_port = ipv4 ? in->sin_port : in6->sin6_port;
    return ipv4 || address->sa_family == AF_INET6;
}

bool tsd_address_overlap(const struct sockaddr *a, const struct sockaddr *b)
{
    const void *host_a, *host_b;
    size_t len_a, len_b;
    in_port_t port_a, port_b;
    if (!has_host_and_port(a, &host_a, &len_a, &port_a) || !has_host_and_port(b, &host_b, &len_b, &port_b) ||
        port_a != port_b || !port_a)
        return false;
    if (tsd_address_is_both_families(a) || tsd_address_is_both_families(b))
        return true;
    static const struct in_addr all = {INADDR_ANY};
    return len_a == len_b && (!memcmp(host_a, host_b, len_a) ||
                              (len_a == sizeof(all) && (!memcmp(host_a, &all, len_a) || !memcmp(host_b, &all, len_b))));
}
