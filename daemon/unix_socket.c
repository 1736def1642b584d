/*
 * A socket file that nobody listens on is left over from a daemon that was killed, and is replaced; one in use is an
 * error. The socket is bound under a umask that denies all access, and gets its group and mode before it listens.
 */
#include "daemon/unix_socket.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int fail(const struct tsd_unix_socket *config, const char *action, struct tsd_socket_error *error)
{
    int number = errno;
    snprintf(error->message, sizeof(error->message), "%s: cannot %s %.200s: %s", config->key, action, config->path,
             strerror(number));
    return ts_errno_needs_repair(number) ? TS_EINVAL : TS_EUNAVAILABLE;
}

static int fail_other_file(const struct tsd_unix_socket *config, struct tsd_socket_error *error)
{
    snprintf(error->message, sizeof(error->message),
             "%s: %.200s exists and is not a socket; remove it, or choose another path", config->key, config->path);
    return TS_EINVAL;
}

/* Removes a socket file that nobody listens on. */
static int remove_unused(const struct tsd_unix_socket *config, const struct sockaddr_un *address,
                         struct tsd_socket_error *error)
{
    struct stat st;
    if (lstat(config->path, &st))
        return errno == ENOENT ? 0 : fail(config, "access", error);
    if (!S_ISSOCK(st.st_mode))
        return fail_other_file(config, error);
    int fd = socket(AF_UNIX, config->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(config, "open", error);
    int rc = connect(fd, (const struct sockaddr *)address, sizeof(*address));
    int number = errno;
    close(fd);
    /* EAGAIN: its queue is full, so it is in use. EPROTOTYPE: in use with the other type. */
    if (rc == 0 || number != ECONNREFUSED) {
        snprintf(error->message, sizeof(error->message),
                 "%s: another process is listening on %.200s (%s); stop it, or choose another path", config->key,
                 config->path, strerror(rc == 0 || number == EAGAIN ? EADDRINUSE : number));
        return TS_EUNAVAILABLE;
    }
    return unlink(config->path) && errno != ENOENT ? fail(config, "replace", error) : 0;
}

static int bind_without_access(int fd, const struct sockaddr_un *address)
{
    mode_t previous = umask(0777);
    int rc = bind(fd, (const struct sockaddr *)address, sizeof(*address));
    int number = errno;
    umask(previous);
    errno = number;
    return rc;
}

static int set_group(const struct tsd_unix_socket *config, struct tsd_socket_error *error)
{
    if (!config->group)
        return 0;
    const struct group *group = getgrnam(config->group);
    if (!group) {
        snprintf(error->message, sizeof(error->message), "%s: there is no group %.100s", config->key, config->group);
        return TS_EINVAL;
    }
    if (chown(config->path, (uid_t)-1, group->gr_gid))
        return fail(config, "set the group of", error);
    return 0;
}

int tsd_unix_socket_open(const struct tsd_unix_socket *config, int *ret_fd, struct tsd_socket_error *ret_error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(config->path);
    if (len >= sizeof(address.sun_path)) {
        snprintf(ret_error->message, sizeof(ret_error->message),
                 "%s: the path of a socket may have %zu bytes, this one has %zu", config->key,
                 sizeof(address.sun_path) - 1, len);
        return TS_EINVAL;
    }
    memcpy(address.sun_path, config->path, len);
    int rc = remove_unused(config, &address, ret_error);
    if (rc)
        return rc;
    int fd = socket(AF_UNIX, config->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(config, "open", ret_error);
    if (bind_without_access(fd, &address)) {
        rc = fail(config, "bind", ret_error);
        close(fd);
        return rc;
    }
    rc = set_group(config, ret_error);
    if (!rc && chmod(config->path, config->mode))
        rc = fail(config, "set the mode of", ret_error);
    if (!rc && config->type == SOCK_STREAM && listen(fd, TSD_BACKLOG))
        rc = fail(config, "listen on", ret_error);
    if (rc) {
        unlink(config->path);
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

int tsd_unix_socket_check(const struct tsd_unix_socket *config, struct tsd_socket_error *ret_error)
{
    struct stat st;
    if (!lstat(config->path, &st))
        return S_ISSOCK(st.st_mode) ? 0 : fail_other_file(config, ret_error);
    if (errno == EACCES)
        return 0;
    if (errno != ENOENT)
        return fail(config, "access", ret_error);
    const char *slash = strrchr(config->path, '/');
    char *folder = slash ? strndup(config->path, (size_t)(slash - config->path) + 1) : strdup(".");
    if (!folder)
        return TS_ENOMEM;
    int rc = stat(folder, &st) && errno != EACCES ? fail(config, "bind", ret_error) : 0;
    free(folder);
    return rc;
}
