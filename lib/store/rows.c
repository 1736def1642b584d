#include "lib/store/rows.h"

int ts_table_width(enum ts_table table)
{
    return table == TS_TABLE_SUMS ? TS_N_SUMS : TS_N_PROFILE_SUMS;
}

/* Binds the key; returns the number of the next parameter. */
static int bind_key(sqlite3_stmt *stmt, enum ts_table table, int64_t level, const struct ts_row *row)
{
    const int64_t values[] = {level, row->bucket, row->labels, row->location};
    int n = table == TS_TABLE_SUMS ? 4 : 3;
    ts_sql_bind(stmt, 1, values, n);
    return n + 1;
}

int ts_row_read(struct ts_store *store, enum ts_table table, int64_t level, struct ts_row *row, bool *ret_found)
{
    sqlite3_stmt *stmt = store->stmts[table == TS_TABLE_SUMS ? TS_SUM_AT : TS_PROFILE_AT];
    bind_key(stmt, table, level, row);
    int rc = sqlite3_step(stmt);
    *ret_found = rc == SQLITE_ROW;
    for (int i = 0; *ret_found && i < ts_table_width(table); i++)
        row->values[i] = sqlite3_column_int64(stmt, i);
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int ts_row_update(struct ts_store *store, enum ts_table table, int64_t level, const struct ts_row *row)
{
    sqlite3_stmt *stmt = store->stmts[table == TS_TABLE_SUMS ? TS_SET_SUM : TS_SET_PROFILE];
    int next = bind_key(stmt, table, level, row);
    ts_sql_bind(stmt, next, row->values, ts_table_width(table));
    return ts_sql_run(stmt);
}

int ts_row_delete(struct ts_store *store, enum ts_table table, int64_t level, const struct ts_row *row)
{
    sqlite3_stmt *stmt = store->stmts[table == TS_TABLE_SUMS ? TS_DELETE_SUM : TS_DELETE_PROFILE];
    bind_key(stmt, table, level, row);
    return ts_sql_run(stmt);
}

sqlite3_stmt *ts_rows_begin(struct ts_store *store, enum ts_table table, int64_t level, const struct ts_row *from,
                            int64_t limit)
{
    sqlite3_stmt *stmt = store->stmts[table == TS_TABLE_SUMS ? TS_SUMS_FROM : TS_PROFILES_FROM];
    const int64_t end[] = {from->bucket + 1, limit};
    ts_sql_bind(stmt, bind_key(stmt, table, level, from), end, 2);
    return stmt;
}

bool ts_rows_next(sqlite3_stmt *stmt, enum ts_table table, struct ts_row *ret_row, int *ret_rc)
{
    int rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW) {
        sqlite3_reset(stmt);
        *ret_rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
        return false;
    }
    int column = 0;
    ret_row->bucket = sqlite3_column_int64(stmt, column++);
    ret_row->labels = (uint32_t)sqlite3_column_int64(stmt, column++);
    ret_row->location = table == TS_TABLE_SUMS ? (uint32_t)sqlite3_column_int64(stmt, column++) : 0;
    for (int i = 0; i < ts_table_width(table); i++)
        ret_row->values[i] = sqlite3_column_int64(stmt, column++);
    return true;
}

void ts_rows_end(sqlite3_stmt *stmt)
{
    sqlite3_reset(stmt);
}

bool ts_row_after(enum ts_table table, struct ts_row *key)
{
    if (table == TS_TABLE_SUMS && key->location < UINT32_MAX) {
        key->location++;
        return true;
    }
    key->location = 0;
    return key->labels++ < UINT32_MAX;
}

int ts_rows_bucket(struct ts_store *store, enum ts_table table, const struct ts_level *level, int64_t from,
                   int64_t *ret_bucket)
{
    sqlite3_stmt *stmt = store->stmts[table == TS_TABLE_SUMS ? TS_NEXT_SUM : TS_NEXT_PROFILE];
    sqlite3_bind_int64(stmt, 1, level->id);
    sqlite3_bind_int64(stmt, 2, from > level->since ? from : level->since);
    int rc = sqlite3_step(stmt);
    bool none = rc != SQLITE_ROW || sqlite3_column_type(stmt, 0) == SQLITE_NULL;
    *ret_bucket = none ? INT64_MAX : sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW ? SQLITE_OK : rc;
}
