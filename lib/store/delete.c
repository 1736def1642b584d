/*
 * Deleting what a faulty sender sent, in steps of a bounded number of rows.
 *
 * The deletion walks the time axis over the finest buckets that are kept. The matching rows of one bucket are deleted
 * and subtracted from the wider levels (lib/store/subtract.h) in one transaction, so that the levels agree with each
 * other whenever the deletion is interrupted.
 *
 * A bucket may be the finest that is kept at its begin although a narrower level has a later part of it. Such a bucket
 * is counted first. Then the narrower buckets in it are deleted, over several steps if they have many rows, and at last
 * the rows that are left in the wide bucket itself.
 *
 *     next bucket --> counted and deleted --------------------------------> next bucket
 *          '--------> counted (inside = true) -> narrower buckets -> wide bucket --^
 */
#include "lib/store/delete.h"

#include "lib/aggregate/plan.h"
#include "lib/base/array.h"
#include "lib/store/subtract.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CHECKPOINT_PAGES = 1000, ROWS_PER_BUCKET = 16 /* the work of a bucket, beside its rows */ };

/* Numbers, ascending. */
struct ids {
    uint32_t *items;
    size_t n;
    bool *deleted; /* something of it was deleted: of each label set; of locations, of each function */
};

struct ts_deletion {
    struct ids locations;
    struct ids label_sets;
    uint32_t *functions; /* of each location */
    bool profiles;
    bool dry_run;
    int64_t at; /* the first position that is not done */
    int64_t to;
    bool inside;             /* the bucket at `at` is counted, its narrower buckets are being deleted */
    int64_t inner_at;        /* the first position of them that is not done */
    struct ts_sum_row *rows; /* of one bucket, those that match */
    size_t n_rows;
    size_t cap_rows;
    struct ts_profile_row *profile_rows;
    size_t n_profile_rows;
    size_t cap_profile_rows;
    struct ts_deletion_counts counts;
};

bool ts_deletion_possible(const struct ts_levels *levels)
{
    for (size_t i = 0; i < levels->n; i++) {
        for (size_t j = 0; j < i; j++) {
            if (levels->items[i].kind != TS_LEVEL_DEAD && levels->items[i].ratio % levels->items[j].ratio)
                return false;
        }
    }
    return true;
}

static bool is_ascending(const uint32_t *items, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if (items[i - 1] >= items[i])
            return false;
    }
    return true;
}

static void *copy_ids(const uint32_t *items, size_t n)
{
    uint32_t *copy = malloc((n + 1) * sizeof(*copy));
    if (copy && n)
        memcpy(copy, items, n * sizeof(*copy));
    return copy;
}

int ts_deletion_new(const struct ts_deletion_selection *selection, struct ts_deletion **ret_deletion)
{
    assert(is_ascending(selection->locations, selection->n_locations));
    assert(is_ascending(selection->label_sets, selection->n_label_sets));
    struct ts_deletion *deletion = malloc(sizeof(*deletion));
    if (!deletion)
        return TS_ENOMEM;
    *deletion = (struct ts_deletion){
        .locations = {.items = copy_ids(selection->locations, selection->n_locations),
                      .n = selection->n_locations,
                      .deleted = calloc(selection->n_functions + 1, sizeof(bool))},
        .label_sets = {.items = copy_ids(selection->label_sets, selection->n_label_sets),
                       .n = selection->n_label_sets,
                       .deleted = calloc(selection->n_label_sets + 1, sizeof(bool))},
        .functions = copy_ids(selection->functions, selection->n_locations),
        .profiles = selection->profiles,
        .dry_run = selection->dry_run,
        .at = selection->from,
        .to = selection->to,
    };
    if (!deletion->locations.items || !deletion->locations.deleted || !deletion->label_sets.items ||
        !deletion->label_sets.deleted || !deletion->functions) {
        ts_deletion_free(deletion);
        return TS_ENOMEM;
    }
    *ret_deletion = deletion;
    return 0;
}

static void free_ids(struct ids *ids)
{
    free(ids->items);
    free(ids->deleted);
}

struct ts_deletion *ts_deletion_free(struct ts_deletion *deletion)
{
    if (!deletion)
        return NULL;
    free_ids(&deletion->locations);
    free_ids(&deletion->label_sets);
    free(deletion->functions);
    free(deletion->rows);
    free(deletion->profile_rows);
    free(deletion);
    return NULL;
}

