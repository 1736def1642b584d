#include "daemon/control/host.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#define SEPARATORS " \t,"

/* "" or ":" and digits. */
static bool is_port(const char *text, size_t len)
{
    return !len || (text[0] == ':' && strspn(text + 1, "0123456789") >= len - 1);
}

static bool is_address(const char *text, size_t len, int family)
{
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (len >= sizeof(copy))
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return inet_pton(family, copy, &address) == 1;
}

static bool equals(const char *name, size_t len, const char *text, size_t text_len)
{
    return len == text_len && !strncasecmp(name, text, len);
}

static bool is_listed(const char *name, size_t len, const char *allowed)
{
    for (const char *p = allowed + strspn(allowed, SEPARATORS); *p;) {
        size_t n = strcspn(p, SEPARATORS);
        if (equals(name, len, p, n))
            return true;
        p += n;
        p += strspn(p, SEPARATORS);
    }
    return false;
}

bool tsd_host_allowed(const char *host, const char *allowed)
{
    if (!host)
        return false;
    host += strspn(host, " \t");
    size_t len = strlen(host);
    while (len && strchr(" \t", host[len - 1]))
        len--;
    if (len && host[0] == '[') {
        const char *end = memchr(host, ']', len);
        if (!end || !is_port(end + 1, len - (size_t)(end + 1 - host)))
            return false;
        return is_address(host + 1, (size_t)(end - host - 1), AF_INET6);
    }
    const char *colon = memchr(host, ':', len);
    size_t name_len = colon ? (size_t)(colon - host) : len;
    if (!name_len || !is_port(host + name_len, len - name_len))
        return false;
    return is_address(host, name_len, AF_INET) || equals(host, name_len, "localhost", strlen("localhost")) ||
           is_listed(host, name_len, allowed);
}
