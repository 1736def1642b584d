#include "lib/store/temporary.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { DIGITS = 16 };

static const char *const sqlite_suffixes[] = {"", "-journal", "-wal", "-shm"};
enum { N_SUFFIXES = sizeof(sqlite_suffixes) / sizeof(*sqlite_suffixes) };

int ts_temporary_create(const char *path, const char *kind, mode_t mode, char **ret_name)
{
    uint64_t random;
    char *name;
    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return TS_ESTORE;
    if (asprintf(&name, "%s-%s-%016" PRIx64, path, kind, random) < 0)
        return TS_ENOMEM;
    int fd = open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
    if (fd < 0) {
        int number = errno;
        free(name);
        errno = number;
        return TS_ESTORE;
    }
    close(fd);
    *ret_name = name;
    return 0;
}

void ts_temporary_remove(const char *name)
{
    for (int i = 0; i < N_SUFFIXES; i++) {
        char *full;
        if (asprintf(&full, "%s%s", name, sqlite_suffixes[i]) < 0)
            continue;
        unlink(full);
        free(full);
    }
}

/* Is it the name of a temporary file of the database `base`, or of one beside that? */
static bool is_temporary(const char *name, const char *base, size_t base_len)
{
    static const char *const kinds[] = {"-" TS_TEMPORARY_COPY "-", "-" TS_TEMPORARY_NEW "-"};
    if (strncmp(name, base, base_len) != 0)
        return false;
    for (int i = 0; i < 2; i++) {
        const char *digits = name + base_len;
        if (strncmp(digits, kinds[i], strlen(kinds[i])) != 0)
            continue;
        digits += strlen(kinds[i]);
        size_t n = strspn(digits, "0123456789abcdef");
        for (int j = 0; n == DIGITS && j < N_SUFFIXES; j++) {
            if (strcmp(digits + n, sqlite_suffixes[j]) == 0)
                return true;
        }
    }
    return false;
}

void ts_temporary_remove_all(const char *path)
{
    const char *base = strrchr(path, '/') + 1; /* the path is resolved */
    char *folder = strndup(path, (size_t)(base - path));
    DIR *dir = folder ? opendir(folder) : NULL;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (is_temporary(entry->d_name, base, strlen(base)))
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir)
        closedir(dir);
    free(folder);
}
