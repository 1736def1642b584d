#include "lib/aggregate/counters.h"

#include "lib/aggregate/grid.h"
#include "lib/base/array.h"
#include "lib/base/hash.h"

#include <stdlib.h>
#include <string.h>

void ts_counters_init(struct ts_counters *counters)
{
    *counters = (struct ts_counters){.seed = ts_hash_seed(counters)};
}

void ts_counters_deinit(struct ts_counters *counters)
{
    free(counters->rows);
    free(counters->slots);
    free(counters->profiles);
    free(counters->profile_slots);
    ts_counters_init(counters);
}

void ts_counters_clear(struct ts_counters *counters)
{
    if (counters->n_rows)
        memset(counters->slots, 0, counters->n_slots * sizeof(*counters->slots));
    if (counters->n_profiles)
        memset(counters->profile_slots, 0, counters->n_profile_slots * sizeof(*counters->profile_slots));
    counters->n_rows = 0;
    counters->n_profiles = 0;
    counters->saturated = 0;
}

/* The slot that has the key, or the free one for it. */
static uint32_t row_slot(const struct ts_counters *c, int64_t bucket, uint32_t labels, uint32_t location)
{
    uint32_t mask = c->n_slots - 1;
    uint32_t slot = (uint32_t)ts_hash_key(bucket, labels, location, c->seed) & mask;
    for (; c->slots[slot]; slot = (slot + 1) & mask) {
        const struct ts_sum_row *row = &c->rows[c->slots[slot] - 1];
        if (row->location == location && row->bucket == bucket && row->labels == labels)
            break;
    }
    return slot;
}

static uint32_t profile_slot(const struct ts_counters *c, int64_t bucket, uint32_t labels)
{
    uint32_t mask = c->n_profile_slots - 1;
    uint32_t slot = (uint32_t)ts_hash_key(bucket, labels, 0, c->seed) & mask;
    for (; c->profile_slots[slot]; slot = (slot + 1) & mask) {
        const struct ts_profile_row *row = &c->profiles[c->profile_slots[slot] - 1];
        if (row->bucket == bucket && row->labels == labels)
            break;
    }
    return slot;
}

/* An empty index for n rows, at most half full; NULL: the current one is large enough. */
static int grow_slots(uint32_t n_slots, size_t n, uint32_t **ret_slots, uint32_t *ret_n)
{
    size_t to = n_slots ? n_slots : 128;
    while (to < n * 2)
        to *= 2;
    *ret_slots = NULL;
    *ret_n = (uint32_t)to;
    if (to == n_slots)
        return 0;
    *ret_slots = calloc(to, sizeof(**ret_slots));
    return *ret_slots ? 0 : TS_ENOMEM;
}

static int reserve(struct ts_counters *c, size_t more_rows, size_t more_profiles)
{
    if (more_rows > UINT32_MAX / 4 || more_profiles > UINT32_MAX / 4)
        return TS_ENOMEM;
    size_t rows = c->n_rows + more_rows;
    size_t profiles = c->n_profiles + more_profiles;
    if (rows * 2 <= c->n_slots && rows <= c->cap_rows && profiles * 2 <= c->n_profile_slots &&
        profiles <= c->cap_profiles)
        return 0;
    if (rows > UINT32_MAX / 4 || profiles > UINT32_MAX / 4)
        return TS_ENOMEM;
    int rc = TS_ARRAY_RESERVE(&c->rows, &c->cap_rows, rows);
    if (!rc)
        rc = TS_ARRAY_RESERVE(&c->profiles, &c->cap_profiles, profiles);
    if (rc)
        return rc;

    uint32_t *slots;
    uint32_t n_slots;
    rc = grow_slots(c->n_slots, rows, &slots, &n_slots);
    if (rc)
        return rc;
    if (slots) {
        free(c->slots);
        c->slots = slots;
        c->n_slots = n_slots;
        for (uint32_t i = 0; i < c->n_rows; i++)
            slots[row_slot(c, c->rows[i].bucket, c->rows[i].labels, c->rows[i].location)] = i + 1;
    }
    rc = grow_slots(c->n_profile_slots, profiles, &slots, &n_slots);
    if (rc)
        return rc;
    if (slots) {
        free(c->profile_slots);
        c->profile_slots = slots;
        c->n_profile_slots = n_slots;
        for (uint32_t i = 0; i < c->n_profiles; i++)
            slots[profile_slot(c, c->profiles[i].bucket, c->profiles[i].labels)] = i + 1;
    }
    return 0;
}

