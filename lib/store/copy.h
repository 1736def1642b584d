/*
 * A copy of the complete database, made a bounded number of pages at a time between commits.
 *
 * The writing connection makes it. SQLite applies what that connection commits to the copy too, so the copy is the
 * state of the database at its last step, never has to be restarted, and no reader pins the write-ahead log meanwhile.
 * The copy is a temporary file beside the database, removed as soon as it is open for reading. There is one at a time.
 */
#ifndef TS_STORE_COPY_H
#define TS_STORE_COPY_H

#include "lib/store/store.h"

struct ts_copy;

/*
 * On the writer's thread: is there space for `times` the size of the database, beside it? A regridded copy has its old
 * and its new rows for a while and needs twice the size. TS_ESTORE with ret_error.
 */
int ts_copy_check_space(struct ts_store *store, int times, struct ts_store_error *ret_error) TS_MUST_USE;

/* On the writer's thread: start, step, and free before the last step. TS_ESTORE with ret_error: full disk, no
   permission. */
int ts_copy_start(struct ts_store *store, struct ts_copy **ret_copy, struct ts_store_error *ret_error) TS_MUST_USE;
int ts_copy_step(struct ts_copy *copy, int pages, bool *ret_more, struct ts_store_error *ret_error) TS_MUST_USE;

/*
 * After the last step, on any thread: moves the copy to a coarser grid with the same origin. TS_EINVAL: time_slice (ns)
 * does not fit, for the reason in ret_error; TS_ESTORE.
 */
int ts_copy_regrid(struct ts_copy *copy, int64_t time_slice, struct ts_store_error *ret_error) TS_MUST_USE;

/* After the last step: opens the copy for reading, ret_len bytes, and removes its name. The caller closes ret_fd. */
int ts_copy_open(struct ts_copy *copy, int *ret_fd, int64_t *ret_len, struct ts_store_error *ret_error) TS_MUST_USE;
struct ts_copy *ts_copy_free(struct ts_copy *copy); /* NULL is fine */

#endif