/* ---- The rows of one bucket ---- */

/* Is the number selected? Names that were added after the selection was made are not. */
static bool find(const struct ids *ids, uint32_t id, size_t *ret_index)
{
    size_t low = 0;
    size_t high = ids->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ids->items[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_index = low;
    return low < ids->n && ids->items[low] == id;
}

/* Binds TS_SUMS_FROM or TS_PROFILES_FROM to the rows of one bucket. */
static sqlite3_stmt *select_bucket(struct ts_store *store, bool profiles, int64_t level, int64_t bucket)
{
    sqlite3_stmt *stmt = store->stmts[profiles ? TS_PROFILES_FROM : TS_SUMS_FROM];
    int i = 1;
    sqlite3_bind_int64(stmt, i++, level);
    sqlite3_bind_int64(stmt, i++, bucket);
    sqlite3_bind_int64(stmt, i++, 0);
    if (!profiles)
        sqlite3_bind_int64(stmt, i++, 0);
    sqlite3_bind_int64(stmt, i++, bucket + 1);
    sqlite3_bind_int64(stmt, i, INT64_MAX);
    return stmt;
}

/* Reads the matching rows into deletion->rows; adds the number of all rows to *ret_read. */
static int read_sums(struct ts_deletion *deletion, struct ts_store *store, const struct ts_level *level, int64_t bucket,
                     uint32_t *ret_read)
{
    sqlite3_stmt *stmt = select_bucket(store, false, level->id, bucket);
    size_t index;
    int rc;
    deletion->n_rows = 0;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct ts_sum_row row = {.bucket = bucket,
                                 .labels = (uint32_t)sqlite3_column_int64(stmt, 1),
                                 .location = (uint32_t)sqlite3_column_int64(stmt, 2),
                                 .sums = {sqlite3_column_int64(stmt, 3), sqlite3_column_int64(stmt, 4),
                                          sqlite3_column_int64(stmt, 5), sqlite3_column_int64(stmt, 6)}};
        ++*ret_read;
        if (!find(&deletion->label_sets, row.labels, &index) || !find(&deletion->locations, row.location, &index))
            continue;
        if (TS_ARRAY_RESERVE(&deletion->rows, &deletion->cap_rows, deletion->n_rows + 1)) {
            rc = SQLITE_NOMEM;
            break;
        }
        deletion->rows[deletion->n_rows++] = row;
    }
    sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int read_profiles(struct ts_deletion *deletion, struct ts_store *store, const struct ts_level *level,
                         int64_t bucket)
{
    size_t index;
    int rc;
    deletion->n_profile_rows = 0;
    if (!deletion->profiles)
        return SQLITE_OK;
    sqlite3_stmt *stmt = select_bucket(store, true, level->id, bucket);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct ts_profile_row row = {.bucket = bucket,
                                     .labels = (uint32_t)sqlite3_column_int64(stmt, 1),
                                     .sums = {sqlite3_column_int64(stmt, 2), sqlite3_column_int64(stmt, 3),
                                              sqlite3_column_int64(stmt, 4), sqlite3_column_int64(stmt, 5),
                                              sqlite3_column_int64(stmt, 6)}};
        if (!find(&deletion->label_sets, row.labels, &index))
            continue;
        if (TS_ARRAY_RESERVE(&deletion->profile_rows, &deletion->cap_profile_rows, deletion->n_profile_rows + 1)) {
            rc = SQLITE_NOMEM;
            break;
        }
        deletion->profile_rows[deletion->n_profile_rows++] = row;
    }
    sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Marks it as deleted; gives 1 the first time. */
static unsigned mark(bool *deleted)
{
    bool first = !*deleted;
    *deleted = true;
    return first;
}

static void count_label_set(struct ts_deletion *deletion, uint32_t labels)
{
    size_t index;
    bool found = find(&deletion->label_sets, labels, &index);
    assert(found);
    if (found)
        deletion->counts.label_sets += mark(&deletion->label_sets.deleted[index]);
}

static void count(struct ts_deletion *deletion)
{
    struct ts_deletion_counts *counts = &deletion->counts;
    for (size_t i = 0; i < deletion->n_rows; i++) {
        const struct ts_sum_row *row = &deletion->rows[i];
        size_t index;
        bool found = find(&deletion->locations, row->location, &index);
        assert(found);
        if (found)
            counts->functions += mark(&deletion->locations.deleted[deletion->functions[index]]);
        count_label_set(deletion, row->labels);
        counts->cumtime += row->sums.cumtime;
        counts->tottime += row->sums.tottime;
        counts->ncalls += row->sums.ncalls;
        counts->pcalls += row->sums.pcalls;
    }
    for (size_t i = 0; i < deletion->n_profile_rows; i++) {
        count_label_set(deletion, deletion->profile_rows[i].labels);
        counts->profiles += deletion->profile_rows[i].sums.profiles;
    }
    counts->rows += deletion->n_rows;
    counts->buckets += deletion->n_rows || deletion->n_profile_rows;
}

static int delete_rows(struct ts_deletion *deletion, struct ts_store *store, const struct ts_level *level)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; !rc && i < deletion->n_rows; i++) {
        const struct ts_sum_row *row = &deletion->rows[i];
        const struct ts_sums *sums = &row->sums;
        const struct ts_level_key key = {row->bucket, row->labels, row->location};
        const int64_t values[TS_N_SUMS] = {sums->cumtime, sums->tottime, sums->ncalls, sums->pcalls};
        rc = ts_store_delete_row(store, level, &key, false, values);
    }
    for (size_t i = 0; !rc && i < deletion->n_profile_rows; i++) {
        const struct ts_profile_row *row = &deletion->profile_rows[i];
        const struct ts_profile_sums *sums = &row->sums;
        const struct ts_level_key key = {row->bucket, row->labels, 0};
        const int64_t values[TS_N_PROFILE_SUMS] = {sums->profiles, sums->exact_profiles, sums->total_tt,
                                                   sums->parts_expected, sums->parts_received};
        rc = ts_store_delete_row(store, level, &key, true, values);
    }
    return rc;
}