int ts_counters_reserve(struct ts_counters *counters, size_t entries)
{
    return reserve(counters, entries, 1);
}

static unsigned add_one(int64_t *to, int64_t from)
{
    int64_t sum = ts_sat_add(*to, from);
    unsigned reached = (sum == INT64_MAX || sum == INT64_MIN) && sum != *to;
    *to = sum;
    return reached;
}

/* The top bit is clear for numbers within a quarter of the range: the sum of two of them cannot saturate. */
static inline uint64_t far_out(int64_t a)
{
    return (uint64_t)a + (UINT64_C(1) << 62);
}

unsigned ts_sums_add(struct ts_sums *to, const struct ts_sums *from)
{
    /* The usual case, decided by one branch for all sums. */
    uint64_t far = far_out(to->cumtime) | far_out(from->cumtime) | far_out(to->tottime) | far_out(from->tottime) |
                   far_out(to->ncalls) | far_out(from->ncalls) | far_out(to->pcalls) | far_out(from->pcalls);
    if (!(far >> 63)) {
        to->cumtime += from->cumtime;
        to->tottime += from->tottime;
        to->ncalls += from->ncalls;
        to->pcalls += from->pcalls;
        return 0;
    }
    return add_one(&to->cumtime, from->cumtime) + add_one(&to->tottime, from->tottime) +
           add_one(&to->ncalls, from->ncalls) + add_one(&to->pcalls, from->pcalls);
}

unsigned ts_profile_sums_add(struct ts_profile_sums *to, const struct ts_profile_sums *from)
{
    return add_one(&to->profiles, from->profiles) + add_one(&to->exact_profiles, from->exact_profiles) +
           add_one(&to->total_tt, from->total_tt) + add_one(&to->parts_expected, from->parts_expected) +
           add_one(&to->parts_received, from->parts_received);
}

void ts_counters_add(struct ts_counters *c, int64_t bucket, uint32_t labels, uint32_t location,
                     const struct ts_sums *sums)
{
    uint32_t slot = row_slot(c, bucket, labels, location);
    if (!c->slots[slot]) {
        c->rows[c->n_rows] = (struct ts_sum_row){bucket, labels, location, *sums};
        c->slots[slot] = ++c->n_rows;
        return;
    }
    c->saturated += ts_sums_add(&c->rows[c->slots[slot] - 1].sums, sums);
}

struct ts_sums *ts_counters_find(struct ts_counters *c, int64_t bucket, uint32_t labels, uint32_t location)
{
    uint32_t row = c->n_rows ? c->slots[row_slot(c, bucket, labels, location)] : 0;
    return row ? &c->rows[row - 1].sums : NULL;
}

void ts_counters_add_profile(struct ts_counters *c, int64_t bucket, uint32_t labels, const struct ts_profile_sums *sums)
{
    uint32_t slot = profile_slot(c, bucket, labels);
    if (!c->profile_slots[slot]) {
        c->profiles[c->n_profiles] = (struct ts_profile_row){bucket, labels, *sums};
        c->profile_slots[slot] = ++c->n_profiles;
        return;
    }
    c->saturated += ts_profile_sums_add(&c->profiles[c->profile_slots[slot] - 1].sums, sums);
}

int ts_counters_merge(struct ts_counters *c, const struct ts_counters *from, const uint32_t *location_map,
                      const uint32_t *labels_map)
{
    int rc = reserve(c, from->n_rows, from->n_profiles);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < from->n_rows; i++) {
        const struct ts_sum_row *row = &from->rows[i];
        ts_counters_add(c, row->bucket, labels_map[row->labels], location_map[row->location], &row->sums);
    }
    for (uint32_t i = 0; i < from->n_profiles; i++) {
        const struct ts_profile_row *row = &from->profiles[i];
        ts_counters_add_profile(c, row->bucket, labels_map[row->labels], &row->sums);
    }
    c->saturated += from->saturated;
    return 0;
}

size_t ts_counters_used(const struct ts_counters *c)
{
    return c->n_rows * TS_SUM_ROW_BYTES + c->n_profiles * (sizeof(*c->profiles) + 2 * sizeof(*c->profile_slots));
}
