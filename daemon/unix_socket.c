#include "daemon/unix_socket.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 512 };

static int fail(const struct tsd_unix_socket *how, const char *what, char *message, size_t size)
{
    int number = errno;
    snprintf(message, size, "%s: cannot %s %.200s: %s", how->key, what, how->path, strerror(number));
    return TS_EINVAL;
}

/* Removes a socket file that nobody listens on. */
static int make_way(const struct tsd_unix_socket *how, const struct sockaddr_un *address, char *message, size_t size)
{
    struct stat st;
    if (lstat(how->path, &st))
        return errno == ENOENT ? 0 : fail(how, "look at", message, size);
    if (!S_ISSOCK(st.st_mode)) {
        snprintf(message, size, "%s: %.200s is there and is not a socket; remove it, or choose another path", how->key,
                 how->path);
        return TS_EINVAL;
    }
    int fd = socket(AF_UNIX, how->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(how, "open", message, size);
    int rc = connect(fd, (const struct sockaddr *)address, sizeof(*address));
    int number = errno;
    close(fd);
    /* EAGAIN: its queue is full, so somebody is there. EPROTOTYPE: of the other type, but alive. */
    if (rc == 0 || number != ECONNREFUSED) {
        errno = rc == 0 || number == EAGAIN ? EADDRINUSE : number;
        snprintf(message, size, "%s: a process listens on %.200s already (%s); stop it, or choose another path",
                 how->key, how->path, strerror(errno));
        return TS_EINVAL;
    }
    return unlink(how->path) && errno != ENOENT ? fail(how, "replace", message, size) : 0;
}

static int give_group(const struct tsd_unix_socket *how, char *message, size_t size)
{
    if (!how->group)
        return 0;
    errno = 0;
    struct group *group = getgrnam(how->group);
    if (!group) {
        snprintf(message, size, "%s: there is no group %.100s", how->key, how->group);
        return TS_EINVAL;
    }
    if (chown(how->path, (uid_t)-1, group->gr_gid))
        return fail(how, "give its group to", message, size);
    return 0;
}

int tsd_unix_socket_open(const struct tsd_unix_socket *how, int *ret_fd, char *ret_message, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(how->path);
    if (len >= sizeof(address.sun_path)) {
        snprintf(ret_message, size, "%s: a socket's path has at most %zu bytes, this one has %zu", how->key,
                 sizeof(address.sun_path) - 1, len);
        return TS_EINVAL;
    }
    memcpy(address.sun_path, how->path, len);
    int rc = make_way(how, &address, ret_message, size);
    if (rc)
        return rc;
    int fd = socket(AF_UNIX, how->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(how, "open", ret_message, size);
    mode_t before = umask(0777);
    int bound = bind(fd, (const struct sockaddr *)&address, sizeof(address));
    int number = errno;
    umask(before);
    errno = number;
    if (bound) {
        rc = fail(how, "bind", ret_message, size);
        close(fd);
        return rc;
    }
    rc = give_group(how, ret_message, size);
    if (!rc && chmod(how->path, how->mode))
        rc = fail(how, "give its mode to", ret_message, size);
    if (!rc && how->type == SOCK_STREAM && listen(fd, BACKLOG))
        rc = fail(how, "listen on", ret_message, size);
    if (rc) {
        unlink(how->path);
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}