/* Reads the matching rows of a bucket; counts them, deletes them, or both. */
static int process_bucket(struct ts_deletion *deletion, struct ts_store *store, const struct ts_level *level,
                          int64_t bucket, bool counted, bool deleted, uint32_t *ret_read)
{
    int rc = read_sums(deletion, store, level, bucket, ret_read);
    if (!rc)
        rc = read_profiles(deletion, store, level, bucket);
    if (!rc && deleted)
        rc = delete_rows(deletion, store, level);
    if (!rc && counted)
        count(deletion);
    *ret_read += ROWS_PER_BUCKET;
    return rc;
}

/* ---- Steps ---- */

/* The first bucket of a table (TS_NEXT_SUM, TS_NEXT_PROFILE) at or after this one; INT64_MAX: none. */
static int first_bucket(struct ts_store *store, int which, const struct ts_level *level, int64_t from,
                        int64_t *ret_bucket)
{
    sqlite3_stmt *stmt = store->stmts[which];
    sqlite3_bind_int64(stmt, 1, level->id);
    sqlite3_bind_int64(stmt, 2, from > level->since ? from : level->since);
    int rc = sqlite3_step(stmt);
    bool none = rc != SQLITE_ROW || sqlite3_column_type(stmt, 0) == SQLITE_NULL;
    *ret_bucket = none ? INT64_MAX : sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

/* The next bucket with rows within the positions [at, to), of the finest level that has it completely. *ret_level
   NULL: there is none. */
static int next_bucket(struct ts_store *store, int64_t at, int64_t to, const struct ts_level **ret_level,
                       int64_t *ret_bucket)
{
    const struct ts_levels *levels = &store->levels;
    int64_t best = to;
    *ret_level = NULL;
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *level = &levels->items[i];
        if (level->kind != TS_LEVEL_CONFIGURED && level->kind != TS_LEVEL_RETIRING)
            continue;
        for (int which = TS_NEXT_SUM; which <= TS_NEXT_PROFILE; which++) {
            int64_t bucket;
            int rc = first_bucket(store, which, level, ts_level_bucket(level, at), &bucket);
            if (rc)
                return rc;
            if (bucket == INT64_MAX)
                continue;
            /* A wide bucket around `at` begins before it: the finer levels at `at` decide. */
            int64_t position = ts_level_position(level, bucket);
            position = position < at ? at : position;
            best = position < best ? position : best;
        }
    }
    if (best >= to)
        return SQLITE_OK;
    *ret_level = ts_plan_finest(levels, best);
    *ret_bucket = *ret_level ? ts_level_bucket(*ret_level, best) : 0;
    return SQLITE_OK;
}

