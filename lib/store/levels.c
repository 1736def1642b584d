/*
 * The table of levels: its columns are the members of struct ts_level (lib/aggregate/levels.h).
 */
#include "lib/store/levels.h"

#include "lib/store/schema.h"

#include <assert.h>

enum { N_COLUMNS = 14 };

static bool is_sound(const struct ts_levels *levels)
{
    const struct ts_level *finest = levels->n ? &levels->items[0] : NULL;
    if (!finest || finest->id != 0 || finest->kind != TS_LEVEL_CONFIGURED || finest->ratio != 1)
        return false;
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *level = &levels->items[i];
        if (level->keep < 0 || level->kind < TS_LEVEL_CONFIGURED || level->kind > TS_LEVEL_DEAD)
            return false;
    }
    return ts_levels_consistent(levels);
}

int ts_store_read_levels(sqlite3 *db, const struct ts_grid *grid, struct ts_levels *ret_levels)
{
    struct ts_levels levels = {.grid = *grid};
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, TS_SQL_LEVELS, -1, &stmt, NULL);
    while (!rc && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        rc = SQLITE_OK;
        if (levels.n == TS_LEVELS_MAX) {
            rc = SQLITE_CORRUPT;
            break;
        }
        int64_t v[N_COLUMNS];
        for (int i = 0; i < N_COLUMNS; i++)
            v[i] = sqlite3_column_int64(stmt, i);
        levels.items[levels.n++] = (struct ts_level){
            .id = v[0],
            .kind = (enum ts_level_kind)v[1],
            .width = v[2],
            .keep = v[3],
            .ratio = v[2] / grid->time_slice,
            .since = v[4],
            .live = v[5],
            .source = v[6],
            .built = {v[7], (uint32_t)v[8], (uint32_t)v[9]},
            .built_profiles = {v[10], (uint32_t)v[11], 0},
            .view_from = v[12],
            .view_to = v[13],
        };
    }
    sqlite3_finalize(stmt);
    if (rc != SQLITE_DONE)
        return rc;
    if (!is_sound(&levels))
        return SQLITE_CORRUPT;
    *ret_levels = levels;
    return SQLITE_OK;
}

int ts_store_read_grid(sqlite3 *db, struct ts_levels *ret_levels)
{
    int64_t values[2];
    int rc = ts_sql_integers(db, "SELECT start_time, time_slice FROM grid", values, 2);
    if (rc)
        return rc;
    const struct ts_grid grid = {.start_time = values[0], .time_slice = values[1]};
    return grid.time_slice > 0 ? ts_store_read_levels(db, &grid, ret_levels) : SQLITE_CORRUPT;
}

static int put_level(sqlite3_stmt *stmt, const struct ts_level *level)
{
    const int64_t values[N_COLUMNS] = {level->id,
                                       level->kind,
                                       level->width,
                                       level->keep,
                                       level->since,
                                       level->live,
                                       level->source,
                                       level->built.bucket,
                                       level->built.labels,
                                       level->built.location,
                                       level->built_profiles.bucket,
                                       level->built_profiles.labels,
                                       level->view_from,
                                       level->view_to};
    ts_sql_bind(stmt, 1, values, N_COLUMNS);
    return ts_sql_run(stmt);
}

int ts_store_write_levels(sqlite3 *db, const struct ts_levels *levels)
{
    sqlite3_stmt *stmt = NULL;
    assert(is_sound(levels));
    int rc = ts_sql_exec(db, "DELETE FROM levels");
    if (!rc)
        rc = sqlite3_prepare_v2(db,
                                "INSERT INTO levels(level, kind, width, keep, since, live, source, built_bucket,"
                                " built_labels, built_location, built_profiles_bucket, built_profiles_labels,"
                                " view_from, view_to) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
                                " ?14)",
                                -1, &stmt, NULL);
    for (size_t i = 0; !rc && i < levels->n; i++)
        rc = put_level(stmt, &levels->items[i]);
    sqlite3_finalize(stmt);
    return rc;
}
