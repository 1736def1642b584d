/*
 * Reading connections.
 *
 * A reader is opened read-only and query_only, and never checkpoints, not even when it is the last one to close: only
 * the writing connection does (lib/store/store.h has the reason). Between begin and end it sees the state after one
 * commit, and the write-ahead log cannot be reset meanwhile, so callers bound the time. Statements are prepared at
 * first use and kept.
 *
 * One thread at a time, except for ts_reader_interrupt(). It sets a flag that holds until the next begin, so that it is
 * not lost between two statements, and interrupts the current step of SQLite.
 */
#include "lib/store/reader.h"

#include "lib/store/levels.h"
#include "lib/store/schema.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUSY_MS = 1000,
    PROGRESS_STEPS = 10000 /* of SQLite's virtual machine: some tenths of a millisecond */
};

enum statement { BEGIN, ROLLBACK, LOCATIONS, LABEL_SETS, SUMS, SUMS_DOWN, PROFILES, PROFILES_DOWN, N_STATEMENTS };

#define RANGE " WHERE level = ?1 AND bucket >= ?2 AND bucket < ?3 ORDER BY bucket"
#define SELECT_SUMS "SELECT bucket, labels, location, cumtime, tottime, ncalls, pcalls FROM sums" RANGE
#define SELECT_PROFILES \
    "SELECT bucket, labels, profiles, exact_profiles, total_tt, parts_expected, parts_received FROM profiles" RANGE

static const char *const statements[N_STATEMENTS] = {
    [BEGIN] = "BEGIN",
    [ROLLBACK] = "ROLLBACK",
    [LOCATIONS] = TS_SQL_LOCATIONS,
    [LABEL_SETS] = TS_SQL_LABEL_SETS,
    [SUMS] = SELECT_SUMS,
    [SUMS_DOWN] = SELECT_SUMS " DESC",
    [PROFILES] = SELECT_PROFILES,
    [PROFILES_DOWN] = SELECT_PROFILES " DESC",
};

struct ts_reader {
    sqlite3 *db;
    atomic_bool canceled;
    struct ts_levels levels; /* in the state that is read */
    sqlite3_stmt *stmts[N_STATEMENTS];
};

static int statement(struct ts_reader *reader, enum statement which, sqlite3_stmt **ret_stmt)
{
    if (!reader->stmts[which]) {
        int rc = ts_sql_prepare(reader->db, statements[which], &reader->stmts[which]);
        if (rc)
            return ts_sql_code(rc);
    }
    *ret_stmt = reader->stmts[which];
    return 0;
}

/* Runs a statement without results. */
static int run(struct ts_reader *reader, enum statement which)
{
    sqlite3_stmt *stmt = NULL;
    int r = statement(reader, which, &stmt);
    if (r)
        return r;
    r = ts_sql_code(sqlite3_step(stmt));
    sqlite3_reset(stmt);
    return r;
}

int ts_reader_open(const char *path, struct ts_reader **ret_reader, struct ts_store_error *ret_error)
{
    struct ts_reader *reader = calloc(1, sizeof(*reader));
    if (!reader) {
        ts_sql_format_error(ret_error, "out of memory");
        return TS_ENOMEM;
    }
    atomic_init(&reader->canceled, false);
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int rc = sqlite3_open_v2(path, &reader->db, flags, NULL);
    if (!rc)
        rc = sqlite3_busy_timeout(reader->db, BUSY_MS);
    if (!rc)
        rc = sqlite3_db_config(reader->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (!rc) /* the last statement reads the file, so that an unreadable one fails here */
        rc = ts_sql_exec(reader->db, "PRAGMA query_only=ON; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;"
                                     " PRAGMA mmap_size=0; SELECT one FROM grid");
    if (rc) {
        ts_sql_set_error(ret_error, reader->db, rc, "cannot read the database");
        ts_reader_close(reader);
        return TS_ESTORE;
    }
    *ret_reader = reader;
    return 0;
}

struct ts_reader *ts_reader_close(struct ts_reader *reader)
{
    if (!reader)
        return NULL;
    for (int i = 0; i < N_STATEMENTS; i++)
        sqlite3_finalize(reader->stmts[i]);
    sqlite3_close(reader->db);
    free(reader);
    return NULL;
}

int ts_reader_begin(struct ts_reader *reader)
{
    reader->canceled = false;
    int r = run(reader, BEGIN);
    if (!r)
        r = ts_sql_code(ts_store_read_grid(reader->db, &reader->levels)); /* takes the snapshot; BEGIN does not */
    if (r)
        ts_reader_end(reader);
    return r;
}

const struct ts_levels *ts_reader_levels(const struct ts_reader *reader)
{
    return &reader->levels;
}

void ts_reader_end(struct ts_reader *reader)
{
    if (sqlite3_get_autocommit(reader->db))
        return;
    /* Preparing the statement may fail, but the snapshot must be released. */
    if (run(reader, ROLLBACK))
        ts_sql_exec(reader->db, "ROLLBACK");
}

void ts_reader_interrupt(struct ts_reader *reader)
{
    reader->canceled = true;
    sqlite3_interrupt(reader->db);
}

static int on_progress(void *data)
{
    struct ts_reader *reader = data;
    return reader->canceled;
}

static int fail_damaged(struct ts_store_error *ret_error, const char *details)
{
    ts_sql_format_error(ret_error,
                        "the database is damaged (%.200s); restore it from a backup, or start with another store.path",
                        details);
    return TS_EREFUSED;
}

int ts_reader_check(struct ts_reader *reader, struct ts_store_error *ret_error)
{
    sqlite3_stmt *stmt = NULL;
    int r = 0;
    /* sqlite3_interrupt() alone would have no effect if it came before the statement. */
    sqlite3_progress_handler(reader->db, PROGRESS_STEPS, on_progress, reader);
    int rc = sqlite3_prepare_v2(reader->db, "PRAGMA quick_check(1)", -1, &stmt, NULL);
    if (!rc)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        const char *message = (const char *)sqlite3_column_text(stmt, 0);
        const char *last = message ? strrchr(message, '\n') : NULL; /* the first line is a heading */
        message = last ? last + 1 : message;
        if (!message || strcmp(message, "ok") != 0)
            r = fail_damaged(ret_error, message ? message : "no result");
    } else if (ts_sql_damaged(rc)) {
        r = fail_damaged(ret_error, sqlite3_errmsg(reader->db));
    } else {
        ts_sql_set_error(ret_error, reader->db, rc, "cannot check the database");
        r = ts_sql_code(rc);
    }
    sqlite3_finalize(stmt);
    sqlite3_progress_handler(reader->db, 0, NULL, NULL);
    return r;
}

