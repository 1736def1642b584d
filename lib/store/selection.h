/*
 * The rows that a deletion selects by location and label set, and what it found of them. For lib/store/delete.c and
 * recheck.c.
 */
#ifndef TS_STORE_SELECTION_H
#define TS_STORE_SELECTION_H

#include "lib/store/deletion.h"
#include "lib/store/rows.h"

/* Numbers, ascending. */
struct ts_selected_ids {
    uint32_t *items;
    size_t n;
    bool *found; /* a row of it was counted: of each label set; of locations, of each function */
};

struct ts_selection {
    struct ts_selected_ids locations;
    struct ts_selected_ids label_sets;
    uint32_t *functions; /* of each location */
};

/* Copies the numbers. TS_ENOMEM. */
int ts_selection_init(struct ts_selection *selection, const struct ts_deletion_selection *from) TS_MUST_USE;
void ts_selection_deinit(struct ts_selection *selection); /* twice is safe */

/* Names that were added after the selection was made are not selected. */
bool ts_selection_matches(const struct ts_selection *selection, enum ts_table table, const struct ts_row *row);
/* Adds a row that matches to the counts, except their buckets. */
void ts_selection_count(struct ts_selection *selection, enum ts_table table, const struct ts_row *row,
                        struct ts_deletion_counts *counts);

#endif
