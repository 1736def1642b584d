/*
 * Additive accumulators: (bucket, label set, location) -> sums, and (bucket, label set) -> profile sums.
 *
 * Rows lie densely in arrays in order of first arrival; open-addressing index tables of 32-bit numbers point into
 * them. Draining is a walk over the arrays. All sums saturate (ts_sat_add) and count it. One thread at a time.
 */
#ifndef TS_AGGREGATE_COUNTERS_H
#define TS_AGGREGATE_COUNTERS_H

#include "lib/base/error.h"

#include <stddef.h>
#include <stdint.h>

struct ts_sums {
    int64_t cumtime; /* ns */
    int64_t tottime; /* ns */
    int64_t ncalls;
    int64_t pcalls;
};

struct ts_profile_sums {
    int64_t profiles;
    int64_t exact_profiles;
    int64_t total_tt; /* ns */
    int64_t parts_expected;
    int64_t parts_received;
};

struct ts_sum_row {
    int64_t bucket;
    uint32_t labels;
    uint32_t location;
    struct ts_sums sums;
};

struct ts_profile_row {
    int64_t bucket;
    uint32_t labels;
    struct ts_profile_sums sums;
};

struct ts_counters {
    struct ts_sum_row *rows;
    uint32_t n_rows;
    size_t cap_rows;
    uint32_t *slots; /* row + 1, 0 = free */
    uint32_t n_slots;
    struct ts_profile_row *profiles;
    uint32_t n_profiles;
    size_t cap_profiles;
    uint32_t *profile_slots;
    uint32_t n_profile_slots;
    uint64_t seed;      /* of the hashes */
    uint64_t saturated; /* additions that did not fit */
};

void ts_counters_init(struct ts_counters *counters);
void ts_counters_deinit(struct ts_counters *counters); /* twice is safe */
void ts_counters_clear(struct ts_counters *counters);  /* empties, keeps the memory, resets saturated */

/* Makes room so that the next `entries` calls of add and one of add_profile cannot fail: a message is taken whole or
 * not. */
int ts_counters_reserve(struct ts_counters *counters, size_t entries) TS_MUST_USE;
void ts_counters_add(struct ts_counters *counters, int64_t bucket, uint32_t labels, uint32_t location,
                     const struct ts_sums *sums);
/* NULL: there is none. */
struct ts_sums *ts_counters_find(struct ts_counters *counters, int64_t bucket, uint32_t labels, uint32_t location);
void ts_counters_add_profile(struct ts_counters *counters, int64_t bucket, uint32_t labels,
                             const struct ts_profile_sums *sums);

/* Adds all of `from`, its numbers translated by the two maps (indexed by the number in `from`). All or nothing. */
int ts_counters_merge(struct ts_counters *counters, const struct ts_counters *from, const uint32_t *location_map,
                      const uint32_t *labels_map) TS_MUST_USE;

/* Bytes of one row of sums, with its share of the index. */
#define TS_SUM_ROW_BYTES (sizeof(struct ts_sum_row) + 2 * sizeof(uint32_t))
/* Bytes of what is in the counters now, with its share of the index. Memory kept for reuse does not count. */
size_t ts_counters_used(const struct ts_counters *counters);

/* Adds one set of sums into another; gives how many of them saturated. */
unsigned ts_sums_add(struct ts_sums *to, const struct ts_sums *from);
unsigned ts_profile_sums_add(struct ts_profile_sums *to, const struct ts_profile_sums *from);

#endif