int ts_reader_locations(struct ts_reader *reader, ts_location_cb cb, void *data)
{
    sqlite3_stmt *stmt = NULL;
    int r = statement(reader, LOCATIONS, &stmt);
    return r ? r : ts_sql_walk_locations(stmt, &reader->canceled, cb, data);
}

int ts_reader_label_sets(struct ts_reader *reader, ts_labels_cb cb, void *data)
{
    sqlite3_stmt *stmt = NULL;
    int r = statement(reader, LABEL_SETS, &stmt);
    return r ? r : ts_sql_walk_label_sets(stmt, &reader->canceled, cb, data);
}

/* The next row of a statement. */
static int next_row(struct ts_reader *reader, sqlite3_stmt *stmt, bool *ret_row)
{
    if (reader->canceled)
        return TS_ECANCELED;
    int rc = sqlite3_step(stmt);
    *ret_row = rc == SQLITE_ROW;
    return ts_sql_code(rc);
}

static int bind_segment(struct ts_reader *reader, enum statement which, const struct ts_segment *segment,
                        sqlite3_stmt **ret_stmt)
{
    assert(!sqlite3_get_autocommit(reader->db)); /* the segment's level is that of the state being read */
    int r = statement(reader, which, ret_stmt);
    if (r)
        return r;
    sqlite3_bind_int64(*ret_stmt, 1, segment->level->id);
    sqlite3_bind_int64(*ret_stmt, 2, segment->from);
    sqlite3_bind_int64(*ret_stmt, 3, segment->to);
    return 0;
}

int ts_reader_sums(struct ts_reader *reader, const struct ts_segment *segment, bool descending, ts_sum_cb cb,
                   void *data)
{
    sqlite3_stmt *stmt = NULL;
    bool more = false;
    int r = bind_segment(reader, descending ? SUMS_DOWN : SUMS, segment, &stmt);
    if (r)
        return r;
    while (!(r = next_row(reader, stmt, &more)) && more) {
        struct ts_sum_row row = {
            .bucket = sqlite3_column_int64(stmt, 0),
            .labels = (uint32_t)sqlite3_column_int64(stmt, 1),
            .location = (uint32_t)sqlite3_column_int64(stmt, 2),
            .sums = {.cumtime = sqlite3_column_int64(stmt, 3),
                     .tottime = sqlite3_column_int64(stmt, 4),
                     .ncalls = sqlite3_column_int64(stmt, 5),
                     .pcalls = sqlite3_column_int64(stmt, 6)},
        };
        r = cb(data, &row);
        if (r)
            break;
    }
    sqlite3_reset(stmt);
    return r;
}

int ts_reader_profiles(struct ts_reader *reader, const struct ts_segment *segment, bool descending, ts_profile_cb cb,
                       void *data)
{
    sqlite3_stmt *stmt = NULL;
    bool more = false;
    int r = bind_segment(reader, descending ? PROFILES_DOWN : PROFILES, segment, &stmt);
    if (r)
        return r;
    while (!(r = next_row(reader, stmt, &more)) && more) {
        struct ts_profile_row row = {
            .bucket = sqlite3_column_int64(stmt, 0),
            .labels = (uint32_t)sqlite3_column_int64(stmt, 1),
            .sums = {.profiles = sqlite3_column_int64(stmt, 2),
                     .exact_profiles = sqlite3_column_int64(stmt, 3),
                     .total_tt = sqlite3_column_int64(stmt, 4),
                     .parts_expected = sqlite3_column_int64(stmt, 5),
                     .parts_received = sqlite3_column_int64(stmt, 6)},
        };
        r = cb(data, &row);
        if (r)
            break;
    }
    sqlite3_reset(stmt);
    return r;
}
