#include "lib/store/recheck.h"

#include "lib/base/array.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROUND_ROWS = 4096, /* rechecked together: one pass over the narrower level serves them all */
    GAP_MAX = 16,      /* after so many other rows the next one is looked up by its key */
    TRIES_MAX = 10,    /* then the rows stay as they are */
    BUCKET_WORK = 4    /* finding a bucket, in rows */
};

void ts_recheck_init(struct ts_recheck *recheck, const struct ts_selection *selection, int64_t from, int64_t to,
                     bool profiles)
{
    *recheck = (struct ts_recheck){
        .selection = selection, .from = from, .to = to, .profiles = profiles, .level = -1, .width = -1};
}

void ts_recheck_deinit(struct ts_recheck *recheck)
{
    free(recheck->rows);
    *recheck = (struct ts_recheck){0};
}

static bool is_profiles(const struct ts_recheck *recheck)
{
    return recheck->table == TS_TABLE_PROFILES;
}

static bool all_zero(const struct ts_recheck *recheck, const int64_t *values)
{
    for (int i = 0; i < ts_table_width(recheck->table); i++) {
        if (values[i])
            return false;
    }
    return true;
}

static bool any_at_bound(const struct ts_recheck *recheck, const int64_t *values)
{
    for (int i = 0; i < ts_table_width(recheck->table); i++) {
        if (values[i] == INT64_MAX || values[i] == INT64_MIN)
            return true;
    }
    return false;
}

static bool same_values(const struct ts_recheck *recheck, const int64_t *a, const int64_t *b)
{
    return memcmp(a, b, (size_t)ts_table_width(recheck->table) * sizeof(*a)) == 0;
}

static const struct ts_level *current_level(const struct ts_recheck *recheck, struct ts_store *store)
{
    const struct ts_level *level = ts_levels_find(&store->levels, recheck->level);
    return level && level->kind != TS_LEVEL_DEAD ? level : NULL;
}

/* The level that the bucket is still being built from; NULL: none. */
static const struct ts_level *building_source(struct ts_store *store, const struct ts_level *level, int64_t bucket)
{
    return bucket < level->live ? ts_levels_find(&store->levels, level->source) : NULL;
}

/* Reads the buckets of `source` that the rechecked one consists of; `to` after the last one that matters. */
static void read_from(struct ts_recheck *recheck, const struct ts_level *level, const struct ts_level *source)
{
    int64_t n = level->ratio / source->ratio;
    assert(level->ratio % source->ratio == 0);
    recheck->source = source->id;
    recheck->at = recheck->bucket * n;
    recheck->end = recheck->at + n;
}

/* ---- Which rows ---- */

/* The next level, table or bucket. *ret_more false: there is none. */
static int find_next(struct ts_recheck *recheck, struct ts_store *store, uint32_t *work, bool *ret_more)
{
    const struct ts_level *level = current_level(recheck, store);
    int64_t bucket = INT64_MAX;
    *ret_more = true;
    *work += BUCKET_WORK;
    if (level) {
        int rc = ts_rows_bucket(store, recheck->table, level, recheck->bucket, &bucket);
        if (rc)
            return rc;
    }
    if (level && bucket <= ts_level_bucket(level, recheck->to - 1)) {
        recheck->bucket = bucket;
        recheck->next = (struct ts_row){.bucket = bucket};
        recheck->tries = 0;
        recheck->stage = TS_RECHECK_COLLECT;
        return SQLITE_OK;
    }
    if (level && recheck->table == TS_TABLE_SUMS && recheck->profiles) {
        recheck->table = TS_TABLE_PROFILES;
        recheck->bucket = ts_level_bucket(level, recheck->from);
        return SQLITE_OK;
    }
    for (size_t i = 1; i < store->levels.n; i++) { /* the narrowest level has nothing to be rechecked against */
        const struct ts_level *wider = &store->levels.items[i];
        if (wider->kind != TS_LEVEL_DEAD && wider->width > recheck->width) {
            recheck->level = wider->id;
            recheck->width = wider->width;
            recheck->table = TS_TABLE_SUMS;
            recheck->bucket = ts_level_bucket(wider, recheck->from);
            return SQLITE_OK;
        }
    }
    *ret_more = false;
    store->watch = (struct ts_store_watch){0};
    return SQLITE_OK;
}

