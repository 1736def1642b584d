/*
 * Subtracting deleted rows from wider levels.
 *
 * A wider level's row is the saturating sum of finer rows. Subtracting from it is exact unless a value stands at its
 * bound: what was added beyond the bound is unknown. Such a row is summed again from a finer level if one still has the
 * complete bucket; if none has, the value stays at the bound.
 *
 * A row of zeros is still a row: values may cancel out, and each level must refer to the names that finer levels refer
 * to. So a row that comes to zero is deleted only if no finer level has a row left in its bucket. Levels are processed
 * from narrow to wide, so that finer ones are up to date at that time.
 */
#include "lib/store/subtract.h"

#include <assert.h>
#include <string.h>

/* The row to change. */
struct target {
    struct ts_store *store;
    const struct ts_level *level;
    int64_t bucket; /* of that level */
    uint32_t labels;
    uint32_t location;
    bool profiles;
};

static int n_values(const struct target *t)
{
    return t->profiles ? TS_N_PROFILE_SUMS : TS_N_SUMS;
}

/* Reads the target's row in a bucket of another level. Each lookup is by the whole key: a bucket has many rows. */
static int read_row(const struct target *t, const struct ts_level *level, int64_t bucket, int64_t *ret_values,
                    bool *ret_found)
{
    sqlite3_stmt *stmt = t->store->stmts[t->profiles ? TS_PROFILE_AT : TS_SUM_AT];
    sqlite3_bind_int64(stmt, 1, level->id);
    sqlite3_bind_int64(stmt, 2, bucket);
    sqlite3_bind_int64(stmt, 3, t->labels);
    if (!t->profiles)
        sqlite3_bind_int64(stmt, 4, t->location);
    int rc = sqlite3_step(stmt);
    *ret_found = rc == SQLITE_ROW;
    for (int i = 0; *ret_found && i < n_values(t); i++)
        ret_values[i] = sqlite3_column_int64(stmt, i);
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Writes the target's row; values NULL: deletes it. */
static int write_row(const struct target *t, const int64_t *values)
{
    static const int which[2][2] = {{TS_DELETE_SUM, TS_SET_SUM}, {TS_DELETE_PROFILE, TS_SET_PROFILE}};
    sqlite3_stmt *stmt = t->store->stmts[which[t->profiles][values != NULL]];
    int at = 1;
    sqlite3_bind_int64(stmt, at++, t->level->id);
    sqlite3_bind_int64(stmt, at++, t->bucket);
    sqlite3_bind_int64(stmt, at++, t->labels);
    if (!t->profiles)
        sqlite3_bind_int64(stmt, at++, t->location);
    for (int i = 0; values && i < n_values(t); i++)
        sqlite3_bind_int64(stmt, at++, values[i]);
    return ts_sql_run(stmt);
}

/* The buckets of a narrower level that the target's bucket consists of, half-open. */
static void within(const struct target *t, const struct ts_level *narrower, int64_t *ret_from, int64_t *ret_to)
{
    int64_t n = t->level->ratio / narrower->ratio;
    *ret_from = t->bucket * n;
    *ret_to = *ret_from + n;
}

/* The level that the target's bucket is still being built from; NULL: none. */
static const struct ts_level *building_source(const struct target *t)
{
    return t->bucket < t->level->live ? ts_levels_find(&t->store->levels, t->level->source) : NULL;
}

/*
 * Does a narrower level still have a row that is part of the target's? Asks the narrower levels from wide to narrow, up
 * to the first one that has the bucket completely. While the bucket is being built, rows that building has not reached
 * are not part of it; the source and narrower levels are exact about that.
 */
static int is_left(const struct target *t, bool *ret_left)
{
    const struct ts_levels *levels = &t->store->levels;
    const struct ts_level *source = building_source(t);
    int64_t values[TS_N_PROFILE_SUMS];
    bool complete = false;
    int rc = SQLITE_OK;
    *ret_left = false;
    for (ptrdiff_t i = (source ? source + 1 : t->level) - levels->items; !rc && !*ret_left && !complete && i-- > 0;) {
        const struct ts_level *level = &levels->items[i];
        int64_t from, to;
        within(t, level, &from, &to);
        complete = ts_level_complete_until(levels, level, from) >= to;
        from = from > level->since ? from : level->since;
        for (int64_t bucket = from; !rc && !*ret_left && bucket < to; bucket++) {
            struct ts_level_key key = {ts_level_position(level, bucket), t->labels, t->location};
            bool found;
            rc = read_row(t, level, bucket, values, &found);
            *ret_left = found && ts_level_takes(levels, t->level, &key, t->profiles);
        }
    }
    return rc;
}

/*
 * The level to sum the target's bucket from: one that has all of it; for a bucket that is still being built, the source
 * of the building, up to the key that is reached. NULL: no level has all of it any more.
 */
static const struct ts_level *complete_source(const struct target *t, int64_t *ret_from, int64_t *ret_to)
{
    const struct ts_levels *levels = &t->store->levels;
    const struct ts_level *source = building_source(t);
    if (source) {
        const struct ts_level_key *built = t->profiles ? &t->level->built_profiles : &t->level->built;
        within(t, source, ret_from, ret_to);
        if (built->bucket < *ret_to)
            *ret_to = built->bucket + (built->labels || built->location);
        return ts_level_complete_until(levels, source, *ret_from) >= *ret_to ? source : NULL;
    }
    for (size_t i = 0; &levels->items[i] < t->level; i++) {
        within(t, &levels->items[i], ret_from, ret_to);
        if (ts_level_complete_until(levels, &levels->items[i], *ret_from) >= *ret_to)
            return &levels->items[i];
    }
    return NULL;
}

/* Sums the buckets [from, to) of a source, saturating: those rows that have been added to the target's level. */
static int sum_again(const struct target *t, const struct ts_level *source, int64_t from, int64_t to,
                     int64_t *ret_values)
{
    int64_t values[TS_N_PROFILE_SUMS];
    bool found = false;
    int rc = SQLITE_OK;
    memset(ret_values, 0, (size_t)n_values(t) * sizeof(*ret_values));
    for (int64_t bucket = from; !rc && bucket < to; bucket++) {
        struct ts_level_key key = {ts_level_position(source, bucket), t->labels, t->location};
        rc = read_row(t, source, bucket, values, &found);
        found = found && ts_level_takes(&t->store->levels, t->level, &key, t->profiles);
        for (int i = 0; i < n_values(t) && found; i++)
            ret_values[i] = ts_sat_add(ret_values[i], values[i]);
    }
    return rc;
}

static bool at_bound(int64_t value)
{
    return value == INT64_MAX || value == INT64_MIN;
}

static int subtract(const struct target *t, const int64_t *minus)
{
    int64_t values[TS_N_PROFILE_SUMS] = {0};
    bool found;
    bool bound = false;
    bool zero = true;
    int rc = read_row(t, t->level, t->bucket, values, &found);
    if (rc || !found)
        return rc;
    for (int i = 0; i < n_values(t); i++) {
        if (at_bound(values[i]) || at_bound(minus[i]))
            bound = true; /* keep it: what lies beyond the bound is not known */
        else
            values[i] = (int64_t)((uint64_t)values[i] - (uint64_t)minus[i]);
    }
    int64_t from, to;
    const struct ts_level *source = bound ? complete_source(t, &from, &to) : NULL;
    if (source && (rc = sum_again(t, source, from, to, values)))
        return rc;
    for (int i = 0; i < n_values(t); i++)
        zero = zero && values[i] == 0;
    bool left = false;
    rc = zero ? is_left(t, &left) : SQLITE_OK;
    return rc ? rc : write_row(t, zero && !left ? NULL : values);
}

int ts_store_delete_row(struct ts_store *store, const struct ts_level *level, const struct ts_level_key *key,
                        bool profiles, const int64_t *values)
{
    struct target t = {store, level, key->bucket, key->labels, key->location, profiles};
    struct ts_level_key at = *key;
    at.bucket = ts_level_position(level, key->bucket);
    assert(!sqlite3_get_autocommit(store->db));
    int rc = write_row(&t, NULL);
    for (size_t i = 0; !rc && i < store->levels.n; i++) {
        t.level = &store->levels.items[i];
        t.bucket = ts_level_bucket(t.level, at.bucket);
        if (t.level->width > level->width && ts_level_takes(&store->levels, t.level, &at, profiles))
            rc = subtract(&t, values);
    }
    return rc;
}
