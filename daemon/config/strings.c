#include "daemon/config/strings.h"

#include "daemon/base/address.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum {
    SOCKET_PATH_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1, /* 107, without the NUL */
    FILE_PATH_MAX = 4000,                                              /* PATH_MAX less the longest suffix, -wal */
    HOST_MAX = 253,                                                    /* of a name in DNS */
    HOSTS_MAX = 4096
};

int tsd_config_set_string(char **field, const char *text)
{
    char *copy = NULL;
    if (text) {
        size_t size = strlen(text) + 1;
        copy = malloc(size);
        if (!copy)
            return TS_ENOMEM;
        memcpy(copy, text, size);
    }
    free(*field);
    *field = copy;
    return 0;
}

void tsd_config_write_or_off(const void *field, struct ts_buf *out)
{
    const char *text = *(char *const *)field;
    ts_buf_puts(out, text ? text : "off");
}

void tsd_config_write_or_empty(const void *field, struct ts_buf *out)
{
    const char *text = *(char *const *)field;
    ts_buf_puts(out, text ? text : "");
}

/* ---- Addresses ---- */

/* Names the first part of the address that is malformed. */
static int reject_address(struct tsd_config_reason *reason, const char *text)
{
    const char *colon = strrchr(text, ':');
    const char *host_end = *text == '[' ? strchr(text, ']') : colon;
    size_t port_len = colon ? strspn(colon + 1, "0123456789") : 0;
    if (!host_end || !colon || colon < host_end)
        return tsd_config_reject(
            reason, "\"%.*s\" is not an address: expected HOST:PORT or [IPV6]:PORT, such as 127.0.0.1:8137, or off",
            TSD_CONFIG_SHOWN, text);
    if (*text != '[' && memchr(text, ':', (size_t)(colon - text)))
        return tsd_config_reject(reason, "\"%.*s\": write an IPv6 address in brackets, such as [::1]:8137",
                                 TSD_CONFIG_SHOWN, text);
    if (!port_len || port_len > 5 || colon[1 + port_len] || strtol(colon + 1, NULL, 10) > 65535)
        return tsd_config_reject(reason, "\"%.*s\": the port is not a number from 0 to 65535", TSD_CONFIG_SHOWN, text);
    if (*text == '[' && memchr(text, '%', (size_t)(host_end - text)))
        return tsd_config_reject(reason, "\"%.*s\": the host is not an address on an interface of this system",
                                 TSD_CONFIG_SHOWN, text);
    return tsd_config_reject(
        reason,
        "\"%.*s\": the host is not an address (names other than localhost are not looked up; all interfaces are *, "
        "those of IPv4 are 0.0.0.0)",
        TSD_CONFIG_SHOWN, text);
}

int tsd_config_parse_address(const struct tsd_config_context *context, const char *text, void *field)
{
    static const char localhost[] = "localhost:";
    struct sockaddr_storage address;
    socklen_t len;
    char literal[32];
    if (!strcmp(text, "off"))
        return tsd_config_set_string(field, NULL);
    if (tsd_address_parse(text, &address, &len))
        return reject_address(context->reason, text);
    if (!strncmp(text, localhost, strlen(localhost))) {
        snprintf(literal, sizeof(literal), "127.0.0.1:%s", text + strlen(localhost));
        text = literal;
    }
    return tsd_config_set_string(field, text);
}

/* ---- Paths ---- */

int tsd_config_parse_path(const struct tsd_config_context *context, const char *text, void *field)
{
    bool is_socket = context->key->type == TSD_SOCKET_PATH;
    size_t max = is_socket ? SOCKET_PATH_MAX : FILE_PATH_MAX;
    size_t len = strlen(text);
    if (is_socket && !strcmp(text, "off"))
        return tsd_config_set_string(field, NULL);
    if (!len)
        return tsd_config_reject(context->reason, "the value is empty: expected a path%s", is_socket ? ", or off" : "");
    if (!is_socket && !strcmp(text, "off"))
        return tsd_config_reject(context->reason, "off is not allowed here: expected a path");
    if (len > max)
        return tsd_config_reject(context->reason, "the path \"%.*s...\" has %zu bytes, the limit is %zu",
                                 TSD_CONFIG_SHOWN, text, len, max);
    if (text[len - 1] == '/')
        return tsd_config_reject(context->reason, "\"%.*s\" is a folder: expected the path of a %s", TSD_CONFIG_SHOWN,
                                 text, is_socket ? "socket" : "file");
    return tsd_config_set_string(field, text);
}

/* ---- Names ---- */

int tsd_config_parse_group(const struct tsd_config_context *context, const char *text, void *field)
{
    if (!*text)
        return tsd_config_set_string(field, NULL);
    errno = 0;
    if (!getgrnam(text)) {
        /* getgrnam(3) lists these for "not found"; any other is a failed lookup. */
        bool unknown = !errno || errno == ENOENT || errno == ESRCH || errno == EBADF || errno == EPERM;
        return tsd_config_reject(context->reason, "\"%.*s\": %s; expected the name of a group, or an empty value",
                                 TSD_CONFIG_SHOWN, text, unknown ? "no such group" : strerror(errno));
    }
    return tsd_config_set_string(field, text);
}

int tsd_config_parse_hosts(const struct tsd_config_context *context, const char *text, void *field)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    for (const char *p = text + strspn(text, TSD_CONFIG_SEPARATORS); *p; p += strspn(p, TSD_CONFIG_SEPARATORS)) {
        size_t len = strcspn(p, TSD_CONFIG_SEPARATORS);
        if (strspn(p, allowed) < len || len > HOST_MAX)
            return tsd_config_reject(
                context->reason,
                "\"%.*s\" is not a host name: expected names without ports, separated by spaces or commas "
                "(address literals and localhost are always allowed)",
                len < TSD_CONFIG_SHOWN ? (int)len : TSD_CONFIG_SHOWN, p);
        p += len;
    }
    if (strlen(text) > HOSTS_MAX)
        return tsd_config_reject(context->reason, "the list has %zu bytes, the limit is %d", strlen(text), HOSTS_MAX);
    return tsd_config_set_string(field, text);
}
