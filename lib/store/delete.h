/*
 * Deletes the rows of selected locations, label sets and times from all levels.
 */
#ifndef TS_STORE_DELETE_H
#define TS_STORE_DELETE_H

#include "lib/base/int.h"
#include "lib/store/store.h"

struct ts_deletion;

/* The rows to delete: those within the range that match both lists. */
struct ts_deletion_selection {
    int64_t from; /* positions, half-open; both ends are ends of buckets that are kept */
    int64_t to;
    const uint32_t *locations; /* numbers, ascending */
    const uint32_t *functions; /* the function of each location: 0 .. n_functions - 1 */
    size_t n_locations;
    size_t n_functions;
    const uint32_t *label_sets; /* numbers, ascending */
    size_t n_label_sets;
    bool profiles; /* delete the matching label sets' profile rows too */
    bool dry_run;  /* count only */
};

/* The rows deleted so far. Buckets and their rows are those of the finest level kept at their time. */
struct ts_deletion_counts {
    uint64_t functions;
    uint64_t label_sets;
    uint64_t buckets;
    uint64_t rows;
    ts_i128 profiles;
    ts_i128 cumtime; /* ns */
    ts_i128 tottime; /* ns */
    ts_i128 ncalls;
    ts_i128 pcalls;
};

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
