/*
 * Temporary files beside the database: NAME-copy-3f9a0c5518e2d7b4. The random part tells them from files that a person
 * has put there, so the ones that a killed process left can be deleted at the next start. For lib/store only.
 */
#ifndef TS_STORE_TEMPORARY_H
#define TS_STORE_TEMPORARY_H

#include "lib/base/error.h"

#include <sys/types.h>

/* Creates an empty file; free() its name. kind: TS_TEMPORARY_COPY or TS_TEMPORARY_NEW. TS_ENOMEM; TS_ESTORE with errno.
 */
#define TS_TEMPORARY_COPY "copy"
#define TS_TEMPORARY_NEW "new"
int ts_temporary_create(const char *path, const char *kind, mode_t mode, char **ret_name) TS_MUST_USE;

/* Deletes the file and SQLite's files beside it. */
void ts_temporary_remove(const char *name);
/* Deletes all that are left of the database at `path`. The caller has its lock. */
void ts_temporary_remove_all(const char *path);

#endif
