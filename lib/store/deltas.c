/*
 * Adding deltas to every level.
 *
 * The deltas of a commit are sorted once by the key of level 0. Then each level is written in ascending order of its
 * own keys, so that each page of the b-tree is visited once. The order of level 0 is also the order of a wider level,
 * unless the batch spans several buckets of level 0; then the keys are sorted again. Deltas with the same key in a
 * wider level are added up before they are written.
 *
 * A delta may be too old for a level that has rows of its time which are not pruned yet. The level's `since` then moves
 * past the delta in the same transaction, so that every bucket is either complete or counts as pruned.
 */
#include "lib/store/deltas.h"

#include "lib/store/levels.h"

#include <assert.h>
#include <stdlib.h>

static int compare_keys(const void *a, const void *b)
{
    const struct ts_sort_key *x = a;
    const struct ts_sort_key *y = b;
    if (x->bucket != y->bucket)
        return x->bucket < y->bucket ? -1 : 1;
    return x->rest < y->rest ? -1 : x->rest > y->rest;
}

static uint32_t labels_of(const struct ts_sort_key *key)
{
    return (uint32_t)(key->rest >> 32);
}

int ts_store_reserve_deltas(struct ts_store *store, const struct ts_counters *counters)
{
    size_t n = counters->n_rows > counters->n_profiles ? counters->n_rows : counters->n_profiles;
    if (n <= store->cap_keys && store->keys)
        return 0;
    struct ts_sort_key *keys = realloc(store->keys, 2 * (n + 64) * sizeof(*keys));
    if (!keys)
        return TS_ENOMEM;
    store->keys = keys;
    store->cap_keys = n + 64;
    return 0;
}

int ts_store_put_sum(struct ts_store *store, int64_t level, int64_t bucket, uint32_t labels, uint32_t location,
                     const struct ts_sums *sums)
{
    const int64_t values[] = {level,         bucket,        labels,       location,
                              sums->cumtime, sums->tottime, sums->ncalls, sums->pcalls};
    ts_sql_bind(store->stmts[TS_PUT_SUM], 1, values, 8);
    return ts_sql_run(store->stmts[TS_PUT_SUM]);
}

int ts_store_put_profile(struct ts_store *store, int64_t level, int64_t bucket, uint32_t labels,
                         const struct ts_profile_sums *sums)
{
    const int64_t values[] = {level,
                              bucket,
                              labels,
                              sums->profiles,
                              sums->exact_profiles,
                              sums->total_tt,
                              sums->parts_expected,
                              sums->parts_received};
    ts_sql_bind(store->stmts[TS_PUT_PROFILE], 1, values, 8);
    return ts_sql_run(store->stmts[TS_PUT_PROFILE]);
}

/* Fills `keys` with the keys of one level, ascending, from those of level 0. Returns how many deltas the level gets. */
static size_t level_keys(const struct ts_levels *levels, const struct ts_level *level, const struct ts_sort_key *all,
                         size_t n_all, bool profiles, struct ts_sort_key *keys)
{
    size_t n = 0;
    bool ascending = true;
    for (size_t i = 0; i < n_all; i++) {
        struct ts_level_key key = {all[i].bucket, labels_of(&all[i]), (uint32_t)all[i].rest};
        if (!ts_level_takes(levels, level, &key, profiles))
            continue;
        keys[n] = all[i];
        keys[n].bucket = ts_level_bucket(level, all[i].bucket);
        ascending = ascending && (!n || compare_keys(&keys[n - 1], &keys[n]) <= 0);
        n++;
    }
    if (!ascending)
        qsort(keys, n, sizeof(*keys), compare_keys);
    return n;
}

static int put_level_sums(struct ts_store *store, const struct ts_levels *levels, const struct ts_level *level,
                          const struct ts_counters *counters)
{
    struct ts_sort_key *keys = store->keys + store->cap_keys;
    size_t n = level_keys(levels, level, store->keys, counters->n_rows, false, keys);
    int rc = SQLITE_OK;
    for (size_t i = 0; !rc && i < n;) {
        const struct ts_sort_key *key = &keys[i];
        struct ts_sums sums = counters->rows[key->row].sums;
        for (i++; i < n && compare_keys(key, &keys[i]) == 0; i++)
            store->saturated += ts_sums_add(&sums, &counters->rows[keys[i].row].sums);
        assert(i == n || compare_keys(key, &keys[i]) < 0);
        rc = ts_store_put_sum(store, level->id, key->bucket, labels_of(key), (uint32_t)key->rest, &sums);
    }
    return rc;
}

