/*
 * Shared pieces of the SQLite driver: its codes and words turned into ours, and the walks over names that the writer
 * (at start) and the readers (in queries) both make.
 *
 * All connections are opened with SQLITE_OPEN_EXRESCODE: every code seen here is an extended one.
 */
#include "lib/store/sql.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int ts_sql_code(int rc)
{
    switch (rc) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_INTERRUPT:
        return TS_ECANCELED;
    case SQLITE_IOERR_FSYNC:
    case SQLITE_IOERR_DIR_FSYNC:
        /* The kernel has dropped the pages it could not write; asked again it says they are fine. */
        return TS_ESYNC;
    default:
        return TS_ESTORE;
    }
}

bool ts_sql_damaged(int rc)
{
    return (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB;
}

void ts_sql_say(struct ts_store_error *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error->message, sizeof(error->message), format, args);
    va_end(args);
}

void ts_sql_message(struct ts_store_error *error, sqlite3 *db, int rc, const char *what)
{
    /* A failing COMMIT leaves sqlite3_system_errno() as it was, so the system's own comes first. After other codes both
       are those of some earlier failure. */
    int last = errno;
    bool system = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN;
    int number = !db || !system ? 0 : last ? last : sqlite3_system_errno(db);
    /* errmsg speaks of the connection's last call, which may be a later one than the one that failed. */
    const char *text = db && sqlite3_extended_errcode(db) == rc ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
    ts_sql_say(error, "%s: %.300s%s%s%s%s", what, text, number ? " (" : "", number ? strerror(number) : "",
               number ? ")" : "", ts_sql_damaged(rc) ? "; the file is damaged, restore it from a backup" : "");
}

int ts_sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_stmt)
{
    return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_stmt, NULL);
}

int ts_sql_exec(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* A view of a column; none for NULL. False where memory ran out on the way. */
static bool column(sqlite3_stmt *stmt, int i, struct ts_str *ret)
{
    *ret = (struct ts_str){0};
    if (sqlite3_column_type(stmt, i) == SQLITE_NULL)
        return true;
    const char *text = (const char *)sqlite3_column_text(stmt, i);
    if (!text)
        return false;
    *ret = (struct ts_str){.data = text, .len = (size_t)sqlite3_column_bytes(stmt, i)};
    return true;
}

static bool number(sqlite3_stmt *stmt, uint32_t *ret_id)
{
    int64_t id = sqlite3_column_int64(stmt, 0);
    if (id < 1 || id > UINT32_MAX)
        return false;
    *ret_id = (uint32_t)id;
    return true;
}

static int next_row(sqlite3_stmt *stmt, const _Atomic bool *canceled, bool *ret_row)
{
    if (canceled && *canceled)
        return TS_ECANCELED;
    int rc = sqlite3_step(stmt);
    *ret_row = rc == SQLITE_ROW;
    return ts_sql_code(rc);
}

int ts_sql_walk_locations(sqlite3_stmt *stmt, const _Atomic bool *canceled, ts_location_cb cb, void *data)
{
    bool row = false;
    int r;
    while (!(r = next_row(stmt, canceled, &row)) && row) {
        uint32_t id;
        struct ts_location location = {.line_number = -1};
        if (!number(stmt, &id) || !column(stmt, 1, &location.raw_name) || !column(stmt, 2, &location.file_name) ||
            !location.raw_name.data) {
            r = TS_ESTORE;
            break;
        }
        if (sqlite3_column_type(stmt, 3) != SQLITE_NULL)
            location.line_number = sqlite3_column_int(stmt, 3);
        r = cb(data, id, &location);
        if (r)
            break;
    }
    sqlite3_reset(stmt);
    return r;
}

int ts_sql_walk_label_sets(sqlite3_stmt *stmt, const _Atomic bool *canceled, ts_labels_cb cb, void *data)
{
    bool row = false;
    int r;
    while (!(r = next_row(stmt, canceled, &row)) && row) {
        uint32_t id;
        struct ts_str labels;
        if (!number(stmt, &id) || !column(stmt, 1, &labels) || !labels.data) {
            r = TS_ESTORE;
            break;
        }
        r = cb(data, id, labels.data, labels.len);
        if (r)
            break;
    }
    sqlite3_reset(stmt);
    return r;
}

int ts_sql_insert_level(sqlite3 *db, const struct ts_level *level)
{
    char *sql =
        sqlite3_mprintf("INSERT INTO levels VALUES(%lld, %lld, %lld, %d, %lld, %lld, %lld,"
                        " %lld, %u, %u, %lld, %u, %lld, %lld)",
                        level->id, level->width, level->keep, (int)level->kind, level->since, level->live,
                        level->source, level->built.bucket, level->built.labels, level->built.location,
                        level->built_profiles.bucket, level->built_profiles.labels, level->view_from, level->view_to);
    int rc = sql ? ts_sql_exec(db, sql) : SQLITE_NOMEM;
    sqlite3_free(sql);
    return rc;
}
