/*
 * The schema of the database, version 3, and the header fields that identify it.
 *
 *     grid        one row: origin and time_slice, ns. They never change.
 *     levels      the state of each level (lib/aggregate/levels.h): width, age, complete buckets, range in the view
 *     label_sets  number <-> canonical JSON
 *     locations   number <-> (raw name, file, line); a NULL file or line is a value of its own
 *     sums        (level, bucket, labels, location) -> times in ns, calls
 *     profiles    (level, bucket, labels) -> number of profiles, their total_tt in ns, parts
 *     clients     client of acknowledged streams -> its last number that is in the sums, and when it was last used
 *     uptime      one row: how long daemons have run on this file, ns, the clock of clients.used; and the horizon, ns
 *                 since the epoch, against which age is measured
 *
 * Version 1 had neither clients nor uptime. Versions 1 and 2 had one level, and only its number and width in levels.
 * Opening upgrades them.
 *
 * `bucket` is the bucket's number on the grid of its level's width, so that stored numbers do not depend on how far
 * away the origin is. Keys begin with level and bucket: a query reads one range, a commit walks the b-tree once per
 * level, and pruning deletes adjacent rows. There are no foreign keys: the single writer keeps names and sums
 * consistent in one transaction, and a lookup per row would double the cost of a commit.
 *
 * The schema uses no function of the application: the view works in a plain sqlite3 shell with trusted_schema off.
 */
#ifndef TS_STORE_SCHEMA_H
#define TS_STORE_SCHEMA_H

#define TS_SCHEMA_APPLICATION_ID 0x74736c63 /* "tslc" */
#define TS_SCHEMA_VERSION 3
#define TS_SCHEMA_PAGE_SIZE 4096

/* Added in version 2 (clients, uptime) and in version 3 (the horizon, more columns of levels). */
#define TS_SCHEMA_CLIENTS \
    "CREATE TABLE clients(client TEXT PRIMARY KEY, last_seq INTEGER NOT NULL, used INTEGER NOT NULL)" \
    " STRICT, WITHOUT ROWID;"
#define TS_SCHEMA_UPTIME \
    "CREATE TABLE uptime(one INTEGER PRIMARY KEY CHECK (one = 1), uptime INTEGER NOT NULL," \
    " horizon INTEGER NOT NULL DEFAULT 0) STRICT;" \
    "INSERT INTO uptime VALUES(1, 0, 0);"
#define TS_SCHEMA_HORIZON "ALTER TABLE uptime ADD COLUMN horizon INTEGER NOT NULL DEFAULT 0;"
#define TS_SCHEMA_LEVELS \
    "CREATE TABLE levels(level INTEGER PRIMARY KEY, width INTEGER NOT NULL CHECK (width > 0), keep INTEGER NOT NULL," \
    " kind INTEGER NOT NULL, since INTEGER NOT NULL, live INTEGER NOT NULL, source INTEGER NOT NULL," \
    " built_bucket INTEGER NOT NULL, built_labels INTEGER NOT NULL, built_location INTEGER NOT NULL," \
    " built_profiles_bucket INTEGER NOT NULL, built_profiles_labels INTEGER NOT NULL," \
    " view_from INTEGER NOT NULL, view_to INTEGER NOT NULL) STRICT;"

/* locations_identity: x'' is a blob and equals no text, so a missing file name differs from an empty one. */
#define TS_SCHEMA_TABLES \
    "CREATE TABLE grid(one INTEGER PRIMARY KEY CHECK (one = 1), start_time INTEGER NOT NULL," \
    " time_slice INTEGER NOT NULL CHECK (time_slice > 0)) STRICT;" \
    "CREATE TABLE label_sets(id INTEGER PRIMARY KEY, labels TEXT NOT NULL UNIQUE) STRICT;" \
    "CREATE TABLE locations(id INTEGER PRIMARY KEY, raw_name TEXT NOT NULL, file_name TEXT, line_number INTEGER," \
    " function TEXT NOT NULL GENERATED ALWAYS AS (ltrim(raw_name, '_')) VIRTUAL) STRICT;" \
    "CREATE UNIQUE INDEX locations_identity ON" \
    " locations(raw_name, ifnull(file_name, x''), ifnull(line_number, -1));" \
    "CREATE TABLE sums(level INTEGER NOT NULL, bucket INTEGER NOT NULL, labels INTEGER NOT NULL," \
    " location INTEGER NOT NULL, cumtime INTEGER NOT NULL, tottime INTEGER NOT NULL, ncalls INTEGER NOT NULL," \
    " pcalls INTEGER NOT NULL, PRIMARY KEY (level, bucket, labels, location)) STRICT, WITHOUT ROWID;" \
    "CREATE TABLE profiles(level INTEGER NOT NULL, bucket INTEGER NOT NULL, labels INTEGER NOT NULL," \
    " profiles INTEGER NOT NULL, exact_profiles INTEGER NOT NULL, total_tt INTEGER NOT NULL," \
    " parts_expected INTEGER NOT NULL, parts_received INTEGER NOT NULL," \
    " PRIMARY KEY (level, bucket, labels)) STRICT, WITHOUT ROWID;"

