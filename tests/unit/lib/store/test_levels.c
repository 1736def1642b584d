/*
 * The table of levels: written rows are read back; inconsistent rows are rejected.
 */
#include "lib/store/levels.h"
#include "tests/unit/lib/store/store_fixture.h"

static const struct ts_grid grid = {.start_time = -35 * S, .time_slice = 10 * S};

static sqlite3 *empty_table(void)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    execute(db, "CREATE TABLE grid(start_time, time_slice); INSERT INTO grid VALUES(-35000000000, 10000000000);");
    execute(db, TS_SCHEMA_LEVELS);
    return db;
}

/* Every member has a value of its own. */
static struct ts_levels example(void)
{
    struct ts_levels levels = {.grid = grid, .n = 3};
    levels.items[0] = (struct ts_level){.kind = TS_LEVEL_CONFIGURED,
                                        .width = 10 * S,
                                        .keep = 100 * S,
                                        .ratio = 1,
                                        .since = INT64_MIN,
                                        .live = INT64_MIN,
                                        .source = -1,
                                        .view_from = 7,
                                        .view_to = INT64_MAX};
    levels.items[1] = (struct ts_level){.id = 5,
                                        .kind = TS_LEVEL_INTERNAL,
                                        .width = 60 * S,
                                        .keep = INT64_MAX / 2,
                                        .ratio = 6,
                                        .since = -12,
                                        .live = INT64_MAX,
                                        .source = 0,
                                        .built = {-3, UINT32_MAX, UINT32_MAX - 1},
                                        .built_profiles = {INT64_MAX, 9, 0}};
    levels.items[2] = (struct ts_level){
        .id = 2, .kind = TS_LEVEL_DEAD, .width = 30 * S, .keep = 1, .ratio = 3, .since = 4, .live = 5, .source = 77};
    return levels;
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    sqlite3 *db = empty_table();
    struct ts_levels levels = example();
    struct ts_levels read;
    assert_int_equal(ts_store_write_levels(db, &levels), SQLITE_OK);
    assert_int_equal(ts_store_read_grid(db, &read), SQLITE_OK);
    assert_int_equal(read.n, 3);
    assert_memory_equal(&read.grid, &grid, sizeof(grid));
    assert_memory_equal(read.items, levels.items, 3 * sizeof(*read.items));
    levels.n = 1; /* replaces all */
    assert_int_equal(ts_store_write_levels(db, &levels), SQLITE_OK);
    assert_int_equal(ts_store_read_levels(db, &grid, &read), SQLITE_OK);
    assert_int_equal(read.n, 1);
    sqlite3_close(db);
}

static void inconsistent_rows_are_refused(void **state)
{
    static const char *const changes[] = {
        "DELETE FROM levels",
        "DELETE FROM levels WHERE level = 0",
        "UPDATE levels SET width = 20000000000 WHERE level = 0", /* level 0 is as wide as the grid */
        "UPDATE levels SET kind = 1 WHERE level = 0",
        "UPDATE levels SET kind = 4 WHERE level = 5",
        "UPDATE levels SET kind = -1 WHERE level = 5",
        "UPDATE levels SET keep = -1 WHERE level = 5",
        "UPDATE levels SET width = 65000000000 WHERE level = 5", /* no multiple */
        "UPDATE levels SET width = 1 WHERE level = 5",
        "UPDATE levels SET width = 10000000000 WHERE level = 5", /* as wide as another */
        "UPDATE levels SET source = 2 WHERE level = 5",          /* dead */
        "UPDATE levels SET source = 5 WHERE level = 5",
        "UPDATE levels SET source = 44 WHERE level = 5",
        "UPDATE grid SET time_slice = 0",
        "UPDATE grid SET time_slice = -10000000000",
        "DELETE FROM grid",
        ("WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 50) INSERT INTO levels SELECT i,"
         " 600000000000, 0, 3, 0, 0, -1, 0, 0, 0, 0, 0, 0, 0 FROM n"), /* too many */
    };
    (void)state;
    for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
        sqlite3 *db = empty_table();
        struct ts_levels levels = example();
        struct ts_levels read = {.n = 99};
        assert_int_equal(ts_store_write_levels(db, &levels), SQLITE_OK);
        execute(db, changes[i]);
        int rc = ts_store_read_grid(db, &read);
        if (rc != SQLITE_CORRUPT)
            fail_msg("%s: %d", changes[i], rc);
        assert_int_equal(read.n, 99);
        sqlite3_close(db);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(inconsistent_rows_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
