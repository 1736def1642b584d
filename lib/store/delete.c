/*
 * Deleting what a faulty sender sent, in steps of a bounded amount of work.
 *
 * First the deletion walks the time axis over the finest buckets that are kept. Matching rows are deleted and
 * subtracted from the wider levels (lib/store/subtract.h) in one transaction. So the levels agree whenever the deletion
 * is interrupted, except for saturated sums and rows of zeros in wider levels. Those are settled at the end
 * (lib/store/recheck.h); after an interruption, by the same deletion once more.
 *
 * A bucket may be the finest that is kept at its begin although a narrower level has a later part of it. Such a bucket
 * is counted first. Then the narrower buckets in it are deleted, and at last the rows that are left in the wide bucket.
 *
 *     NEXT --> BUCKET (counted and deleted) ----------------------------> NEXT ... --> RECHECK --> DONE
 *        '---> COUNT --> INSIDE <--> INNER (deleted) --> WIDE (deleted) --^
 *
 * A step may end after any row. Work is counted in rows that are read or written, so buckets of any size and levels of
 * any width make steps of about the same length; buckets without rows cost nothing.
 */
#include "lib/store/delete.h"

#include "lib/aggregate/plan.h"
#include "lib/base/array.h"
#include "lib/store/recheck.h"
#include "lib/store/subtract.h"

#include <assert.h>
#include <stdlib.h>

enum { CHECKPOINT_PAGES = 1000, BUCKET_WORK = 8 /* finding a bucket, in rows */ };

enum stage { NEXT, BUCKET, COUNT, INSIDE, INNER, WIDE, RECHECK, DONE };

/* One bucket of one level on the way from its first to its last row. */
struct job {
    int64_t level; /* id */
    enum ts_table table;
    struct ts_row next; /* the first key that is not done */
    bool counted;       /* must be counted */
    bool deleted;       /* must be deleted */
    bool any;           /* a row of it was counted */
};

