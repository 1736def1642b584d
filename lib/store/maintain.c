/*
 * What is done beside commits: levels are built, old rows pruned, rows of levels that went deleted, names dropped.
 *
 * One step is one transaction of a bounded number of rows, so whoever has to commit waits for one step at most. A step
 * needs no sync of its own: what a power loss takes of it is done again, and the next commit syncs the log with all
 * that lies before it. The order of tasks: building first, because what is built from must not be pruned before.
 *
 *     build    the source's next rows after `built` -> added to the level; `built` moves on
 *     prune    `since` moves to the first bucket that is young enough, with the first rows that go; then rows before it
 *     dead     rows of a level that is no longer wanted; at the end the level itself
 */
#include "lib/store/maintain.h"

#include "lib/store/writer.h"

#include <errno.h>
#include <stdlib.h>

enum { CHECKPOINT_PAGES = 500 };

struct step {
    struct ts_store *store;
    struct ts_levels levels; /* as they are once the step is committed */
    int64_t horizon;
    uint32_t rows; /* at most */
    bool probe;    /* only look whether there is something to do */
    bool levels_changed;
    struct ts_maintain_result *result;
};

static bool is_row(sqlite3_stmt *stmt, int *ret_rc)
{
    int rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW)
        *ret_rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
    return rc == SQLITE_ROW;
}

/* ---- Building ---- */

/* The source's bucket up to which a level can be built now: closed for its time, and whole itself. */
static int64_t build_limit(const struct step *step, const struct ts_level *level, const struct ts_level *source,
                           const struct ts_level_key *built)
{
    int64_t from = built->bucket > source->since ? built->bucket : source->since;
    int64_t whole = ts_level_complete_until(&step->levels, source, from);
    int64_t limit;
    if (level->kind == TS_LEVEL_INTERNAL)
        limit = ts_floor_div((ts_i128)step->horizon - step->levels.grid.start_time, source->width);
    else
        limit = ts_floor_div((ts_i128)level->live * level->ratio, source->ratio);
    return whole < limit ? whole : limit;
}

static int reserve_rows(struct ts_store *store, size_t n)
{
    if (n <= store->cap_rows)
        return SQLITE_OK;
    struct ts_sum_row *rows = realloc(store->rows, n * sizeof(*rows));
    if (!rows)
        return SQLITE_NOMEM;
    store->rows = rows;
    store->cap_rows = n;
    return SQLITE_OK;
}

/* Rows are read first and written then: a cursor does not like its table to change. */
static int build_sums(struct step *step, struct ts_level *level, const struct ts_level *source, int64_t limit)
{
    struct ts_store *store = step->store;
    sqlite3_stmt *stmt = store->stmts[TS_SUMS_FROM];
    uint32_t n = 0;
    int rc = reserve_rows(store, step->rows);
    if (rc)
        return rc;
    sqlite3_bind_int64(stmt, 1, source->id);
    sqlite3_bind_int64(stmt, 2, level->built.bucket);
    sqlite3_bind_int64(stmt, 3, level->built.labels);
    sqlite3_bind_int64(stmt, 4, level->built.location);
    sqlite3_bind_int64(stmt, 5, limit);
    sqlite3_bind_int64(stmt, 6, step->rows);
    while (n < step->rows && is_row(stmt, &rc)) {
        store->rows[n++] = (struct ts_sum_row){
            .bucket = sqlite3_column_int64(stmt, 0),
            .labels = (uint32_t)sqlite3_column_int64(stmt, 1),
            .location = (uint32_t)sqlite3_column_int64(stmt, 2),
            .sums = {sqlite3_column_int64(stmt, 3), sqlite3_column_int64(stmt, 4), sqlite3_column_int64(stmt, 5),
                     sqlite3_column_int64(stmt, 6)},
        };
    }
    sqlite3_reset(stmt);
    for (uint32_t i = 0; !rc && i < n; i++) {
        const struct ts_sum_row *row = &store->rows[i];
        int64_t bucket = ts_floor_div((ts_i128)row->bucket * source->ratio, level->ratio);
        if (bucket >= level->since)
            rc = ts_store_put_sum(store, level->id, bucket, row->labels, row->location, &row->sums);
    }
    const struct ts_sum_row *last = n ? &store->rows[n - 1] : NULL;
    if (n == step->rows)
        level->built = (struct ts_level_key){last->bucket, last->labels, last->location + 1};
    else
        level->built = (struct ts_level_key){.bucket = limit};
    step->result->rows_built += n;
    return rc;
}

