#include "lib/store/guard.h"

#include "lib/store/sql.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int ts_guard_init(struct ts_guard *guard, const char *path, struct ts_store_error *ret_error)
{
    static const char *const suffixes[TS_GUARD_FILES] = {"", "-wal", "-shm"};
    *guard = (struct ts_guard){0};
    for (int i = 0; i < TS_GUARD_FILES; i++) {
        struct stat st;
        if (asprintf(&guard->names[i], "%s%s", path, suffixes[i]) < 0) {
            guard->names[i] = NULL;
            ts_guard_deinit(guard);
            ts_sql_format_error(ret_error, "out of memory");
            return TS_ENOMEM;
        }
        if (stat(guard->names[i], &st) < 0) {
            ts_sql_format_error(ret_error, "cannot read %.256s: %s", guard->names[i], strerror(errno));
            ts_guard_deinit(guard);
            return TS_ESTORE;
        }
        guard->files[i].device = st.st_dev;
        guard->files[i].inode = st.st_ino;
    }
    return 0;
}

void ts_guard_deinit(struct ts_guard *guard)
{
    for (int i = 0; i < TS_GUARD_FILES; i++)
        free(guard->names[i]);
    *guard = (struct ts_guard){0};
}

bool ts_guard_check(const struct ts_guard *guard, struct ts_store_error *ret_error)
{
    for (int i = 0; i < TS_GUARD_FILES && guard->names[i]; i++) {
        const char *name = guard->names[i];
        struct stat st;
        if (stat(name, &st) < 0) {
            /* Anything else, such as a full table of open files, says nothing about the file. */
            if (errno != ENOENT && errno != ENOTDIR && errno != ESTALE)
                continue;
            ts_sql_format_error(ret_error, "%.256s was moved or deleted while the daemon was using it%s", name,
                                i == 0 ? "; put it back, or a new database is created" : "");
            return false;
        }
        if (st.st_ino != guard->files[i].inode || st.st_dev != guard->files[i].device) {
            ts_sql_format_error(ret_error, "%.256s was replaced by another file while the daemon was using it", name);
            return false;
        }
    }
    return true;
}