struct ts_deletion {
    struct ts_selection selection;
    bool profiles;
    bool dry_run;
    enum stage stage;
    int64_t from; /* of the selection; a bucket that is not within it was not one when it was made */
    int64_t to;
    int64_t at;     /* the first position that is not done */
    struct job job; /* of BUCKET, COUNT, INNER, WIDE */
    int64_t wide;   /* the bucket at `at`, of COUNT to WIDE: id of its level, and its number */
    int64_t wide_bucket;
    int64_t inner_at; /* the first position in it that is not done */
    struct ts_row *rows;
    size_t cap_rows;
    struct ts_recheck recheck;
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

int ts_deletion_new(const struct ts_deletion_selection *selection, struct ts_deletion **ret_deletion)
{
    struct ts_deletion *deletion = malloc(sizeof(*deletion));
    if (!deletion)
        return TS_ENOMEM;
    *deletion = (struct ts_deletion){.profiles = selection->profiles,
                                     .dry_run = selection->dry_run,
                                     .from = selection->from,
                                     .at = selection->from,
                                     .to = selection->to};
    if (ts_selection_init(&deletion->selection, selection)) {
        free(deletion);
        return TS_ENOMEM;
    }
    ts_recheck_init(&deletion->recheck, &deletion->selection, selection->from, selection->to, selection->profiles);
    *ret_deletion = deletion;
    return 0;
}

struct ts_deletion *ts_deletion_free(struct ts_deletion *deletion)
{
    if (!deletion)
        return NULL;
    ts_selection_deinit(&deletion->selection);
    ts_recheck_deinit(&deletion->recheck);
    free(deletion->rows);
    free(deletion);
    return NULL;
}

/* ---- The rows of one bucket ---- */

static void start_job(struct ts_deletion *deletion, enum stage stage, const struct ts_level *level, int64_t bucket)
{
    deletion->stage = stage;
    deletion->job = (struct job){.level = level->id,
                                 .table = TS_TABLE_SUMS,
                                 .next = {.bucket = bucket},
                                 .counted = stage == BUCKET || stage == COUNT,
                                 .deleted = stage != COUNT && !deletion->dry_run};
}

/* Reads at most `limit` rows of the job on; those that match into deletion->rows. */
static int read_rows(struct ts_deletion *deletion, struct ts_store *store, uint32_t limit, uint32_t *ret_read,
                     size_t *ret_n, bool *ret_end)
{
    struct job *job = &deletion->job;
    struct ts_row row;
    int rc = SQLITE_OK;
    bool more = true; /* keys after job->next */
    *ret_read = 0;
    *ret_n = 0;
    if (TS_ARRAY_RESERVE(&deletion->rows, &deletion->cap_rows, limit))
        return SQLITE_NOMEM;
    sqlite3_stmt *stmt = ts_rows_begin(store, job->table, job->level, &job->next, limit);
    while (ts_rows_next(stmt, job->table, &row, &rc)) {
        ++*ret_read;
        if (ts_selection_matches(&deletion->selection, job->table, &row))
            deletion->rows[(*ret_n)++] = row;
        job->next = row;
        more = ts_row_after(job->table, &job->next);
    }
    *ret_end = *ret_read < limit || !more;
    return rc;
}

/* Works on the job's bucket until it is done or the step is. */
static int run_job(struct ts_deletion *deletion, struct ts_store *store, const struct ts_level *level, uint32_t rows,
                   uint32_t *work, bool *ret_done)
{
    struct job *job = &deletion->job;
    /* A row is deleted in its own level, and read and written in each wider one. */
    uint32_t work_per_row = job->deleted ? 1 + 2 * (uint32_t)store->levels.n : 0;
    int rc = SQLITE_OK;
    *ret_done = false;
    while (!rc && !*ret_done && *work < rows) {
        uint32_t limit = (rows - *work) / (1 + work_per_row) + 1;
        uint32_t n_read;
        size_t n;
        bool end = false;
        rc = read_rows(deletion, store, limit, &n_read, &n, &end);
        for (size_t i = 0; !rc && i < n; i++) {
            if (job->deleted)
                rc = ts_store_delete_row(store, job->table, level, &deletion->rows[i]);
            if (job->counted)
                ts_selection_count(&deletion->selection, job->table, &deletion->rows[i], &deletion->counts);
        }
        if (n && job->counted && !job->any) {
            job->any = true;
            deletion->counts.buckets++;
        }
        *work += n_read + (uint32_t)n * work_per_row + 1;
        if (end && job->table == TS_TABLE_SUMS && deletion->profiles) {
            job->table = TS_TABLE_PROFILES;
            job->next = (struct ts_row){.bucket = job->next.bucket};
        } else {
            *ret_done = end;
        }
    }
    return rc;
}

/* ---- Steps ---- */

static bool is_kept(const struct ts_level *level)
{
    return level->kind == TS_LEVEL_CONFIGURED || level->kind == TS_LEVEL_RETIRING;
}

/* The position after `at`, at most `to`, up to which `level` is the finest level; NULL: up to which there is none. */
static int64_t finest_until(const struct ts_levels *levels, const struct ts_level *level, int64_t at, int64_t to)
{
    int64_t until = to;
    if (level) {
        int64_t end = ts_level_position(level, ts_level_complete_until(levels, level, ts_level_bucket(level, at)));
        until = end < until ? end : until;
    }
    for (size_t i = 0; i < levels->n && &levels->items[i] != level; i++) {
        const struct ts_level *finer = &levels->items[i];
        if (!is_kept(finer))
            continue;
        int64_t bucket = ts_level_next_complete(levels, finer, ts_level_bucket(finer, at) + 1);
        int64_t begin = bucket == INT64_MAX ? to : ts_level_position(finer, bucket);
        until = begin < until ? begin : until;
    }
    assert(until > at);
    return until;
}

/* The next bucket with rows within the positions [at, to), of the finest level that has it completely. *ret_level
   NULL: there is none. */
static int next_bucket(struct ts_store *store, int64_t at, int64_t to, const struct ts_level **ret_level,
                       int64_t *ret_bucket, uint32_t *work)
{
    int rc = SQLITE_OK;
    *ret_level = NULL;
    while (!rc && at < to) {
        const struct ts_level *level = ts_plan_finest(&store->levels, at);
        int64_t until = finest_until(&store->levels, level, at, to);
        int64_t best = INT64_MAX;
        for (int table = TS_TABLE_SUMS; level && !rc && table <= TS_TABLE_PROFILES; table++) {
            int64_t bucket = INT64_MAX;
            rc = ts_rows_bucket(store, table, level, ts_level_bucket(level, at), &bucket);
            best = bucket < best ? bucket : best;
        }
        *work += BUCKET_WORK;
        if (!rc && best < INT64_MAX && ts_level_position(level, best) < until) {
            *ret_level = level;
            *ret_bucket = best;
            break;
        }
        at = until;
    }
    return rc;
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

static int find_next(struct ts_deletion *deletion, struct ts_store *store, uint32_t *work)
{
    const struct ts_level *level = NULL;
    int64_t bucket = 0;
    int rc = next_bucket(store, deletion->at, deletion->to, &level, &bucket, work);
    if (rc)
        return rc;
    if (!level) {
        deletion->stage = deletion->dry_run ? DONE : RECHECK;
        return SQLITE_OK;
    }
    int64_t begin = ts_level_position(level, bucket);
    int64_t end = ts_level_position(level, bucket + 1);
    if (begin < deletion->from || end > deletion->to) {
        deletion->at = end; /* narrower levels have forgotten this time since: the wide bucket has more than selected */
        return SQLITE_OK;
    }
    deletion->wide = level->id;
    deletion->wide_bucket = bucket;
    deletion->inner_at = finer_part(&store->levels, level, bucket);
    bool inside = !deletion->dry_run && deletion->inner_at < end;
    start_job(deletion, inside ? COUNT : BUCKET, level, bucket);
    return SQLITE_OK;
}

/* Finds the next narrower bucket within the wide one that was counted; after the last one, what is left of the wide one
   is next. If the wide level is the finest for a while, a narrower one may begin after that. */
static int find_inner(struct ts_deletion *deletion, struct ts_store *store, const struct ts_level *wide, uint32_t *work)
{
    const struct ts_levels *levels = &store->levels;
    int64_t end = ts_level_position(wide, deletion->wide_bucket + 1);
    const struct ts_level *finest = NULL;
    while (deletion->inner_at < end && (finest = ts_plan_finest(levels, deletion->inner_at)) == wide)
        deletion->inner_at = finest_until(levels, wide, deletion->inner_at, end);
    if (deletion->inner_at >= end) {
        start_job(deletion, WIDE, wide, deletion->wide_bucket);
        return SQLITE_OK;
    }
    int64_t until = finest_until(levels, finest, deletion->inner_at, end);
    const struct ts_level *level = NULL;
    int64_t inner = 0;
    int rc = next_bucket(store, deletion->inner_at, until, &level, &inner, work);
    if (rc)
        return rc;
    deletion->inner_at = until;
    if (level && level->ratio < wide->ratio) {
        start_job(deletion, INNER, level, inner);
        deletion->inner_at = ts_level_position(level, inner);
    }
    return SQLITE_OK;
}

static void job_done(struct ts_deletion *deletion, const struct ts_level *level)
{
    int64_t end = ts_level_position(level, deletion->job.next.bucket + 1);
    if (deletion->stage == COUNT) {
        deletion->stage = INSIDE;
    } else if (deletion->stage == INNER) {
        deletion->inner_at = end;
        deletion->stage = INSIDE;
    } else {
        assert(end > deletion->at);
        deletion->at = end;
        deletion->stage = NEXT;
    }
}

/* The level if it still has the bucket. Commits may have advanced its `since` between two steps: then a wider level is
   the finest one there, and what is left in that is counted and deleted. */
static const struct ts_level *kept_level(struct ts_store *store, int64_t id, int64_t bucket)
{
    const struct ts_level *level = ts_levels_find(&store->levels, id);
    return level && level->kind != TS_LEVEL_DEAD && bucket >= level->since ? level : NULL;
}

static int continue_job(struct ts_deletion *deletion, struct ts_store *store, uint32_t rows, uint32_t *work)
{
    const struct ts_level *level = kept_level(store, deletion->job.level, deletion->job.next.bucket);
    if (!level) {
        deletion->stage = deletion->stage == INNER ? INSIDE : NEXT;
        return SQLITE_OK;
    }
    bool done = false;
    int rc = run_job(deletion, store, level, rows, work, &done);
    if (!rc && done)
        job_done(deletion, level);
    return rc;
}

static int continue_inside(struct ts_deletion *deletion, struct ts_store *store, uint32_t *work)
{
    const struct ts_level *wide = kept_level(store, deletion->wide, deletion->wide_bucket);
    if (wide)
        return find_inner(deletion, store, wide, work);
    deletion->stage = NEXT;
    return SQLITE_OK;
}

static int run_stage(struct ts_deletion *deletion, struct ts_store *store, uint32_t rows, uint32_t *work)
{
    bool more = true;
    int rc = SQLITE_OK;
    switch (deletion->stage) {
    case NEXT:
        return find_next(deletion, store, work);
    case INSIDE:
        return continue_inside(deletion, store, work);
    case BUCKET:
    case COUNT:
    case INNER:
    case WIDE:
        return continue_job(deletion, store, rows, work);
    case RECHECK:
        rc = ts_recheck_step(&deletion->recheck, store, rows, work, &more);
        deletion->stage = more ? RECHECK : DONE;
        break;
    case DONE:
        break;
    }
    return rc;
}

int ts_deletion_step(struct ts_deletion *deletion, struct ts_store *store, uint32_t rows, bool *ret_more,
                     struct ts_store_error *ret_error)
{
    int r = ts_store_ready(store, ret_error);
    if (r)
        return r;
    uint32_t work = 0;
    int rc = deletion->dry_run ? SQLITE_OK : ts_store_begin(store);
    while (!rc && deletion->stage != DONE && work < rows)
        rc = run_stage(deletion, store, rows, &work);
    if (!rc && !deletion->dry_run)
        rc = ts_store_end(store);
    if (rc)
        return ts_store_fail(store, rc, "cannot delete", ret_error);
    *ret_more = deletion->stage != DONE;
    return deletion->dry_run ? 0 : ts_store_checkpoint(store, CHECKPOINT_PAGES, ret_error);
}

const struct ts_deletion_counts *ts_deletion_result(const struct ts_deletion *deletion)
{
    return &deletion->counts;
}
