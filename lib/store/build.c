/*
 * Building levels from their sources.
 *
 * A step reads the source's next rows at and after `built`, adds them to the level, and moves `built` past them, in one
 * transaction: building can be interrupted at any row. Sums are built first, then profiles.
 */
#include "lib/store/build.h"

#include "lib/base/array.h"
#include "lib/store/deltas.h"

#include <assert.h>

/* The source's bucket up to which the level can be built now: complete, and over (internal levels) or before the level
   gets deltas itself. */
static int64_t build_limit(const struct ts_step *step, const struct ts_level *level, const struct ts_level *source,
                           const struct ts_level_key *built)
{
    int64_t from = built->bucket > source->since ? built->bucket : source->since;
    int64_t complete = ts_level_complete_until(&step->levels, source, from);
    int64_t limit;
    if (level->kind == TS_LEVEL_INTERNAL)
        limit = ts_floor_div((ts_i128)step->horizon - step->levels.grid.start_time, source->width);
    else
        limit = ts_floor_div((ts_i128)level->live * level->ratio, source->ratio);
    return complete < limit ? complete : limit;
}

/* Moves the progress of building on. */
static void advance(struct ts_level_key *built, struct ts_level_key next)
{
    assert(ts_level_key_compare(built, &next) < 0);
    *built = next;
}

/* Reads all rows before it writes the first: after a write to its table, SQLite has to seek a reading cursor again. */
static int build_sums(struct ts_step *step, struct ts_level *level, const struct ts_level *source, int64_t limit)
{
    struct ts_store *store = step->store;
    sqlite3_stmt *stmt = store->stmts[TS_SUMS_FROM];
    uint32_t n = 0;
    int rc = SQLITE_OK;
    if (TS_ARRAY_RESERVE(&store->rows, &store->cap_rows, step->rows))
        return SQLITE_NOMEM;
    const int64_t values[] = {source->id, level->built.bucket, level->built.labels, level->built.location,
                              limit,      step->rows};
    ts_sql_bind(stmt, 1, values, 6);
    while (n < step->rows && ts_sql_row(stmt, &rc)) {
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
    if (rc)
        return rc;
    struct ts_level_key next = {.bucket = limit};
    if (n == step->rows) {
        const struct ts_sum_row *last = &store->rows[n - 1];
        next = (struct ts_level_key){last->bucket, last->labels, last->location + 1};
    }
    advance(&level->built, next);
    step->rows_built += n;
    return SQLITE_OK;
}

static int build_profiles(struct ts_step *step, struct ts_level *level, const struct ts_level *source, int64_t limit)
{
    struct ts_store *store = step->store;
    sqlite3_stmt *stmt = store->stmts[TS_PROFILES_FROM];
    struct ts_level_key last = {0};
    uint32_t n = 0;
    int rc = SQLITE_OK;
    const int64_t values[] = {source->id, level->built_profiles.bucket, level->built_profiles.labels, limit,
                              step->rows};
    ts_sql_bind(stmt, 1, values, 5);
    while (!rc && n < step->rows && ts_sql_row(stmt, &rc)) {
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
    if (rc)
        return rc;
    last.labels++;
    advance(&level->built_profiles, n == step->rows ? last : (struct ts_level_key){.bucket = limit});
    step->rows_built += n;
    return SQLITE_OK;
}

/* Dead levels are at the end (lib/aggregate/levels.h). */
static void bury(struct ts_levels *levels, const struct ts_level *level)
{
    struct ts_level dead = *level;
    dead.kind = TS_LEVEL_DEAD;
    for (size_t i = (size_t)(level - levels->items) + 1; i < levels->n; i++)
        levels->items[i - 1] = levels->items[i];
    levels->items[levels->n - 1] = dead;
}

/* The level is built up to the buckets that get deltas directly: it no longer needs its source. */
static void complete(struct ts_step *step, struct ts_level *level)
{
    int64_t id = level->source;
    bool needed = false;
    level->source = -1;
    step->completed_width = level->width;
    for (size_t i = 0; i < step->levels.n; i++)
        needed = needed || (step->levels.items[i].kind != TS_LEVEL_DEAD && step->levels.items[i].source == id);
    const struct ts_level *source = ts_levels_find(&step->levels, id);
    if (source && source->kind == TS_LEVEL_RETIRING && !needed)
        bury(&step->levels, source);
    ts_levels_set_view(&step->levels);
}

bool ts_store_build(struct ts_step *step, int *ret_rc)
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
