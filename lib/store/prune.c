/*
 * Pruning: deletes rows that are older than their level keeps them, and the rows of dead levels.
 *
 * With the first rows that it deletes, `since` moves to the first bucket that is young enough. Readers ignore
 * the rows before it from then on, so that the rest can be deleted over many steps.
 */
#include "lib/store/prune.h"

#include <assert.h>

/* Is there a row before the bucket? */
static bool has_older(struct ts_step *step, const struct ts_level *level, int64_t bucket, int *ret_rc)
{
    bool found = false;
    for (int which = TS_SUMS_OLDER; which <= TS_PROFILES_OLDER && !found && !*ret_rc; which++) {
        sqlite3_stmt *stmt = step->store->stmts[which];
        sqlite3_bind_int64(stmt, 1, level->id);
        sqlite3_bind_int64(stmt, 2, bucket);
        found = ts_sql_row(stmt, ret_rc);
        sqlite3_reset(stmt);
    }
    return found;
}

/* Deletes up to `rows` rows before the bucket: those before the key that is `rows` rows further on, if there is one. */
static int delete_older(struct ts_step *step, const struct ts_level *level, int64_t bucket, bool profiles,
                        uint64_t rows)
{
    sqlite3_stmt *cut = step->store->stmts[profiles ? TS_PROFILES_CUT : TS_SUMS_CUT];
    sqlite3_stmt *prune = step->store->stmts[profiles ? TS_PRUNE_PROFILES : TS_PRUNE_SUMS];
    int64_t key[3] = {bucket, 0, 0};
    int n = profiles ? 2 : 3;
    int rc = SQLITE_OK;
    sqlite3_bind_int64(cut, 1, level->id);
    sqlite3_bind_int64(cut, 2, bucket);
    sqlite3_bind_int64(cut, 3, (int64_t)rows);
    if (ts_sql_row(cut, &rc)) {
        for (int i = 0; i < n; i++)
            key[i] = sqlite3_column_int64(cut, i);
    }
    sqlite3_reset(cut);
    if (rc)
        return rc;
    sqlite3_bind_int64(prune, 1, level->id);
    ts_sql_bind(prune, 2, key, n);
    rc = ts_sql_run(prune);
    step->rows_pruned += (uint64_t)sqlite3_changes64(step->store->db);
    return rc;
}

static int prune_level(struct ts_step *step, const struct ts_level *level, int64_t bucket)
{
    int rc = delete_older(step, level, bucket, false, step->rows);
    if (!rc && step->rows_pruned < step->rows)
        rc = delete_older(step, level, bucket, true, step->rows - step->rows_pruned);
    assert(rc || step->rows_pruned <= step->rows);
    return rc;
}

/* Removes a dead level that has no rows left. */
static void remove_level(struct ts_step *step, size_t which)
{
    for (size_t i = which + 1; i < step->levels.n; i++)
        step->levels.items[i - 1] = step->levels.items[i];
    step->levels.n--;
    step->levels_changed = true;
}

bool ts_store_prune(struct ts_step *step, int *ret_rc)
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
                remove_level(step, i);
                return true;
            }
            continue;
        }
        if (!dead && bound > level->since) {
            if (ts_level_is_longest(&step->levels, level))
                step->longest_pruned = true;
            ts_level_advance(&step->levels, level, bound);
            ts_levels_set_view(&step->levels);
            step->levels_changed = true;
        }
        *ret_rc = prune_level(step, level, bound);
        return true;
    }
    return false;
}
