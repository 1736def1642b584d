/*
 * What a deletion selects, and what it has deleted. For callers of lib/store/delete.h.
 */
#ifndef TS_STORE_DELETION_H
#define TS_STORE_DELETION_H

#include "lib/base/int.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

#endif