static int collect(struct ts_recheck *recheck, struct ts_store *store, const struct ts_level *level, uint32_t rows,
                   uint32_t *work)
{
    if (recheck->n_rows == 0) {
        recheck->begin = recheck->next;
        store->watch = (struct ts_store_watch){.from = ts_level_position(level, recheck->bucket),
                                               .to = ts_level_position(level, recheck->bucket + 1)};
    }
    if (TS_ARRAY_RESERVE(&recheck->rows, &recheck->cap_rows, ROUND_ROWS))
        return SQLITE_NOMEM;
    uint32_t limit = rows > *work ? rows - *work : 1;
    uint32_t n = 0;
    struct ts_row row;
    int rc = SQLITE_OK;
    bool more = true; /* keys after recheck->next */
    sqlite3_stmt *stmt = ts_rows_begin(store, recheck->table, level->id, &recheck->next, limit);
    while (recheck->n_rows < ROUND_ROWS && ts_rows_next(stmt, recheck->table, &row, &rc)) {
        n++;
        recheck->next = row;
        more = ts_row_after(recheck->table, &recheck->next);
        bool zero = all_zero(recheck, row.values);
        bool at_bound = any_at_bound(recheck, row.values);
        if ((zero || at_bound) && ts_selection_matches(recheck->selection, recheck->table, &row))
            recheck->rows[recheck->n_rows++] = (struct ts_recheck_row){.row = row, .zero = zero, .at_bound = at_bound};
    }
    ts_rows_end(stmt);
    *work += n + 1;
    recheck->collected = !more || (n < limit && recheck->n_rows < ROUND_ROWS);
    if (recheck->collected || recheck->n_rows == ROUND_ROWS)
        recheck->stage = TS_RECHECK_SUM;
    recheck->source = -1;
    return rc;
}

/* ---- Reading the narrower levels ---- */

/* A row of a narrower level with the key of one that is rechecked. */
static void meet(struct ts_recheck *recheck, const struct ts_levels *levels, const struct ts_level *level,
                 const struct ts_level *source, struct ts_recheck_row *target, const struct ts_row *row)
{
    const struct ts_level_key key = {ts_level_position(source, row->bucket), row->labels, row->location};
    if (!ts_level_takes(levels, level, &key, is_profiles(recheck)))
        return; /* the bucket is being built, and this row is not added yet */
    target->found = true;
    for (int i = 0; target->at_bound && i < ts_table_width(recheck->table); i++)
        target->sums[i] = ts_sat_add(target->sums[i], row->values[i]);
}

/* Looks up the rows [first, last) in a bucket of the source; they have the same labels. Walks from one to the next, and
   seeks where many other rows lie between them, so the work is bounded by the rows that are looked up. */
static int read_labels(struct ts_recheck *recheck, struct ts_store *store, const struct ts_level *level,
                       const struct ts_level *source, int64_t bucket, size_t first, size_t last, uint32_t *work)
{
    const struct ts_recheck_row *rows = recheck->rows;
    int rc = SQLITE_OK;
    for (size_t i = first; !rc && i < last;) {
        struct ts_row row = rows[i].row;
        row.bucket = bucket;
        sqlite3_stmt *stmt = ts_rows_begin(store, recheck->table, source->id, &row, INT64_MAX);
        for (int others = 0; i < last && others <= GAP_MAX; ++*work) {
            if (!ts_rows_next(stmt, recheck->table, &row, &rc) || row.labels != rows[first].row.labels) {
                i = last;
                break;
            }
            while (i < last && rows[i].row.location < row.location)
                i++;
            bool found = i < last && rows[i].row.location == row.location;
            if (found)
                meet(recheck, &store->levels, level, source, &recheck->rows[i++], &row);
            others = found ? 0 : others + 1;
        }
        ts_rows_end(stmt);
        ++*work;
    }
    return rc;
}

