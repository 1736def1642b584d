/*
 * Finds names that no row refers to.
 */
#ifndef TS_STORE_UNUSED_H
#define TS_STORE_UNUSED_H

#include "lib/store/reader.h"

/* Ascending by number. */
struct ts_unused {
    uint32_t *locations;
    size_t n_locations;
    uint32_t *label_sets;
    size_t n_label_sets;
};

/* Begins and ends its own read: do not call it between ts_reader_begin() and ts_reader_end(). */
int ts_reader_unused(struct ts_reader *reader, struct ts_unused *ret_unused) TS_MUST_USE;
void ts_unused_deinit(struct ts_unused *unused);

#endif