/* The position from which on a narrower level has a part of the bucket; the bucket's end if none has. */
static int64_t finer_part(const struct ts_levels *levels, const struct ts_level *level, int64_t bucket)
{
    int64_t end = ts_level_position(level, bucket + 1);
    int64_t from = end;
    for (size_t i = 0; &levels->items[i] < level; i++) {
        int64_t since = ts_level_position(&levels->items[i], levels->items[i].since);
        from = since < from ? since : from;
    }
    int64_t begin = ts_level_position(level, bucket);
    return from < begin ? begin : from;
}

/* Deletes the narrower buckets within the wide bucket at deletion->at, and when they are done, the rows left in it. */
static int process_inside(struct ts_deletion *deletion, struct ts_store *store, uint32_t rows, uint32_t *ret_read)
{
    const struct ts_level *wide = ts_plan_finest(&store->levels, deletion->at);
    if (!wide) { /* pruned since the last step */
        deletion->inside = false;
        return SQLITE_OK;
    }
    int64_t bucket = ts_level_bucket(wide, deletion->at);
    int64_t end = ts_level_position(wide, bucket + 1);
    int rc = SQLITE_OK;
    while (!rc && *ret_read < rows && deletion->inner_at < end) {
        const struct ts_level *level = NULL;
        int64_t inner = 0;
        rc = next_bucket(store, deletion->inner_at, end, &level, &inner);
        if (!rc && level && level->ratio < wide->ratio)
            rc = process_bucket(deletion, store, level, inner, false, true, ret_read);
        int64_t next = level ? ts_level_position(level, inner + 1) : end;
        assert(rc || next > deletion->inner_at);
        deletion->inner_at = next;
    }
    if (rc || deletion->inner_at < end)
        return rc;
    deletion->inside = false;
    deletion->at = end;
    return process_bucket(deletion, store, wide, bucket, false, true, ret_read);
}

static int process_next(struct ts_deletion *deletion, struct ts_store *store, uint32_t *ret_read, bool *ret_more)
{
    const struct ts_level *level = NULL;
    int64_t bucket = 0;
    int rc = next_bucket(store, deletion->at, deletion->to, &level, &bucket);
    *ret_more = !rc && level;
    if (!*ret_more)
        return rc;
    int64_t begin = ts_level_position(level, bucket);
    int64_t end = ts_level_position(level, bucket + 1);
    int64_t inner = finer_part(&store->levels, level, bucket);
    assert(end > deletion->at);
    deletion->inside = !deletion->dry_run && inner < end;
    deletion->inner_at = inner;
    deletion->at = deletion->inside ? begin : end;
    return process_bucket(deletion, store, level, bucket, true, !deletion->dry_run && !deletion->inside, ret_read);
}

static int run_step(struct ts_deletion *deletion, struct ts_store *store, uint32_t rows, bool *ret_more)
{
    uint32_t read = 0;
    int rc = deletion->dry_run ? SQLITE_OK : ts_store_begin(store);
    *ret_more = true;
    while (!rc && *ret_more && read < rows) {
        if (deletion->inside)
            rc = process_inside(deletion, store, rows, &read);
        else
            rc = process_next(deletion, store, &read, ret_more);
    }
    if (!rc && !deletion->dry_run)
        rc = ts_store_end(store);
    return rc;
}

int ts_deletion_step(struct ts_deletion *deletion, struct ts_store *store, uint32_t rows, bool *ret_more,
                     struct ts_store_error *ret_error)
{
    int r = ts_store_ready(store, ret_error);
    if (r)
        return r;
    int rc = run_step(deletion, store, rows, ret_more);
    if (rc)
        return ts_store_fail(store, rc, "cannot delete", ret_error);
    return deletion->dry_run ? 0 : ts_store_checkpoint(store, CHECKPOINT_PAGES, ret_error);
}

const struct ts_deletion_counts *ts_deletion_result(const struct ts_deletion *deletion)
{
    return &deletion->counts;
}
