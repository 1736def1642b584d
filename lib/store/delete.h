/*
 * Deletes the rows of selected locations, label sets and times from all levels.
 */
#ifndef TS_STORE_DELETE_H
#define TS_STORE_DELETE_H

#include "lib/store/deletion.h"
#include "lib/store/store.h"

struct ts_deletion;

/* False while the width of a retiring level does not divide that of a new one: nothing can be deleted until the
   retiring level is deleted. */
bool ts_deletion_possible(const struct ts_levels *levels);

/* Copies the selection. */
int ts_deletion_new(const struct ts_deletion_selection *selection, struct ts_deletion **ret_deletion) TS_MUST_USE;
struct ts_deletion *ts_deletion_free(struct ts_deletion *deletion); /* NULL is fine */

/*
 * Works until about `rows` rows are read or written, and deletes those that match, in one transaction. After a failure
 * nothing of the step is deleted, and the deletion can only be freed.
 */
int ts_deletion_step(struct ts_deletion *deletion, struct ts_store *store, uint32_t rows, bool *ret_more,
                     struct ts_store_error *ret_error) TS_MUST_USE;
const struct ts_deletion_counts *ts_deletion_result(const struct ts_deletion *deletion);

#endif
