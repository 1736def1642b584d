#include "daemon/control/body.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct file {
    int fd;
    int64_t remaining;
};

/* A file that ends early is an error: the Content-Length has been sent already. */
static int read_file(void *data, struct ts_buf *out)
{
    struct file *file = data;
    size_t len = file->remaining < TSD_PIECE ? (size_t)file->remaining : TSD_PIECE;
    if (!len)
        return TSD_BODY_END;
    if (ts_buf_reserve(out, len))
        return TS_ENOMEM;
    ssize_t n;
    do {
        n = read(file->fd, out->data + out->len, len);
    } while (n < 0 && errno == EINTR);
    if (n <= 0)
        return TS_ESTORE;
    out->len += (size_t)n;
    file->remaining -= n;
    return TSD_BODY_MORE;
}

static void free_file(void *data)
{
    struct file *file = data;
    close(file->fd);
    free(file);
}

int tsd_body_from_file(int fd, int64_t len, struct tsd_body *ret_body)
{
    assert(fd >= 0 && len >= 0);
    struct file *file = malloc(sizeof(*file));
    if (!file)
        return TS_ENOMEM;
    *file = (struct file){fd, len};
    *ret_body = (struct tsd_body){.next = read_file, .free = free_file, .len = len};
    ret_body->data = file;
    /* cppcheck-suppress memleak -- the body owns it */
    return 0;
}

void tsd_body_deinit(struct tsd_body *body)
{
    if (body->next)
        body->free(body->data);
    *body = (struct tsd_body){0};
}
