/*
 * SQLite's codes and messages, and the small helpers.
 */
#include "lib/store/sql.h"
#include "tests/unit/lib/store/store_fixture.h"

static void codes(void **state)
{
    static const struct {
        int rc;
        int code;
    } cases[] = {
        {SQLITE_OK, 0},
        {SQLITE_ROW, 0},
        {SQLITE_DONE, 0},
        {SQLITE_INTERRUPT, TS_ECANCELED},
        {SQLITE_IOERR_FSYNC, TS_ESYNC},
        {SQLITE_IOERR_DIR_FSYNC, TS_ESYNC},
        {SQLITE_IOERR_WRITE, TS_ESTORE},
        {SQLITE_BUSY, TS_ESTORE},
        {SQLITE_FULL, TS_ESTORE},
        {SQLITE_CORRUPT_VTAB, TS_ESTORE},
        {SQLITE_NOMEM, TS_ESTORE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_int_equal(ts_sql_code(cases[i].rc), cases[i].code);
    assert_true(ts_sql_damaged(SQLITE_CORRUPT_INDEX));
    assert_true(ts_sql_damaged(SQLITE_NOTADB));
    assert_false(ts_sql_damaged(SQLITE_IOERR));
}

static void messages(void **state)
{
    struct ts_store_error error;
    (void)state;
    /* The system's message only after codes of input and output; errno comes first. */
    sqlite3 *db;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    errno = ENOSPC;
    ts_sql_set_error(&error, db, SQLITE_IOERR_WRITE, "cannot commit");
    assert_string_equal(error.message, "cannot commit: disk I/O error (No space left on device)");
    ts_sql_set_error(&error, db, SQLITE_BUSY, "cannot commit");
    assert_string_equal(error.message, "cannot commit: database is locked");
    ts_sql_set_error(&error, NULL, SQLITE_CORRUPT, "cannot read");
    assert_string_equal(error.message,
                        "cannot read: database disk image is malformed; the file is damaged, restore it from a backup");
    /* The connection's own message if it is of the same code. */
    assert_int_equal(ts_sql_exec(db, "SELECT missing"), SQLITE_ERROR);
    ts_sql_set_error(&error, db, SQLITE_ERROR, "x");
    assert_string_equal(error.message, "x: no such column: missing");
    ts_sql_set_error(&error, db, SQLITE_FULL, "x");
    assert_string_equal(error.message, "x: database or disk is full");
    /* Too long a message is cut. */
    char text[2000];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    ts_sql_format_error(&error, "%s", text);
    assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
    sqlite3_close(db);
}

static void integers_and_texts(void **state)
{
    sqlite3 *db;
    sqlite3_stmt *stmt = NULL;
    int64_t values[3] = {7, 7, 7};
    (void)state;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(ts_sql_integers(db, "SELECT 1, -9223372036854775808, 3", values, 2), SQLITE_OK);
    assert_int_equal(values[0], 1);
    assert_true(values[1] == INT64_MIN);
    assert_int_equal(values[2], 7);
    assert_int_equal(ts_sql_integers(db, "SELECT 1 WHERE 0", values, 1), SQLITE_CORRUPT);
    assert_int_equal(ts_sql_integers(db, "SELECT x", values, 1), SQLITE_ERROR);
    assert_int_equal(values[0], 1);

    /* No data is NULL, an empty text is not. */
    const struct ts_str none = {0};
    const struct ts_str empty = {"", 0};
    const struct ts_str part = {"abcdef", 3};
    assert_int_equal(ts_sql_prepare(db, "SELECT typeof(?1), typeof(?2), ?3", &stmt), SQLITE_OK);
    assert_int_equal(ts_sql_bind_text(stmt, 1, &none), SQLITE_OK);
    assert_int_equal(ts_sql_bind_text(stmt, 2, &empty), SQLITE_OK);
    assert_int_equal(ts_sql_bind_text(stmt, 3, &part), SQLITE_OK);
    int rc = SQLITE_ERROR;
    assert_true(ts_sql_row(stmt, &rc));
    assert_string_equal(sqlite3_column_text(stmt, 0), "null");
    assert_string_equal(sqlite3_column_text(stmt, 1), "text");
    assert_string_equal(sqlite3_column_text(stmt, 2), "abc");
    assert_false(ts_sql_row(stmt, &rc));
    assert_int_equal(rc, SQLITE_OK);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

static int never(void *data, uint32_t id, const struct ts_location *location)
{
    (void)data, (void)id, (void)location;
    fail();
    return 0;
}

/* Numbers out of range, names that are missing, and a canceled walk. */
static void walks_over_names(void **state)
{
    static const char *const rows[] = {"VALUES(0, 'a', NULL, NULL)", "VALUES(-1, 'a', NULL, NULL)",
                                       "VALUES(4294967296, 'a', NULL, NULL)", "VALUES(1, NULL, NULL, NULL)"};
    sqlite3 *db;
    sqlite3_stmt *stmt = NULL;
    (void)state;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        assert_int_equal(ts_sql_prepare(db, rows[i], &stmt), SQLITE_OK);
        assert_int_equal(ts_sql_walk_locations(stmt, NULL, never, NULL), TS_ESTORE);
        sqlite3_finalize(stmt);
    }
    const _Atomic bool canceled = true;
    assert_int_equal(ts_sql_prepare(db, "VALUES(1, 'a', NULL, NULL)", &stmt), SQLITE_OK);
    assert_int_equal(ts_sql_walk_locations(stmt, &canceled, never, NULL), TS_ECANCELED);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes),
        cmocka_unit_test(messages),
        cmocka_unit_test(integers_and_texts),
        cmocka_unit_test(walks_over_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