/* SUM() over integers fails on overflow, and each value may be at its bound. So seconds and nanoseconds are summed
   apart, and so are the high and low halves of call counts: 10^9 rows of them do not overflow. */
#define TS_SCHEMA_TIME_PARTS(x) " SUM(s." x " / 1000000000) AS " x "_s, SUM(s." x " % 1000000000) AS " x "_ns,"
#define TS_SCHEMA_CALL_PARTS(x) " SUM(s." x " >> 32) AS " x "_high, SUM(s." x " & 4294967295) AS " x "_low"
/* Below 2^53 ns one division gives the double nearest to the decimal, so 4.2 s reads as 4.2. */
#define TS_SCHEMA_TIME(x) \
    " CASE WHEN abs(" x "_s) < 9000000 THEN (" x "_s * 1000000000 + " x "_ns) / 1e9" \
    " ELSE " x "_s + " x "_ns / 1e9 END,"
#define TS_SCHEMA_CALLS(x) \
    " CASE WHEN " x "_high + (" x "_low >> 32) >= 2147483648 THEN 9223372036854775807" \
    " ELSE (" x "_high << 32) + " x "_low END"

/* A contract with users. The begin of a bucket may exceed 64 bits of ns, so it is computed in parts too. */
#define TS_SCHEMA_VIEW \
    "CREATE VIEW bucket_totals(bucket, width, function, cumtime, tottime, ncalls, pcalls) AS" \
    " WITH summed AS (SELECT v.level AS level, s.bucket AS n, l.function AS function," TS_SCHEMA_TIME_PARTS("cumtime") \
        TS_SCHEMA_TIME_PARTS("tottime") TS_SCHEMA_CALL_PARTS("ncalls") "," TS_SCHEMA_CALL_PARTS( \
            "pcalls") " FROM levels AS v CROSS JOIN sums AS s ON s.level = v.level AND s.bucket >= v.view_from" \
                      " AND s.bucket < v.view_to CROSS JOIN locations AS l ON l.id = s.location" \
                      " GROUP BY v.level, s.bucket, l.function)," \
                      " parts AS (SELECT summed.*, v.width AS width," \
                      " n * (v.width / 1000000000) + g.start_time / 1000000000 AS begin_s," \
                      " n * (v.width % 1000000000) + g.start_time % 1000000000 AS begin_ns" \
                      " FROM summed CROSS JOIN levels AS v ON v.level = summed.level CROSS JOIN grid AS g)" \
                      " SELECT CASE begin_ns % 1000000000 WHEN 0 THEN begin_s + begin_ns / 1000000000" \
                      " ELSE begin_s + begin_ns / 1000000000 + (begin_ns % 1000000000) / 1e9 END," \
                      " CASE width % 1000000000 WHEN 0 THEN width / 1000000000 ELSE width / 1e9 END, function," TS_SCHEMA_TIME( \
                          "cumtime") TS_SCHEMA_TIME("tottime") \
                          TS_SCHEMA_CALLS("ncalls") "," TS_SCHEMA_CALLS("pcalls") " FROM parts;"

/* After INSERT: adds to a row that exists already. ts_add() is a function of the connection; it saturates. */
#define TS_SQL_ADD_SUMS \
    " ON CONFLICT DO UPDATE SET cumtime = ts_add(cumtime, excluded.cumtime)," \
    " tottime = ts_add(tottime, excluded.tottime), ncalls = ts_add(ncalls, excluded.ncalls)," \
    " pcalls = ts_add(pcalls, excluded.pcalls)"
#define TS_SQL_ADD_PROFILES \
    " ON CONFLICT DO UPDATE SET profiles = ts_add(profiles, excluded.profiles)," \
    " exact_profiles = ts_add(exact_profiles, excluded.exact_profiles)," \
    " total_tt = ts_add(total_tt, excluded.total_tt)," \
    " parts_expected = ts_add(parts_expected, excluded.parts_expected)," \
    " parts_received = ts_add(parts_received, excluded.parts_received)"

#define TS_SQL_LOCATIONS "SELECT id, raw_name, file_name, line_number FROM locations ORDER BY id"
#define TS_SQL_LEVELS \
    "SELECT level, kind, width, keep, since, live, source, built_bucket, built_labels, built_location," \
    " built_profiles_bucket, built_profiles_labels, view_from, view_to FROM levels ORDER BY kind = 3, width"
#define TS_SQL_CLIENTS "SELECT client, last_seq, used FROM clients"
#define TS_SQL_LABEL_SETS "SELECT id, labels FROM label_sets ORDER BY id"

#endif