/* Reads the source on to recheck->end, or until the step has done its work. */
static int read_source(struct ts_recheck *recheck, struct ts_store *store, const struct ts_level *level, uint32_t rows,
                       uint32_t *work)
{
    const struct ts_level *source = ts_levels_find(&store->levels, recheck->source);
    int rc = SQLITE_OK;
    assert(source);
    while (!rc && recheck->at < recheck->end && *work < rows) {
        int64_t bucket = INT64_MAX;
        rc = ts_rows_bucket(store, recheck->table, source, recheck->at, &bucket);
        *work += BUCKET_WORK;
        recheck->at = bucket < recheck->end ? bucket + 1 : recheck->end;
        for (size_t i = 0; !rc && bucket < recheck->end && i < recheck->n_rows;) {
            size_t last = i + 1;
            while (last < recheck->n_rows && recheck->rows[last].row.labels == recheck->rows[i].row.labels)
                last++;
            rc = read_labels(recheck, store, level, source, bucket, i, last, work);
            i = last;
        }
    }
    return rc;
}

/*
 * The level to sum the bucket from: one that has all of it; for a bucket that is still being built, the source of the
 * building, up to the key that is reached. False: no level has all of it any more.
 */
static bool choose_complete(struct ts_recheck *recheck, struct ts_store *store, const struct ts_level *level)
{
    const struct ts_levels *levels = &store->levels;
    const struct ts_level *source = building_source(store, level, recheck->bucket);
    if (source) {
        const struct ts_level_key *built = is_profiles(recheck) ? &level->built_profiles : &level->built;
        read_from(recheck, level, source);
        if (built->bucket < recheck->end)
            recheck->end = built->bucket + (built->labels || built->location);
        return ts_level_complete_until(levels, source, recheck->at) >= recheck->end;
    }
    for (source = levels->items; source < level; source++) {
        read_from(recheck, level, source);
        if (ts_level_complete_until(levels, source, recheck->at) >= recheck->end)
            return true;
    }
    return false;
}

/* The rows at a bound are summed again. */
static int sum_again(struct ts_recheck *recheck, struct ts_store *store, const struct ts_level *level, uint32_t rows,
                     uint32_t *work)
{
    bool any = false;
    for (size_t i = 0; i < recheck->n_rows; i++)
        any = any || recheck->rows[i].at_bound;
    bool summed = any && (recheck->source >= 0 || choose_complete(recheck, store, level));
    int rc = summed ? read_source(recheck, store, level, rows, work) : SQLITE_OK;
    if (rc || (summed && recheck->at < recheck->end))
        return rc;
    size_t n = 0;
    for (size_t i = 0; i < recheck->n_rows; i++) {
        struct ts_recheck_row *target = &recheck->rows[i];
        if (target->at_bound && !summed)
            continue;
        target->zero = target->zero || (target->at_bound && all_zero(recheck, target->sums));
        recheck->rows[n++] = *target;
    }
    recheck->n_rows = n;
    recheck->source = -1;
    recheck->last = false;
    recheck->stage = TS_RECHECK_FIND;
    return rc;
}

/*
 * The next narrower level in which rows of zeros may have a row left: from wide to narrow, up to the first one that has
 * the bucket completely. While the bucket is being built, rows that building has not reached are not part of it; the
 * source and narrower levels are exact about that.
 */
static bool choose_narrower(struct ts_recheck *recheck, struct ts_store *store, const struct ts_level *level)
{
    struct ts_levels *levels = &store->levels;
    const struct ts_level *building = building_source(store, level, recheck->bucket);
    const struct ts_level *before = recheck->source < 0 ? NULL : ts_levels_find(levels, recheck->source);
    const struct ts_level *source = before ? before : building ? building + 1 : level;
    if (recheck->last || source == levels->items)
        return false;
    source--;
    read_from(recheck, level, source);
    recheck->last = ts_level_complete_until(levels, source, recheck->at) >= recheck->end;
    return true;
}

