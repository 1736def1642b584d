#include "lib/store/clients.h"

#include <string.h>

/* Damage does not go away at the next try. */
static int load_code(int rc)
{
    return ts_sql_damaged(rc) ? TS_EREFUSED : ts_sql_code(rc);
}

int ts_store_load_clients(struct ts_store *store, ts_client_cb on_client, void *data)
{
    sqlite3_stmt *stmt = store->stmts[TS_GET_CLIENTS];
    int rc = SQLITE_OK;
    int r = 0;
    while (!r && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(stmt, 0);
        if (!text)
            r = TS_ENOMEM;
        else
            r = on_client(data, (struct ts_str){text, (size_t)sqlite3_column_bytes(stmt, 0)},
                          (uint64_t)sqlite3_column_int64(stmt, 1), sqlite3_column_int64(stmt, 2));
    }
    sqlite3_reset(stmt);
    return r ? r : load_code(rc);
}

int ts_store_load_uptime(struct ts_store *store, int64_t *ret_uptime)
{
    return load_code(ts_sql_integers(store->db, "SELECT uptime FROM uptime", ret_uptime, 1));
}

int ts_store_put_times(struct ts_store *store, int64_t uptime, int64_t horizon)
{
    sqlite3_stmt *stmt = store->stmts[TS_PUT_UPTIME];
    sqlite3_bind_int64(stmt, 1, uptime);
    sqlite3_bind_int64(stmt, 2, horizon);
    return ts_sql_run(stmt);
}

int ts_store_put_clients(struct ts_store *store, const struct ts_store_batch *batch)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; !rc && i < batch->n_clients; i++) {
        const struct ts_client_row *row = &batch->clients[i];
        sqlite3_stmt *stmt = store->stmts[row->remove ? TS_DELETE_CLIENT : TS_PUT_CLIENT];
        const struct ts_str client = {row->client, strlen(row->client)};
        rc = ts_sql_bind_text(stmt, 1, &client);
        if (!rc && !row->remove) {
            sqlite3_bind_int64(stmt, 2, (int64_t)row->last_seq);
            sqlite3_bind_int64(stmt, 3, batch->uptime);
        }
        if (!rc)
            rc = ts_sql_run(stmt);
        sqlite3_clear_bindings(stmt); /* the text is the caller's */
    }
    return rc;
}
