/*
 * The statements of the writing connection. For lib/store only.
 */
#ifndef TS_STORE_STATEMENTS_H
#define TS_STORE_STATEMENTS_H

#include "lib/store/sql.h"

enum ts_statement {
    TS_BEGIN,
    TS_COMMIT,
    TS_PUT_LOCATION,
    TS_PUT_LABEL_SET,
    TS_PUT_SUM,
    TS_PUT_PROFILE,
    TS_GET_LOCATIONS,
    TS_GET_LABEL_SETS,
    TS_CHECK_VIEW,     /* only prepared, to check that the view can be read */
    TS_N_STATEMENTS_1, /* those that fit schema version 1 */
    TS_PUT_CLIENT = TS_N_STATEMENTS_1,
    TS_DELETE_CLIENT,
    TS_GET_CLIENTS,
    TS_N_STATEMENTS_2, /* those that fit version 2 */
    TS_PUT_UPTIME = TS_N_STATEMENTS_2,
    TS_FIND_LOCATION,
    TS_SUMS_FROM,
    TS_PROFILES_FROM,
    TS_SUMS_OLDER,
    TS_PROFILES_OLDER,
    TS_SUMS_CUT,
    TS_PROFILES_CUT,
    TS_PRUNE_SUMS,
    TS_PRUNE_PROFILES,
    TS_OLDEST,
    TS_NEXT_SUM,
    TS_NEXT_PROFILE,
    TS_DELETE_LOCATION,
    TS_DELETE_LABEL_SET,
    TS_SUM_AT,
    TS_PROFILE_AT,
    TS_SET_SUM,
    TS_SET_PROFILE,
    TS_DELETE_SUM,
    TS_DELETE_PROFILE,
    TS_N_STATEMENTS
};

/* Prepares those of the first n statements that are not prepared yet. SQLite's codes. */
int ts_statements_prepare(sqlite3 *db, sqlite3_stmt **stmts, int n);

#endif