static int put_level_profiles(struct ts_store *store, const struct ts_levels *levels, const struct ts_level *level,
                              const struct ts_counters *counters)
{
    struct ts_sort_key *keys = store->keys + store->cap_keys;
    size_t n = level_keys(levels, level, store->keys, counters->n_profiles, true, keys);
    int rc = SQLITE_OK;
    for (size_t i = 0; !rc && i < n;) {
        const struct ts_sort_key *key = &keys[i];
        struct ts_profile_sums sums = counters->profiles[key->row].sums;
        for (i++; i < n && compare_keys(key, &keys[i]) == 0; i++)
            store->saturated += ts_profile_sums_add(&sums, &counters->profiles[keys[i].row].sums);
        assert(i == n || compare_keys(key, &keys[i]) < 0);
        rc = ts_store_put_profile(store, level->id, key->bucket, labels_of(key), &sums);
    }
    return rc;
}

/* Moves `since` of the levels that are too fine for the oldest delta. True: one has moved. */
static bool pass_old_deltas(struct ts_levels *levels, const struct ts_counters *counters, int64_t horizon)
{
    int64_t oldest = INT64_MAX;
    bool moved = false;
    for (uint32_t i = 0; i < counters->n_profiles; i++)
        oldest = counters->profiles[i].bucket < oldest ? counters->profiles[i].bucket : oldest;
    for (uint32_t i = 0; i < counters->n_rows; i++)
        oldest = counters->rows[i].bucket < oldest ? counters->rows[i].bucket : oldest;
    for (size_t i = 0; i < levels->n && oldest < INT64_MAX; i++) {
        struct ts_level *level = &levels->items[i];
        if (level->kind != TS_LEVEL_CONFIGURED || ts_level_is_longest(levels, level))
            continue;
        int64_t bound = ts_level_bound(levels, level, horizon);
        int64_t bucket = ts_level_bucket(level, oldest);
        if (bucket >= level->since && bucket < bound) {
            ts_level_advance(levels, level, bound);
            moved = true;
        }
    }
    if (moved)
        ts_levels_set_view(levels);
    return moved;
}

static int put_sums(struct ts_store *store, const struct ts_levels *levels, const struct ts_counters *counters)
{
    int rc = SQLITE_OK;
    for (uint32_t i = 0; i < counters->n_rows; i++) {
        const struct ts_sum_row *row = &counters->rows[i];
        store->keys[i] = (struct ts_sort_key){row->bucket, (uint64_t)row->labels << 32 | row->location, i};
    }
    qsort(store->keys, counters->n_rows, sizeof(*store->keys), compare_keys);
    for (size_t i = 0; !rc && i < levels->n; i++) {
        if (levels->items[i].kind != TS_LEVEL_DEAD)
            rc = put_level_sums(store, levels, &levels->items[i], counters);
    }
    return rc;
}

static int put_profiles(struct ts_store *store, const struct ts_levels *levels, const struct ts_counters *counters)
{
    int rc = SQLITE_OK;
    for (uint32_t i = 0; i < counters->n_profiles; i++) {
        const struct ts_profile_row *row = &counters->profiles[i];
        store->keys[i] = (struct ts_sort_key){row->bucket, (uint64_t)row->labels << 32, i};
    }
    qsort(store->keys, counters->n_profiles, sizeof(*store->keys), compare_keys);
    for (size_t i = 0; !rc && i < levels->n; i++) {
        if (levels->items[i].kind != TS_LEVEL_DEAD)
            rc = put_level_profiles(store, levels, &levels->items[i], counters);
    }
    return rc;
}

static void note(struct ts_store_watch *watch, int64_t bucket, bool zeros)
{
    if (bucket < watch->from || bucket >= watch->to)
        return;
    watch->rows = true;
    watch->zeros = watch->zeros || zeros;
}

static void note_deltas(struct ts_store_watch *watch, const struct ts_counters *counters)
{
    if (watch->from >= watch->to)
        return;
    for (uint32_t i = 0; i < counters->n_rows; i++)
        note(watch, counters->rows[i].bucket, counters->rows[i].sums.ncalls == 0);
    for (uint32_t i = 0; i < counters->n_profiles; i++)
        note(watch, counters->profiles[i].bucket, counters->profiles[i].sums.profiles == 0);
}

int ts_store_put_deltas(struct ts_store *store, const struct ts_counters *counters, int64_t horizon,
                        struct ts_levels *ret_levels)
{
    int rc = SQLITE_OK;
    assert(counters->n_rows <= store->cap_keys && counters->n_profiles <= store->cap_keys);
    note_deltas(&store->watch, counters);
    *ret_levels = store->levels;
    if (pass_old_deltas(ret_levels, counters, horizon)) {
        rc = ts_store_write_levels(store->db, ret_levels);
        store->watch.rows = store->watch.zeros = true; /* a level that is being read may have lost buckets */
    }
    if (!rc)
        rc = put_sums(store, ret_levels, counters);
    if (!rc)
        rc = put_profiles(store, ret_levels, counters);
    return rc;
}
