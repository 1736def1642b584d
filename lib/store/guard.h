/*
 * Notices when the open database is no longer the file under its name: moved, deleted, replaced, its folder unmounted,
 * or its log (-wal, -shm) deleted. SQLite would go on writing to files without a name, which nobody opens again.
 * For lib/store only.
 */
#ifndef TS_STORE_GUARD_H
#define TS_STORE_GUARD_H

#include "lib/store/store.h"

#include <sys/types.h>

enum { TS_GUARD_FILES = 3 }; /* the database, -wal, -shm */

struct ts_guard {
    char *names[TS_GUARD_FILES];
    struct {
        dev_t device;
        ino_t inode;
    } files[TS_GUARD_FILES];
};

/* To be called once SQLite has opened the database and its log. TS_ENOMEM; TS_ESTORE: a file is missing. */
int ts_guard_init(struct ts_guard *guard, const char *path, struct ts_store_error *ret_error) TS_MUST_USE;
void ts_guard_deinit(struct ts_guard *guard); /* twice is safe */

/* False: with ret_error, which names the file and what happened to it. Always true before init. */
bool ts_guard_check(const struct ts_guard *guard, struct ts_store_error *ret_error);

#endif
