/*
 * Moving a database to a coarser grid with the same origin.
 *
 * The rows of the levels that divide the new width are summed into buckets of that width, under a temporary level
 * number. Then the rows of all levels that do not continue are deleted, and the temporary level becomes level 0. Wider
 * levels that are multiples of the new width continue as they are.
 */
#include "lib/store/regrid.h"

#include "lib/aggregate/plan.h"
#include "lib/base/units.h"
#include "lib/store/levels.h"
#include "lib/store/schema.h"

enum { NEW_LEVEL = 1000 /* the number of the new level 0 while the old rows still exist */ };

static const char what[] = "cannot move the copy to another grid";

static void sql_add(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    (void)argc;
    sqlite3_result_int64(context, ts_sat_add(sqlite3_value_int64(argv[0]), sqlite3_value_int64(argv[1])));
}

static void sql_floor_div(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    (void)argc;
    ts_i128 position = (ts_i128)sqlite3_value_int64(argv[0]) * sqlite3_value_int64(argv[1]);
    sqlite3_result_int64(context, ts_floor_div(position, sqlite3_value_int64(argv[2])));
}

static int fail_width(struct ts_store_error *error, int64_t width, const char *words, int64_t other)
{
    char a[32], b[32];
    ts_sql_format_error(error, "%s %s %s", ts_format_duration(width, a), words, ts_format_duration(other, b));
    return TS_EINVAL;
}

static int check_width(const struct ts_levels *levels, const struct ts_level *longest, int64_t width,
                       struct ts_store_error *error)
{
    if (width <= levels->grid.time_slice)
        return fail_width(error, width, "is not wider than the stored time_slice", levels->grid.time_slice);
    if (width % levels->grid.time_slice)
        return fail_width(error, width, "is not a multiple of the stored time_slice", levels->grid.time_slice);
    if (longest->width % width && width % longest->width)
        return fail_width(error, width, "neither divides nor is a multiple of the level that is kept longest,",
                          longest->width);
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *level = &levels->items[i];
        if (level->kind == TS_LEVEL_RETIRING || (level->kind == TS_LEVEL_CONFIGURED && level->source >= 0)) {
            ts_sql_format_error(error, "levels of retention are being rebuilt; try again later");
            return TS_ESTORE;
        }
    }
    return 0;
}

/* Inserts the rows of the levels that divide the new width, in buckets of that width, as NEW_LEVEL. */
static int fill(sqlite3 *db, const struct ts_levels *levels, int64_t unit, int64_t from, struct ts_store_error *error)
{
    struct ts_plan plan;
    int64_t gap;
    int64_t axis_from;
    int64_t to;
    ts_plan_init(&plan);
    ts_plan_axis(levels, &axis_from, &to);
    from = from < axis_from ? ts_floor_div(axis_from, unit) * unit : from;
    int r = ts_plan_make(levels, from, ts_floor_div(to, unit) * unit, (struct ts_plan_rule){.unit = unit}, &plan, &gap);
    int rc = SQLITE_OK;
    for (size_t i = 0; !r && !rc && i < plan.n; i++) {
        const struct ts_segment *s = &plan.items[i];
        char *sql = sqlite3_mprintf(
            "INSERT INTO sums SELECT %d, ts_floor_div(bucket, %lld, %lld), labels, location, cumtime, tottime, ncalls,"
            " pcalls FROM sums WHERE level = %lld AND bucket >= %lld AND bucket < %lld ORDER BY bucket" TS_SQL_ADD_SUMS
            "; INSERT INTO profiles SELECT %d, ts_floor_div(bucket, %lld, %lld), labels, profiles, exact_profiles,"
            " total_tt, parts_expected, parts_received FROM profiles WHERE level = %lld AND bucket >= %lld"
            " AND bucket < %lld ORDER BY bucket" TS_SQL_ADD_PROFILES,
            NEW_LEVEL, s->level->ratio, unit, s->level->id, s->from, s->to, NEW_LEVEL, s->level->ratio, unit,
            s->level->id, s->from, s->to);
        rc = sql ? ts_sql_exec(db, sql) : SQLITE_NOMEM;
        sqlite3_free(sql);
    }
    ts_plan_deinit(&plan);
    if (r > 0)
        ts_sql_format_error(error, "levels of retention do not cover what is stored");
    if (rc)
        ts_sql_set_error(error, db, rc, what);
    return r ? TS_ESTORE : ts_sql_code(rc);
}

/* The first position from which on the levels that divide the new width have everything. If a wider level goes further
   back, it is rounded up to a complete new bucket; otherwise the oldest new bucket has what is left of it. */
