/*
 * The database as a file: its name, its lock, its header, its creation. For lib/store only.
 */
#ifndef TS_STORE_FILE_H
#define TS_STORE_FILE_H

#include "lib/store/store.h"

/* The name of the file with links resolved; it need not exist yet. free() it. */
int ts_file_resolve(const char *path, char **ret_path, struct ts_store_error *ret_error) TS_MUST_USE;
/* Is there a lock file? It may be one that no process holds. */
bool ts_file_has_lock(const char *path);
/* Takes the lock that keeps a second daemon out. Closing the descriptor releases it. TS_EREFUSED: another has it. */
int ts_file_lock(const char *path, int *ret_fd, struct ts_store_error *ret_error) TS_MUST_USE;
/*
 * Checks the header before SQLite opens the file. TS_EREFUSED: it belongs to another program, or header or length show
 * damage, or the file is missing and its log has content. ret_missing: the file is missing or empty; ret_hot: there is
 * a write-ahead log with content.
 */
int ts_file_inspect(const char *path, bool *ret_missing, bool *ret_hot, struct ts_store_error *ret_error) TS_MUST_USE;
/* Creates a database with these levels: under its name there is either nothing or all of it. */
int ts_file_create(const char *path, const struct ts_levels *levels, int64_t horizon,
                   struct ts_store_error *ret_error) TS_MUST_USE;

#endif
