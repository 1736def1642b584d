/*
 * The statements of the writing connection, prepared once and kept.
 */
#include "lib/store/statements.h"

#include "lib/store/schema.h"

/* Rows at and after a key. */
#define FROM_KEY3 " WHERE level = ?1 AND (bucket, labels, location) >= (?2, ?3, ?4)"
#define FROM_KEY2 " WHERE level = ?1 AND (bucket, labels) >= (?2, ?3)"

#define AT_KEY " WHERE level = ?1 AND bucket = ?2 AND labels = ?3"
static const char *const statements[TS_N_STATEMENTS] = {
    [TS_BEGIN] = "BEGIN IMMEDIATE",
    [TS_COMMIT] = "COMMIT",
    [TS_PUT_LOCATION] = "INSERT INTO locations(id, raw_name, file_name, line_number) VALUES(?1, ?2, ?3, ?4)",
    [TS_PUT_LABEL_SET] = "INSERT INTO label_sets(id, labels) VALUES(?1, ?2)",
    [TS_PUT_SUM] = "INSERT INTO sums(level, bucket, labels, location, cumtime, tottime, ncalls, pcalls)"
                   " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)" TS_SQL_ADD_SUMS,
    [TS_PUT_PROFILE] = "INSERT INTO profiles(level, bucket, labels, profiles, exact_profiles, total_tt, parts_expected,"
                       " parts_received) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)" TS_SQL_ADD_PROFILES,
    [TS_GET_LOCATIONS] = TS_SQL_LOCATIONS,
    [TS_GET_LABEL_SETS] = TS_SQL_LABEL_SETS,
    [TS_CHECK_VIEW] = "SELECT bucket, width, function, cumtime, tottime, ncalls, pcalls FROM bucket_totals",
    [TS_PUT_CLIENT] = ("INSERT INTO clients(client, last_seq, used) VALUES(?1, ?2, ?3) ON CONFLICT DO UPDATE SET"
                       " last_seq = excluded.last_seq, used = excluded.used"),
    [TS_DELETE_CLIENT] = "DELETE FROM clients WHERE client = ?1",
    [TS_GET_CLIENTS] = TS_SQL_CLIENTS,
    [TS_PUT_UPTIME] = "UPDATE uptime SET uptime = max(uptime, ?1), horizon = max(horizon, ?2)",
    [TS_FIND_LOCATION] = ("SELECT id FROM locations WHERE raw_name = ?1 AND ifnull(file_name, x'') = ifnull(?2, x'')"
                          " AND ifnull(line_number, -1) = ifnull(?3, -1)"),
    [TS_SUMS_FROM] = ("SELECT bucket, labels, location, cumtime, tottime, ncalls, pcalls FROM sums" FROM_KEY3
                      " AND bucket < ?5 ORDER BY bucket, labels, location LIMIT ?6"),
    [TS_PROFILES_FROM] = ("SELECT bucket, labels, profiles, exact_profiles, total_tt, parts_expected, parts_received"
                          " FROM profiles" FROM_KEY2 " AND bucket < ?4 ORDER BY bucket, labels LIMIT ?5"),
    [TS_SUMS_OLDER] = "SELECT 1 FROM sums WHERE level = ?1 AND bucket < ?2 LIMIT 1",
    [TS_PROFILES_OLDER] = "SELECT 1 FROM profiles WHERE level = ?1 AND bucket < ?2 LIMIT 1",
    [TS_SUMS_CUT] = ("SELECT bucket, labels, location FROM sums WHERE level = ?1 AND bucket < ?2"
                     " ORDER BY bucket, labels, location LIMIT 1 OFFSET ?3"),
    [TS_PROFILES_CUT] = ("SELECT bucket, labels FROM profiles WHERE level = ?1 AND bucket < ?2"
                         " ORDER BY bucket, labels LIMIT 1 OFFSET ?3"),
    [TS_PRUNE_SUMS] = ("DELETE FROM sums WHERE level = ?1 AND bucket <= ?2"
                       " AND (bucket, labels, location) < (?2, ?3, ?4)"),
    [TS_PRUNE_PROFILES] = "DELETE FROM profiles WHERE level = ?1 AND bucket <= ?2 AND (bucket, labels) < (?2, ?3)",
    [TS_OLDEST] = "SELECT min(bucket) FROM profiles WHERE level = ?1 AND bucket >= ?2",
    [TS_NEXT_SUM] = "SELECT min(bucket) FROM sums WHERE level = ?1 AND bucket >= ?2",
    [TS_NEXT_PROFILE] = "SELECT min(bucket) FROM profiles WHERE level = ?1 AND bucket >= ?2",
    [TS_DELETE_LOCATION] = "DELETE FROM locations WHERE id = ?1",
    [TS_DELETE_LABEL_SET] = "DELETE FROM label_sets WHERE id = ?1",
    [TS_SUM_AT] = "SELECT cumtime, tottime, ncalls, pcalls FROM sums" AT_KEY " AND location = ?4",
    [TS_PROFILE_AT] =
        ("SELECT profiles, exact_profiles, total_tt, parts_expected, parts_received FROM profiles" AT_KEY),
    [TS_SET_SUM] = ("UPDATE sums SET cumtime = ?5, tottime = ?6, ncalls = ?7, pcalls = ?8" AT_KEY " AND location = ?4"),
    [TS_SET_PROFILE] = ("UPDATE profiles SET profiles = ?4, exact_profiles = ?5, total_tt = ?6, parts_expected = ?7,"
                        " parts_received = ?8" AT_KEY),
    [TS_DELETE_SUM] = "DELETE FROM sums" AT_KEY " AND location = ?4",
    [TS_DELETE_PROFILE] = "DELETE FROM profiles" AT_KEY,
};

int ts_statements_prepare(sqlite3 *db, sqlite3_stmt **stmts, int n)
{
    int rc = SQLITE_OK;
    for (int i = 0; !rc && i < n; i++) {
        if (!stmts[i])
            rc = ts_sql_prepare(db, statements[i], &stmts[i]);
    }
    return rc;
}