/* The rows of zeros are looked for in the narrower levels. */
static int find_rows(struct ts_recheck *recheck, struct ts_store *store, const struct ts_level *level, uint32_t rows,
                     uint32_t *work)
{
    int rc = SQLITE_OK;
    bool open = false; /* a row of zeros is not found yet */
    for (size_t i = 0; i < recheck->n_rows; i++)
        open = open || (recheck->rows[i].zero && !recheck->rows[i].found);
    bool reading = recheck->source >= 0 && recheck->at < recheck->end;
    if (open && (reading || choose_narrower(recheck, store, level)))
        rc = read_source(recheck, store, level, rows, work);
    else
        recheck->stage = TS_RECHECK_WRITE;
    return rc;
}

/* ---- The result ---- */

static int write_row(struct ts_recheck *recheck, struct ts_store *store, const struct ts_level *level,
                     const struct ts_recheck_row *target, uint32_t *work)
{
    struct ts_row row = target->row;
    bool found;
    int rc = ts_row_read(store, recheck->table, level->id, &row, &found);
    ++*work;
    if (rc || !found || !same_values(recheck, row.values, target->row.values))
        return rc; /* a commit has changed it meanwhile: it is neither zero nor summed from what was read */
    if (target->zero && !target->found)
        return ts_row_delete(store, recheck->table, level->id, &row);
    if (!target->at_bound || same_values(recheck, row.values, target->sums))
        return SQLITE_OK;
    memcpy(row.values, target->sums, sizeof(row.values));
    return ts_row_update(store, recheck->table, level->id, &row);
}

static int write_rows(struct ts_recheck *recheck, struct ts_store *store, const struct ts_level *level, uint32_t *work)
{
    bool summed = false;
    int rc = SQLITE_OK;
    for (size_t i = 0; i < recheck->n_rows; i++)
        summed = summed || recheck->rows[i].at_bound;
    bool stale = store->watch.zeros || (summed && store->watch.rows);
    if (stale && ++recheck->tries < TRIES_MAX) {
        recheck->next = recheck->begin;
        recheck->stage = TS_RECHECK_COLLECT;
    } else {
        for (size_t i = 0; !rc && !stale && i < recheck->n_rows; i++)
            rc = write_row(recheck, store, level, &recheck->rows[i], work);
        recheck->tries = 0;
        recheck->stage = recheck->collected ? TS_RECHECK_NEXT : TS_RECHECK_COLLECT;
        recheck->bucket += recheck->collected;
    }
    recheck->n_rows = 0;
    return rc;
}

int ts_recheck_step(struct ts_recheck *recheck, struct ts_store *store, uint32_t rows, uint32_t *ret_work,
                    bool *ret_more)
{
    int rc = SQLITE_OK;
    *ret_more = true;
    while (!rc && *ret_more && *ret_work < rows) {
        const struct ts_level *level = current_level(recheck, store);
        if (!level || recheck->bucket < level->since) { /* pruned meanwhile */
            recheck->stage = TS_RECHECK_NEXT;
            recheck->n_rows = 0;
        }
        switch (recheck->stage) {
        case TS_RECHECK_NEXT:
            rc = find_next(recheck, store, ret_work, ret_more);
            break;
        case TS_RECHECK_COLLECT:
            rc = collect(recheck, store, level, rows, ret_work);
            break;
        case TS_RECHECK_SUM:
            rc = sum_again(recheck, store, level, rows, ret_work);
            break;
        case TS_RECHECK_FIND:
            rc = find_rows(recheck, store, level, rows, ret_work);
            break;
        case TS_RECHECK_WRITE:
            rc = write_rows(recheck, store, level, ret_work);
            break;
        }
    }
    return rc;
}
