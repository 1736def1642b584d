/*
 * Counters: (bucket, label set, location) -> sums, and (bucket, label set) -> profile sums.
 *
 * Rows are stored in arrays in order of arrival; an open-addressing index of 32-bit numbers points into each array.
 * Readers iterate over the arrays. Sums saturate (ts_sat_add), and saturated additions are counted. Used by one thread
 * at a time.
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
    uint64_t saturated; /* additions that saturated */
};

void ts_counters_init(struct ts_counters *counters);
void ts_counters_deinit(struct ts_counters *counters); /* twice is safe */
void ts_counters_clear(struct ts_counters *counters);  /* empties, keeps the memory, resets saturated */

/* Makes room, so that the next `entries` calls of add and one of add_profile cannot fail. So a message is added
 * completely or not at all. */
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
/* Bytes of the rows with their share of the index. Memory that is kept for reuse is not included. */
size_t ts_counters_used(const struct ts_counters *counters);

/* Adds one set of sums to another. Returns how many of the additions saturated. */
unsigned ts_sums_add(struct ts_sums *to, const struct ts_sums *from);
unsigned ts_profile_sums_add(struct ts_profile_sums *to, const struct ts_profile_sums *from);

#endif
