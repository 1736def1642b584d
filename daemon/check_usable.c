/*
 * Reports what would make a start exit with 78, as far as it can be found without starting: an address that no
 * interface has, a missing folder, a file in the place of a socket, a file that is not a database of timesliced.
 * Nothing is created, and the port of an address is not bound, so the check may run beside a daemon.
 *
 * Not checked: permissions, because the daemon usually runs as another user than the one who checks; the contents of
 * the database behind its header; whether /run/timesliced and /var/lib/timesliced exist, because systemd creates them
 * when it starts the service.
 */
#include "daemon/check_usable.h"

#include "daemon/inet_socket.h"
#include "daemon/unix_socket.h"
#include "lib/store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_in_folder(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    return !strncmp(path, folder, len) && path[len] == '/' && !strchr(path + len + 1, '/');
}

/* The folder is missing, but systemd creates it. */
static bool is_created_by_systemd(const char *path)
{
    static const char *const folders[] = {"/run/timesliced", "/var/lib/timesliced"};
    for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
        if (is_in_folder(path, folders[i]) && access(folders[i], F_OK) && errno == ENOENT)
            return true;
    }
    return false;
}

/* message: "KEY: TEXT". */
static int reject(const struct tsd_config_key *key, const char *message, struct tsd_config_reason *reason)
{
    size_t len = strlen(key->name);
    bool has_key = !strncmp(message, key->name, len) && !strncmp(message + len, ": ", 2);
    return tsd_config_reject(reason, "%s", has_key ? message + len + 2 : message);
}

static int check_address(const struct tsd_config_key *key, const char *text, struct tsd_config_reason *reason)
{
    struct tsd_inet_socket config = {.key = key->name, .text = text, .type = SOCK_STREAM};
    struct tsd_socket_error error;
    if (!strcmp(key->name, "ingest.udp"))
        config.type = SOCK_DGRAM;
    return tsd_inet_socket_check(&config, &error) ? reject(key, error.message, reason) : 0;
}

static int check_socket(const struct tsd_config_key *key, const char *path, struct tsd_config_reason *reason)
{
    struct tsd_unix_socket config = {.key = key->name, .path = path};
    struct tsd_socket_error error;
    int rc = tsd_unix_socket_check(&config, &error);
    return rc == TS_EINVAL ? reject(key, error.message, reason) : rc;
}

static int check_database(const struct tsd_config_key *key, const char *path, struct tsd_config_reason *reason)
{
    struct ts_store_error error;
    if (access(path, R_OK) && errno == EACCES)
        return 0;
    int rc = ts_store_inspect(path, &error);
    return rc == TS_EREFUSED ? reject(key, error.message, reason) : rc == TS_ENOMEM ? rc : 0;
}

int tsd_check_usable(const struct tsd_config_key *key, const struct tsd_config *config,
                     struct tsd_config_reason *ret_reason)
{
    if (key->type != TSD_ADDRESS && key->type != TSD_SOCKET_PATH && key->type != TSD_FILE_PATH)
        return 0;
    const char *text = *(char *const *)(const void *)((const char *)config + key->offset);
    if (!text || !strcmp(text, key->default_text) || is_created_by_systemd(text))
        return 0;
    if (key->type == TSD_ADDRESS)
        return check_address(key, text, ret_reason);
    return key->type == TSD_SOCKET_PATH ? check_socket(key, text, ret_reason) : check_database(key, text, ret_reason);
}