static int build_profiles(struct step *step, struct ts_level *level, const struct ts_level *source, int64_t limit)
{
    struct ts_store *store = step->store;
    sqlite3_stmt *stmt = store->stmts[TS_PROFILES_FROM];
    struct ts_level_key last = {0};
    uint32_t n = 0;
    int rc = SQLITE_OK;
    sqlite3_bind_int64(stmt, 1, source->id);
    sqlite3_bind_int64(stmt, 2, level->built_profiles.bucket);
    sqlite3_bind_int64(stmt, 3, level->built_profiles.labels);
    sqlite3_bind_int64(stmt, 4, limit);
    sqlite3_bind_int64(stmt, 5, step->rows);
    while (!rc && n < step->rows && is_row(stmt, &rc)) {
        struct ts_profile_sums sums = {sqlite3_column_int64(stmt, 2), sqlite3_column_int64(stmt, 3),
                                       sqlite3_column_int64(stmt, 4), sqlite3_column_int64(stmt, 5),
                                       sqlite3_column_int64(stmt, 6)};
        last = (struct ts_level_key){sqlite3_column_int64(stmt, 0), (uint32_t)sqlite3_column_int64(stmt, 1), 0};
        int64_t bucket = ts_floor_div((ts_i128)last.bucket * source->ratio, level->ratio);
        if (bucket >= level->since)
            rc = ts_store_put_profile(store, level->id, bucket, last.labels, &sums);
        n++;
    }
    sqlite3_reset(stmt);
    if (n == step->rows)
        level->built_profiles = (struct ts_level_key){last.bucket, last.labels + 1, 0};
    else
        level->built_profiles = (struct ts_level_key){.bucket = limit};
    step->result->rows_built += n;
    return rc;
}

/* Built up to where it takes deltas itself: from now on it needs nobody. */
static void complete(struct step *step, struct ts_level *level)
{
    int64_t source = level->source;
    level->source = -1;
    step->result->completed_width = level->width;
    bool needed = false;
    for (size_t i = 0; i < step->levels.n; i++)
        needed = needed || (step->levels.items[i].kind != TS_LEVEL_DEAD && step->levels.items[i].source == source);
    struct ts_level *left = ts_levels_find(&step->levels, source);
    if (left && left->kind == TS_LEVEL_RETIRING && !needed)
        left->kind = TS_LEVEL_DEAD;
    ts_levels_set_view(&step->levels);
}

/* True where there was something to build. */
static bool build(struct step *step, int *ret_rc)
{
    for (size_t i = 0; i < step->levels.n; i++) {
        struct ts_level *level = &step->levels.items[i];
        const struct ts_level *source = ts_levels_find(&step->levels, level->source);
        if (level->kind == TS_LEVEL_DEAD || !source || level->source < 0)
            continue;
        int64_t sums_limit = build_limit(step, level, source, &level->built);
        int64_t profiles_limit = build_limit(step, level, source, &level->built_profiles);
        bool sums = level->built.bucket < sums_limit;
        bool profiles = !sums && level->built_profiles.bucket < profiles_limit;
        bool done = !sums && !profiles && level->kind != TS_LEVEL_INTERNAL &&
                    ts_level_built_to(&step->levels, level) >= level->live;
        if (step->probe && (sums || profiles || done))
            return true;
        if (sums)
            *ret_rc = build_sums(step, level, source, sums_limit);
        else if (profiles)
            *ret_rc = build_profiles(step, level, source, profiles_limit);
        else if (done)
            complete(step, level);
        if (sums || profiles || done) {
            step->levels_changed = true;
            return true;
        }
    }
    return false;
}

