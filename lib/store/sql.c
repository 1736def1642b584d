/*
 * SQLite for both halves of the driver: its codes and messages translated, and the walks over names that both make.
 *
 * Every connection is opened with SQLITE_OPEN_EXRESCODE, so all codes here are extended ones.
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
        /* The kernel has dropped the pages it could not write, and the next fsync() would succeed. */
        return TS_ESYNC;
    default:
        return TS_ESTORE;
    }
}

bool ts_sql_damaged(int rc)
{
    return (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB;
}

void ts_sql_format_error(struct ts_store_error *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error->message, sizeof(error->message), format, args);
    va_end(args);
}

void ts_sql_set_error(struct ts_store_error *error, sqlite3 *db, int rc, const char *what)
{
    /* errno comes first, because a failing COMMIT does not set sqlite3_system_errno(). After other codes both belong to
       an earlier failure. */
    int last = errno;
    bool system = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN;
    int number = !db || !system ? 0 : last ? last : sqlite3_system_errno(db);
    /* sqlite3_errmsg() is that of the connection's last call, which may not be the one that failed. */
    const char *text = db && sqlite3_extended_errcode(db) == rc ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
    ts_sql_format_error(error, "%s: %.300s%s%s%s%s", what, text, number ? " (" : "", number ? strerror(number) : "",
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

int ts_sql_run(sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

bool ts_sql_row(sqlite3_stmt *stmt, int *ret_rc)
{
    int rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW)
        *ret_rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
    return rc == SQLITE_ROW;
}

void ts_sql_bind(sqlite3_stmt *stmt, int first, const int64_t *values, int n)
{
    /* An integer cannot fail to bind; the step would report a misuse. */
    for (int i = 0; i < n; i++)
        sqlite3_bind_int64(stmt, first + i, values[i]);
}

int ts_sql_bind_text(sqlite3_stmt *stmt, int i, const struct ts_str *text)
{
    if (!text->data)
        return sqlite3_bind_null(stmt, i);
    return sqlite3_bind_text64(stmt, i, text->data, text->len, SQLITE_STATIC, SQLITE_UTF8);
}

int ts_sql_integers(sqlite3 *db, const char *sql, int64_t *ret_values, int n)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (!rc) {
        rc = sqlite3_step(stmt);
        for (int i = 0; rc == SQLITE_ROW && i < n; i++)
            ret_values[i] = sqlite3_column_int64(stmt, i);
        rc = rc == SQLITE_ROW ? SQLITE_OK : rc == SQLITE_DONE ? SQLITE_CORRUPT : rc;
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* ---- Walks over names ---- */

/* A view of a column's text; no data for NULL. False: out of memory. */
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

/* The id in column 0. False: it is out of range, the file is damaged. */
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