static int64_t covered_from(const struct ts_levels *levels, const struct ts_level *longest, int64_t unit)
{
    int64_t from = TS_POSITION_MAX;
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *level = &levels->items[i];
        if (level->kind != TS_LEVEL_CONFIGURED || unit % level->ratio)
            continue;
        int64_t since = level->since == INT64_MIN ? INT64_MIN : ts_level_position(level, level->since);
        from = since < from ? since : from;
    }
    if (from == INT64_MIN || longest->ratio <= unit)
        return from;
    int64_t down = ts_floor_div(from, unit) * unit;
    return down < from ? down + unit : down;
}

/* The levels on the new grid: the new level 0, and the wider levels that are multiples of it. */
static void regrid_levels(const struct ts_levels *levels, const struct ts_level *longest, int64_t unit, int64_t from,
                          struct ts_levels *ret)
{
    int64_t width = levels->grid.time_slice * unit;
    bool stays = longest->width > width;
    int64_t keep = 0;
    *ret = (struct ts_levels){.grid = {levels->grid.start_time, width}, .n = 1};
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *level = &levels->items[i];
        if (level->kind == TS_LEVEL_CONFIGURED && unit % level->ratio == 0 && level->keep > keep)
            keep = level->keep;
        /* Internal levels are built from the level that is kept longest. */
        bool wanted = level->width > width && level->width % width == 0 &&
                      (level->kind == TS_LEVEL_CONFIGURED || (level->kind == TS_LEVEL_INTERNAL && stays));
        if (!wanted)
            continue;
        ret->items[ret->n] = *level;
        ret->items[ret->n++].ratio = level->width / width;
    }
    ret->items[0] = (struct ts_level){.kind = TS_LEVEL_CONFIGURED,
                                      .width = width,
                                      .keep = keep,
                                      .ratio = 1,
                                      .since = from == INT64_MIN ? from : ts_floor_div(from, unit),
                                      .live = INT64_MIN,
                                      .source = -1};
    ts_levels_set_view(ret);
}

/* Deletes the rows of the levels that do not continue, and makes NEW_LEVEL level 0. */
static int replace_levels(sqlite3 *db, const struct ts_levels *levels)
{
    int rc = ts_store_write_levels(db, levels);
    char *sql = sqlite3_mprintf("UPDATE grid SET time_slice = %lld;"
                                " DELETE FROM sums WHERE level <> %d AND (level = 0 OR level NOT IN"
                                " (SELECT level FROM levels));"
                                " DELETE FROM profiles WHERE level <> %d AND (level = 0 OR level NOT IN"
                                " (SELECT level FROM levels));"
                                " UPDATE sums SET level = 0 WHERE level = %d;"
                                " UPDATE profiles SET level = 0 WHERE level = %d; VACUUM",
                                levels->grid.time_slice, NEW_LEVEL, NEW_LEVEL, NEW_LEVEL, NEW_LEVEL);
    if (!rc)
        rc = sql ? ts_sql_exec(db, sql) : SQLITE_NOMEM;
    sqlite3_free(sql);
    return rc;
}

static int add_functions(sqlite3 *db)
{
    int rc = sqlite3_create_function_v2(db, "ts_add", 2, SQLITE_UTF8, NULL, sql_add, NULL, NULL, NULL);
    return rc ? rc
              : sqlite3_create_function_v2(db, "ts_floor_div", 3, SQLITE_UTF8, NULL, sql_floor_div, NULL, NULL, NULL);
}

int ts_store_regrid(sqlite3 *db, int64_t time_slice, struct ts_store_error *ret_error)
{
    struct ts_levels levels;
    struct ts_levels next;
    int rc = add_functions(db);
    if (!rc)
        rc = ts_store_read_grid(db, &levels);
    if (rc) {
        ts_sql_set_error(ret_error, db, rc, what);
        return TS_ESTORE;
    }
    const struct ts_level *longest = &levels.items[0];
    for (size_t i = 0; i < levels.n; i++)
        longest = ts_level_is_longest(&levels, &levels.items[i]) ? &levels.items[i] : longest;
    int r = check_width(&levels, longest, time_slice, ret_error);
    if (r)
        return r;
    int64_t unit = time_slice / levels.grid.time_slice;
    int64_t from = covered_from(&levels, longest, unit);
    regrid_levels(&levels, longest, unit, from, &next);
    r = fill(db, &levels, unit, from, ret_error);
    if (r)
        return r;
    rc = replace_levels(db, &next);
    if (rc)
        ts_sql_set_error(ret_error, db, rc, what);
    return ts_sql_code(rc);
}