/* ---- Pruning ---- */

/* Is there a row before the bucket? */
static bool has_older(struct step *step, const struct ts_level *level, int64_t bucket, int *ret_rc)
{
    bool found = false;
    for (int which = TS_SUMS_OLDER; which <= TS_PROFILES_OLDER && !found && !*ret_rc; which++) {
        sqlite3_stmt *stmt = step->store->stmts[which];
        sqlite3_bind_int64(stmt, 1, level->id);
        sqlite3_bind_int64(stmt, 2, bucket);
        found = is_row(stmt, ret_rc);
        sqlite3_reset(stmt);
    }
    return found;
}

/* Deletes up to step->rows rows before the bucket: up to a key that lies that many rows on, where there is one. */
static int delete_older(struct step *step, const struct ts_level *level, int64_t bucket, bool profiles)
{
    sqlite3_stmt *cut = step->store->stmts[profiles ? TS_PROFILES_CUT : TS_SUMS_CUT];
    sqlite3_stmt *prune = step->store->stmts[profiles ? TS_PRUNE_PROFILES : TS_PRUNE_SUMS];
    int64_t key[3] = {bucket, 0, 0};
    int rc = SQLITE_OK;
    sqlite3_bind_int64(cut, 1, level->id);
    sqlite3_bind_int64(cut, 2, bucket);
    sqlite3_bind_int64(cut, 3, step->rows);
    if (is_row(cut, &rc)) {
        for (int i = 0; i < (profiles ? 2 : 3); i++)
            key[i] = sqlite3_column_int64(cut, i);
    }
    sqlite3_reset(cut);
    if (rc)
        return rc;
    sqlite3_bind_int64(prune, 1, level->id);
    for (int i = 0; i < (profiles ? 2 : 3); i++)
        sqlite3_bind_int64(prune, 2 + i, key[i]);
    rc = ts_store_run(prune);
    step->result->rows_pruned += (uint64_t)sqlite3_changes64(step->store->db);
    return rc;
}

static int prune_level(struct step *step, const struct ts_level *level, int64_t bucket)
{
    int rc = delete_older(step, level, bucket, false);
    if (!rc && step->result->rows_pruned < step->rows) {
        uint32_t rows = step->rows;
        step->rows -= (uint32_t)step->result->rows_pruned;
        rc = delete_older(step, level, bucket, true);
        step->rows = rows;
    }
    return rc;
}

/* The level's rows are all gone: so is it. */
static void forget_level(struct step *step, size_t which)
{
    for (size_t i = which + 1; i < step->levels.n; i++)
        step->levels.items[i - 1] = step->levels.items[i];
    step->levels.n--;
    step->levels_changed = true;
}

static bool prune(struct step *step, int *ret_rc)
{
    for (size_t i = 0; i < step->levels.n && !*ret_rc; i++) {
        struct ts_level *level = &step->levels.items[i];
        bool dead = level->kind == TS_LEVEL_DEAD;
        int64_t bound = dead ? INT64_MAX : level->since;
        if (level->kind == TS_LEVEL_CONFIGURED || level->kind == TS_LEVEL_INTERNAL) {
            int64_t young = ts_level_bound(&step->levels, level, step->horizon);
            bound = young > bound ? young : bound;
        }
        bool older = has_older(step, level, bound, ret_rc);
        if (step->probe && (older || (dead && !*ret_rc)))
            return true;
        if (!older) {
            if (dead && !*ret_rc) {
                forget_level(step, i);
                return true;
            }
            continue;
        }
        if (!dead && bound > level->since) {
            if (ts_level_is_longest(&step->levels, level))
                step->result->longest_pruned = true;
            ts_level_advance(&step->levels, level, bound);
            ts_levels_set_view(&step->levels);
            step->levels_changed = true;
        }
        *ret_rc = prune_level(step, level, bound);
        return true;
    }
    return false;
}

/* ---- The step ---- */

