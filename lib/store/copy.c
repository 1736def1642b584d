#include "lib/store/copy.h"

#include "lib/aggregate/plan.h"
#include "lib/base/units.h"
#include "lib/store/connection.h"
#include "lib/store/file.h"
#include "lib/store/levels.h"
#include "lib/store/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NEW_LEVEL = 1000 /* its number while old and new rows are both there */ };

struct ts_copy {
    char *path;
    sqlite3 *db;
    sqlite3_backup *backup;
};

static int say(struct ts_store_error *error, const char *what, int number)
{
    ts_sql_format_error(error, "%s: %s", what, strerror(number));
    return number == ENOMEM ? TS_ENOMEM : TS_ESTORE;
}

/* Nobody else knows the file: no journal, no sync. */
static int open_copy(struct ts_copy *copy)
{
    int rc = sqlite3_open_v2(copy->path, &copy->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                             NULL);
    return rc ? rc : ts_sql_exec(copy->db, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA mmap_size=0");
}

int ts_copy_start(struct ts_store *store, struct ts_copy **ret_copy, struct ts_store_error *ret_error)
{
    struct ts_copy *copy = calloc(1, sizeof(*copy));
    const char *name = sqlite3_db_filename(store->db, "main");
    if (!copy || asprintf(&copy->path, "%s" TS_FILE_COPY, name) < 0) {
        free(copy);
        return say(ret_error, "cannot copy the database", ENOMEM);
    }
    int fd = open(copy->path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        int r = say(ret_error, "cannot create a copy beside the database", errno);
        free(copy->path);
        free(copy);
        return r;
    }
    close(fd);
    int rc = open_copy(copy);
    if (!rc) {
        copy->backup = sqlite3_backup_init(copy->db, "main", store->db, "main");
        rc = copy->backup ? SQLITE_OK : sqlite3_extended_errcode(copy->db);
    }
    if (rc) {
        ts_sql_set_error(ret_error, copy->db, rc, "cannot copy the database");
        ts_copy_free(copy);
        return TS_ESTORE;
    }
    *ret_copy = copy;
    return 0;
}

/* The copy says that it has a log, as the database does. It has none, and is to be whole without one. */
static int without_log(const char *path)
{
    static const unsigned char rollback_mode[2] = {1, 1};
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : pwrite(fd, rollback_mode, 2, 18);
    if (fd >= 0)
        close(fd);
    return n == 2 ? 0 : -1;
}

int ts_copy_step(struct ts_copy *copy, int pages, bool *ret_more, struct ts_store_error *ret_error)
{
    errno = 0;
    int rc = sqlite3_backup_step(copy->backup, pages);
    *ret_more = rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED;
    if (*ret_more)
        return 0;
    if (rc == SQLITE_DONE) {
        rc = sqlite3_backup_finish(copy->backup);
        copy->backup = NULL;
    }
    if (rc) {
        ts_sql_set_error(ret_error, copy->db, rc, "cannot copy the database");
        return TS_ESTORE;
    }
    sqlite3_close(copy->db);
    copy->db = NULL;
    return without_log(copy->path) ? say(ret_error, "cannot finish the copy", errno) : 0;
}

/* ---- A coarser grid ---- */

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

static int refuse_width(struct ts_store_error *error, int64_t width, const char *words, int64_t other)
{
    char a[32], b[32];
    ts_sql_format_error(error, "%s %s %s", ts_format_duration(width, a), words, ts_format_duration(other, b));
    return TS_EINVAL;
}

static int judge_width(const struct ts_levels *levels, const struct ts_level *longest, int64_t width,
                       struct ts_store_error *error)
{
    if (width <= levels->grid.time_slice)
        return refuse_width(error, width, "is not coarser than the stored time_slice", levels->grid.time_slice);
    if (width % levels->grid.time_slice)
        return refuse_width(error, width, "is not a multiple of the stored time_slice", levels->grid.time_slice);
    if (longest->width % width && width % longest->width)
        return refuse_width(error, width, "neither divides nor is a multiple of the level that is kept longest,",
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

/* All that levels which divide the new width have, in buckets of it, under NEW_LEVEL. */
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
        ts_sql_set_error(error, db, rc, "cannot put the copy onto another grid");
    return r ? TS_ESTORE : ts_sql_code(rc);
}

/* The first position from which on levels that divide the new width have everything. Where a wider level goes back
   further, it is that of a whole new bucket; else the oldest bucket has what is left of it. */
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

/* The levels on the new grid: the new finest one, and those wider ones that are multiples of it. */
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
        /* The planner's own ones are built from what is kept longest. */
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

static int write_levels(sqlite3 *db, const struct ts_levels *levels)
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

int ts_copy_regrid(struct ts_copy *copy, int64_t time_slice, struct ts_store_error *ret_error)
{
    struct ts_grid grid = {0};
    struct ts_levels levels;
    struct ts_levels next;
    sqlite3_stmt *stmt = NULL;
    int rc = open_copy(copy);
    if (!rc)
        rc = sqlite3_create_function_v2(copy->db, "ts_add", 2, SQLITE_UTF8, NULL, sql_add, NULL, NULL, NULL);
    if (!rc)
        rc =
            sqlite3_create_function_v2(copy->db, "ts_floor_div", 3, SQLITE_UTF8, NULL, sql_floor_div, NULL, NULL, NULL);
    if (!rc)
        rc = sqlite3_prepare_v2(copy->db, "SELECT start_time, time_slice FROM grid", -1, &stmt, NULL);
    if (!rc) {
        rc = sqlite3_step(stmt) == SQLITE_ROW ? SQLITE_OK : SQLITE_CORRUPT;
        grid = (struct ts_grid){sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1)};
    }
    sqlite3_finalize(stmt);
    if (!rc)
        rc = ts_store_read_levels(copy->db, &grid, &levels);
    if (rc) {
        ts_sql_set_error(ret_error, copy->db, rc, "cannot put the copy onto another grid");
        return TS_ESTORE;
    }
    const struct ts_level *longest = &levels.items[0];
    for (size_t i = 0; i < levels.n; i++)
        longest = ts_level_is_longest(&levels, &levels.items[i]) ? &levels.items[i] : longest;
    int r = judge_width(&levels, longest, time_slice, ret_error);
    if (r)
        return r;
    int64_t unit = time_slice / grid.time_slice;
    int64_t from = covered_from(&levels, longest, unit);
    regrid_levels(&levels, longest, unit, from, &next);
    r = fill(copy->db, &levels, unit, from, ret_error);
    if (r)
        return r;
    rc = write_levels(copy->db, &next);
    if (rc)
        ts_sql_set_error(ret_error, copy->db, rc, "cannot put the copy onto another grid");
    sqlite3_close(copy->db);
    copy->db = NULL;
    return ts_sql_code(rc);
}

int ts_copy_open(struct ts_copy *copy, int *ret_fd, int64_t *ret_len, struct ts_store_error *ret_error)
{
    struct stat st;
    int fd = open(copy->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st)) {
        int r = say(ret_error, "cannot read the copy", errno);
        if (fd >= 0)
            close(fd);
        return r;
    }
    unlink(copy->path);
    *ret_fd = fd;
    *ret_len = st.st_size;
    return 0;
}

struct ts_copy *ts_copy_free(struct ts_copy *copy)
{
    if (!copy)
        return NULL;
    if (copy->backup)
        sqlite3_backup_finish(copy->backup);
    sqlite3_close(copy->db);
    unlink(copy->path);
    free(copy->path);
    free(copy);
    return NULL;
}
