/*
 * Identifying an opened file: schema version, grid, levels, and whether the statements fit its tables.
 */
#include "lib/store/identify.h"

#include "lib/base/text.h"
#include "lib/base/units.h"
#include "lib/store/levels.h"
#include "lib/store/schema.h"

#include <stdio.h>
#include <time.h>

/* The origin in the configuration's notation, and as a date. */
static void describe_time(int64_t ns, char *text, size_t size)
{
    struct ts_buf buf;
    struct tm tm;
    char date[32] = "";
    time_t seconds = (time_t)ts_floor_div(ns, TS_NS_PER_S);
    if (gmtime_r(&seconds, &tm) && strftime(date, sizeof(date), " (%Y-%m-%dT%H:%M:%SZ)", &tm) == 0)
        date[0] = '\0';
    ts_buf_init(&buf);
    ts_put_seconds(&buf, ns);
    snprintf(text, size, "%.*s%s", (int)buf.len, buf.data ? buf.data : "", date);
    ts_buf_deinit(&buf);
}

static int compare_grid(const struct ts_store_config *config, const char *path, const struct ts_grid *stored,
                        struct ts_store_error *ret_error)
{
    char have[64];
    char want[64];
    const char *key = NULL;
    if (stored->time_slice != config->grid.time_slice) {
        key = "time_slice";
        ts_format_duration(stored->time_slice, have);
        ts_format_duration(config->grid.time_slice, want);
    } else if (!config->start_time_is_now && stored->start_time != config->grid.start_time) {
        key = "start_time";
        describe_time(stored->start_time, have, sizeof(have));
        describe_time(config->grid.start_time, want, sizeof(want));
    }
    if (!key)
        return 0;
    ts_sql_format_error(ret_error,
                        "the database %.200s has %s %s, the configuration has %s; set aggregation.%s back to the"
                        " stored value, or choose another store.path",
                        path, key, have, want, key);
    return TS_EREFUSED;
}

int ts_store_identify_fail(struct ts_store *store, int rc, const char *path, struct ts_store_error *ret_error)
{
    struct ts_store_error cause;
    ts_sql_set_error(&cause, store->db, rc, "cannot open the database");
    /* SQLITE_ERROR: a statement does not fit the tables. */
    if (!ts_sql_damaged(rc) && rc != SQLITE_ERROR) {
        *ret_error = cause;
        return ts_sql_code(rc);
    }
    ts_sql_format_error(ret_error,
                        "the database %.160s is damaged (%.160s); restore it from a backup, or choose another"
                        " store.path",
                        path, sqlite3_errmsg(store->db));
    return TS_EREFUSED;
}

#define FROM_2 "DROP VIEW bucket_totals; DROP TABLE levels;" TS_SCHEMA_LEVELS TS_SCHEMA_VIEW "PRAGMA user_version=3;"

/* The SQL that upgrades from each version. */
static const char *const upgrades[TS_SCHEMA_VERSION] = {
    [1] = TS_SCHEMA_CLIENTS TS_SCHEMA_UPTIME FROM_2,
    [2] = TS_SCHEMA_HORIZON FROM_2,
};

int ts_store_identify(struct ts_store *store, const struct ts_store_config *config, const char *path,
                      const char **ret_upgrade, struct ts_store_error *ret_error)
{
    /* How many of the statements fit a version. */
    static const int n_statements[TS_SCHEMA_VERSION + 1] = {0, TS_N_STATEMENTS_1, TS_N_STATEMENTS_2, TS_N_STATEMENTS};
    int64_t version = 0;
    int64_t values[3] = {0};
    int rc = ts_sql_integers(store->db, "PRAGMA user_version", &version, 1);
    if (!rc && (version < 1 || version > TS_SCHEMA_VERSION)) {
        /* Checked first: a newer file may differ in everything else. */
        ts_sql_format_error(ret_error,
                            "the database %.200s has schema version %lld%s, this program supports version %d; %s, or"
                            " choose another store.path",
                            path, (long long)version,
                            version > TS_SCHEMA_VERSION ? ", made by a newer timesliced" : ", which never existed",
                            TS_SCHEMA_VERSION,
                            version > TS_SCHEMA_VERSION ? "install the newer one" : "restore it from a backup");
        return TS_EREFUSED;
    }
    if (!rc)
        rc = ts_sql_integers(store->db, "SELECT start_time, time_slice, width FROM grid, levels WHERE level = 0",
                             values, 3);
    if (!rc)
        rc = ts_statements_prepare(store->db, store->stmts, n_statements[version]);
    if (rc)
        return ts_store_identify_fail(store, rc, path, ret_error);
    struct ts_grid grid = {.start_time = values[0], .time_slice = values[1]};
    bool sound = grid.time_slice > 0 && grid.time_slice == values[2];
    store->levels.grid = grid;
    if (sound && version == TS_SCHEMA_VERSION) {
        rc = ts_store_read_levels(store->db, &grid, &store->levels);
        sound = rc != SQLITE_CORRUPT || sqlite3_errcode(store->db) == SQLITE_CORRUPT;
        if (rc && sound)
            return ts_store_identify_fail(store, rc, path, ret_error);
    }
    if (!sound) {
        ts_sql_format_error(
            ret_error,
            "the database %.200s is damaged: its levels do not fit its grid or each other; restore it from a"
            " backup, or choose another store.path",
            path);
        return TS_EREFUSED;
    }
    *ret_upgrade = version == TS_SCHEMA_VERSION ? NULL : upgrades[version];
    return compare_grid(config, path, &grid, ret_error);
}
