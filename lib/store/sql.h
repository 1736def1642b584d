/*
 * SQLite for both halves of the driver, the writing and the reading one. For lib/store only.
 */
#ifndef TS_STORE_SQL_H
#define TS_STORE_SQL_H

#include "lib/store/store.h"

#include <sqlite3.h>

/* Translates SQLite's codes; nothing else does. SQLITE_OK, _ROW and _DONE are 0. */
int ts_sql_code(int rc);
bool ts_sql_damaged(int rc);
/* "what: SQLite's message (the system's message)". */
void ts_sql_set_error(struct ts_store_error *error, sqlite3 *db, int rc, const char *what);
void ts_sql_format_error(struct ts_store_error *error, const char *format, ...) TS_PRINTF(2, 3);

/* With SQLite's codes: */
int ts_sql_exec(sqlite3 *db, const char *sql); /* statements without results */
int ts_sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_stmt);
int ts_sql_run(sqlite3_stmt *stmt); /* steps and resets a statement without results */
/* Steps a statement: true if there is a row, else *ret_rc is set (SQLITE_OK at the end of the rows). */
bool ts_sql_row(sqlite3_stmt *stmt, int *ret_rc);
/* Binds values as the parameters first, first + 1, ... */
void ts_sql_bind(sqlite3_stmt *stmt, int first, const int64_t *values, int n);
int ts_sql_bind_text(sqlite3_stmt *stmt, int i, const struct ts_str *text); /* without a copy; NULL for no data */
/* Reads the first n columns of one row. SQLITE_CORRUPT: there is no row. */
int ts_sql_integers(sqlite3 *db, const char *sql, int64_t *ret_values, int n);

/* Walks TS_SQL_LOCATIONS and TS_SQL_LABEL_SETS, until *canceled if it is not NULL. Resets the statement. */
int ts_sql_walk_locations(sqlite3_stmt *stmt, const _Atomic bool *canceled, ts_location_cb cb, void *data) TS_MUST_USE;
int ts_sql_walk_label_sets(sqlite3_stmt *stmt, const _Atomic bool *canceled, ts_labels_cb cb, void *data) TS_MUST_USE;

#endif
