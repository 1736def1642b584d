/* The database as a file: its name, its lock, its first look, its creation. For lib/store/open.c only. */
#ifndef TS_STORE_FILE_H
#define TS_STORE_FILE_H

#include "lib/store/store.h"

#define TS_FILE_COPY "-copy" /* what lib/store/copy.h makes beside the database has this after its name */

/* The one name of the file, links resolved, also of a file that is not there yet. free() it. */
int ts_file_resolve(const char *path, char **ret_path, struct ts_store_error *ret_error) TS_MUST_USE;
/* Takes the lock that a second daemon is refused by; closing the descriptor gives it back. */
int ts_file_lock(const char *path, int *ret_fd, struct ts_store_error *ret_error) TS_MUST_USE;
/* True where the file is missing or empty; TS_EREFUSED where header or length say that it is not ours or not
   whole. ret_hot: a write-ahead log with content lies beside it. */
int ts_file_inspect(const char *path, bool *ret_missing, bool *ret_hot, struct ts_store_error *ret_error) TS_MUST_USE;
/* Makes a new database with these levels appear under the name, at once and whole. */
int ts_file_create(const char *path, const struct ts_levels *levels, int64_t horizon,
                   struct ts_store_error *ret_error) TS_MUST_USE;
/* A copy that a process which was killed has left. Its user has the lock. */
void ts_file_remove_copy(const char *path);

#endif
