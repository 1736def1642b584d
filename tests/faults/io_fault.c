/*
 * A library to preload: the n-th write or sync of the database or its log fails, optionally also those after it.
 *
 * Slots of the file $IO_FAULT: the first write to fail (0: none), the first sync to fail, the number of calls to fail,
 * the errno; then the number of writes, syncs and failures so far. Files are recognised by their names, read from /proc
 * at each call, so that open and close need not be followed.
 *
 * A failing sync still syncs: the data that the kernel would drop is kept, since the daemon must not depend on it.
 */
#undef _FILE_OFFSET_BITS /* otherwise the headers map pwrite to pwrite64 */
#include "tests/faults/fault_slots.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { FAIL_WRITE, FAIL_SYNC, FAIL_COUNT, FAIL_ERRNO, SEEN_WRITES, SEEN_SYNCS, FAILED };

static fault_slot *slots;

static __attribute__((constructor)) void start(void)
{
    slots = fault_slots_map("IO_FAULT");
}

static bool is_database(int fd)
{
    char link[32];
    char path[4096];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof(path) - 1);
    if (len <= 0)
        return false;
    path[len] = '\0';
    const char *name = strrchr(path, '/');
    return name && strstr(name, ".db") && !strstr(name, "-shm") && !strstr(name, "-lock");
}

static bool fails(int fd, int which, int seen)
{
    if (!slots || !is_database(fd))
        return false;
    int64_t now = atomic_fetch_add(&slots[seen], 1) + 1;
    int64_t first = atomic_load(&slots[which]);
    if (!first || now < first || now - first >= atomic_load(&slots[FAIL_COUNT]))
        return false;
    atomic_fetch_add(&slots[FAILED], 1);
    errno = (int)atomic_load(&slots[FAIL_ERRNO]);
    return true;
}

/* Finds the next function of this name once. In POSIX, object and function pointers have the same representation. */
#define NEXT(type, name) \
    static _Atomic(type) next; \
    type call = atomic_load(&next); \
    if (!call) { \
        void *found = dlsym(RTLD_NEXT, name); \
        memcpy(&call, &found, sizeof(call)); \
        atomic_store(&next, call); \
    }

typedef ssize_t (*write_fn)(int, const void *, size_t);
typedef ssize_t (*pwrite_fn)(int, const void *, size_t, off64_t);
typedef int (*sync_fn)(int);

ssize_t write(int fd, const void *data, size_t len)
{
    NEXT(write_fn, "write")
    return fails(fd, FAIL_WRITE, SEEN_WRITES) ? -1 : call(fd, data, len);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    NEXT(pwrite_fn, "pwrite")
    return fails(fd, FAIL_WRITE, SEEN_WRITES) ? -1 : call(fd, data, len, at);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    NEXT(pwrite_fn, "pwrite64")
    return fails(fd, FAIL_WRITE, SEEN_WRITES) ? -1 : call(fd, data, len, at);
}

int fsync(int fd)
{
    NEXT(sync_fn, "fsync")
    int rc = call(fd);
    return fails(fd, FAIL_SYNC, SEEN_SYNCS) ? -1 : rc;
}

int fdatasync(int fd)
{
    NEXT(sync_fn, "fdatasync")
    int rc = call(fd);
    return fails(fd, FAIL_SYNC, SEEN_SYNCS) ? -1 : rc;
}