static int run_step(struct step *step, const struct ts_maintain_options *options)
{
    struct ts_store *store = step->store;
    int rc = SQLITE_OK;
    step->probe = true; /* no lock for nothing */
    bool worked = build(step, &rc) || prune(step, &rc);
    if (rc || (!worked && !options->save_times))
        return rc ? rc : SQLITE_DONE;
    step->probe = false;
    rc = ts_store_run(store->stmts[TS_BEGIN]);
    worked = !rc && (build(step, &rc) || (!rc && prune(step, &rc)));
    step->result->more = worked;
    if (!rc && step->levels_changed)
        rc = ts_store_write_levels(store, &step->levels);
    if (!rc) {
        sqlite3_bind_int64(store->stmts[TS_PUT_UPTIME], 1, options->uptime);
        sqlite3_bind_int64(store->stmts[TS_PUT_UPTIME], 2, step->horizon);
        rc = ts_store_run(store->stmts[TS_PUT_UPTIME]);
    }
    return rc ? rc : ts_store_run(store->stmts[TS_COMMIT]);
}

static int fail(struct ts_store *store, int rc, struct ts_store_error *ret_error)
{
    ts_sql_message(ret_error, store->db, rc, "cannot tidy up");
    ts_store_roll_back(store);
    int r = ts_sql_code(rc);
    store->dead = store->dead || r == TS_ESYNC;
    return r == TS_ECANCELED ? TS_ESTORE : r;
}

int ts_store_maintain(struct ts_store *store, const struct ts_maintain_options *options,
                      struct ts_maintain_result *ret_result, struct ts_store_error *ret_error)
{
    struct ts_maintain_result result = {0};
    struct step step = {
        .store = store, .levels = store->levels, .horizon = options->horizon, .rows = options->rows, .result = &result};
    if (store->dead) {
        ts_sql_say(ret_error, "the store could not sync earlier; the process must end");
        return TS_ESYNC;
    }
    ts_store_roll_back(store);
    errno = 0;
    store->saturated = 0;
    int rc = store->sync_each ? ts_sql_exec(store->db, "PRAGMA synchronous=NORMAL") : SQLITE_OK;
    if (!rc)
        rc = run_step(&step, options);
    int r = rc == SQLITE_DONE ? 0 : rc ? fail(store, rc, ret_error) : 0;
    ts_store_roll_back(store);
    if (store->sync_each && ts_sql_exec(store->db, "PRAGMA synchronous=FULL") && !r) {
        ts_sql_say(ret_error, "cannot tidy up: synchronous cannot be set");
        r = TS_ESTORE;
    }
    if (r)
        return r;
    if (rc == SQLITE_OK)
        store->levels = step.levels;
    *ret_result = result;
    return ts_store_checkpoint(store, CHECKPOINT_PAGES, ret_error);
}

int ts_store_delete_names(struct ts_store *store, const uint32_t *locations, size_t n_locations,
                          const uint32_t *label_sets, size_t n_label_sets, struct ts_store_error *ret_error)
{
    if (store->dead) {
        ts_sql_say(ret_error, "the store could not sync earlier; the process must end");
        return TS_ESYNC;
    }
    ts_store_roll_back(store);
    errno = 0;
    int rc = ts_store_run(store->stmts[TS_BEGIN]);
    for (size_t i = 0; !rc && i < n_locations; i++) {
        sqlite3_bind_int64(store->stmts[TS_DROP_LOCATION], 1, locations[i]);
        rc = ts_store_run(store->stmts[TS_DROP_LOCATION]);
    }
    for (size_t i = 0; !rc && i < n_label_sets; i++) {
        sqlite3_bind_int64(store->stmts[TS_DROP_LABEL_SET], 1, label_sets[i]);
        rc = ts_store_run(store->stmts[TS_DROP_LABEL_SET]);
    }
    if (!rc)
        rc = ts_store_run(store->stmts[TS_COMMIT]);
    return rc ? fail(store, rc, ret_error) : ts_store_checkpoint(store, CHECKPOINT_PAGES, ret_error);
}
