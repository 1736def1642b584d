/* The file of 64-bit numbers by which a test controls a library that it preloads into the daemon. */
#ifndef FAULT_SLOTS_H
#define FAULT_SLOTS_H

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FAULT_SLOTS = 16 };

typedef _Atomic int64_t fault_slot;

/* Maps the file that the environment variable names. NULL if there is none. */
static inline fault_slot *fault_slots_map(const char *variable)
{
    const char *path = getenv(variable);
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return NULL;
    void *shared = mmap(NULL, FAULT_SLOTS * sizeof(fault_slot), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return shared == MAP_FAILED ? NULL : shared;
}

#endif
