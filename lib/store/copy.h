/*
 * A copy of the whole database, made a bounded number of pages at a time while the writer goes on committing: what it
 * commits meanwhile goes into the copy too, so the copy is one state of the database, that of its last step.
 *
 * By the writer's own connection: it alone changes the file, so a change never makes the copy begin anew, and no
 * reader pins the log meanwhile. The file is NAME-copy, removed as soon as it is open for reading; one at a time.
 */
#ifndef TS_STORE_COPY_H
#define TS_STORE_COPY_H

#include "lib/store/store.h"

struct ts_copy;

/* TS_ESTORE with ret_error: no room, no permission. On the writer's thread, as are step and free before the end. */
int ts_copy_start(struct ts_store *store, struct ts_copy **ret_copy, struct ts_store_error *ret_error) TS_MUST_USE;
int ts_copy_step(struct ts_copy *copy, int pages, bool *ret_more, struct ts_store_error *ret_error) TS_MUST_USE;

/*
 * After the last step, on any thread: puts the copy onto a coarser grid with the same origin. TS_EINVAL: time_slice
 * (ns) does not fit, and ret_error says why; TS_ESTORE.
 */
int ts_copy_regrid(struct ts_copy *copy, int64_t time_slice, struct ts_store_error *ret_error) TS_MUST_USE;

/* Opens the copy for reading from its first byte to ret_len, and takes its name away. The descriptor is the caller's.
 */
int ts_copy_open(struct ts_copy *copy, int *ret_fd, int64_t *ret_len, struct ts_store_error *ret_error) TS_MUST_USE;
struct ts_copy *ts_copy_free(struct ts_copy *copy); /* NULL is fine */

#endif
