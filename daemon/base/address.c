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

    struct sockaddr_storage address = {0};
    if (host[0] == '[' && host[len - 1] == ']') {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;
        host[len - 1] = '\0';
        char *scope = strchr(host, '%');
        if (scope) {
            *scope++ = '\0';
            in6->sin6_scope_id = if_nametoindex(scope);
            if (!in6->sin6_scope_id)
                return TS_EINVAL;
        }
        if (inet_pton(AF_INET6, host + 1, &in6->sin6_addr) != 1)
            return TS_EINVAL;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = port;
        *ret_len = sizeof(*in6);
    } else {
        struct sockaddr_in *in = (struct sockaddr_in *)&address;
        if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &in->sin_addr) != 1)
            return TS_EINVAL;
        in->sin_family = AF_INET;
        in->sin_port = port;
        *ret_len = sizeof(*in);
    }
    *ret_address = address;
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
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(text, TSD_ADDRESS_MAX, "[%s]:%u", host, ntohs(in6->sin6_port));
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
        return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
    }
    return true;
}
