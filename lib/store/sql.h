/* What the writing and the reading half of the SQLite driver share. For lib/store_*.c only. */
#ifndef TS_STORE_SQL_H
#define TS_STORE_SQL_H

#include "lib/store/store.h"

#include <sqlite3.h>

/* The one place where SQLite's codes become ours. OK, ROW and DONE are 0. */
int ts_sql_code(int rc);
bool ts_sql_damaged(int rc);
/* "what: SQLite's words (the system's words)". */
void ts_sql_message(struct ts_store_error *error, sqlite3 *db, int rc, const char *what);
void ts_sql_say(struct ts_store_error *error, const char *format, ...) TS_PRINTF(2, 3);

/* Runs statements that give no rows worth keeping; gives SQLite's code. */
int ts_sql_exec(sqlite3 *db, const char *sql);
int ts_sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_stmt);

/* The text of a statement of enum ts_statement. */
const char *ts_sql_statement(int which);

/* A row of levels, on any connection. */
int ts_sql_insert_level(sqlite3 *db, const struct ts_level *level);

/* Walk TS_SQL_LOCATIONS and TS_SQL_LABEL_SETS; `canceled`, where given, ends them. The statement is reset. */
int ts_sql_walk_locations(sqlite3_stmt *stmt, const _Atomic bool *canceled, ts_location_cb cb, void *data) TS_MUST_USE;
int ts_sql_walk_label_sets(sqlite3_stmt *stmt, const _Atomic bool *canceled, ts_labels_cb cb, void *data) TS_MUST_USE;

#endif
