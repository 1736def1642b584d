/*
 * Opening: creation, the lock, upgrades, and which files are refused. A refused file is left byte for byte as it was.
 */
#include "tests/unit/lib/store/store_fixture.h"

static void creates_and_reopens(void **state)
{
    struct fixture *f = *state;
    mode_t mask = umask(0);
    seed(f);
    umask(mask);
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_false(there(f, "-wal")); /* closed cleanly */
    assert_true(there(f, "-lock"));
    expect_sql(f, "PRAGMA journal_mode", "wal");
    expect_sql(f, "PRAGMA page_size", "4096");
    expect_sql(f, "PRAGMA user_version", "3");

    struct ts_store *store = open_ok(f);
    char name_[128];
    snprintf(name_, sizeof(name_), "%s-wal", f->path);
    assert_int_equal(f->grid.time_slice, 10 * S);
    add(f, 7, 1, 1, S, S / 2, 2, 1);
    commit_ok(f, store, NULL, 0, 0);
    assert_int_equal(stat(name_, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    ts_store_close(store);
    expect_sql(f, "SELECT * FROM bucket_totals", "70|10|main|2.0|1.0|4|2");
    expect_intact(f);
    assert_null(ts_store_close(NULL));
}

static void creates_in_an_empty_file_and_deletes_leftovers(void **state)
{
    struct fixture *f = *state;
    char beside[160];
    spill(f->path, "", 0);
    snprintf(beside, sizeof(beside), "%s-wal", f->path);
    spill(beside, "", 0);
    snprintf(beside, sizeof(beside), "%s-new-0123456789abcdef", f->path);
    spill(beside, "half a database", 15);
    seed(f);
    assert_int_equal(count_temporaries(f), 0);
    expect_sql(f, "SELECT count(*) FROM sums WHERE level = 0", "1");
}

/* The log may have the last commits of a database that was moved away. */
static void refuses_a_log_without_a_database(void **state)
{
    struct fixture *f = *state;
    char wal[160];
    snprintf(wal, sizeof(wal), "%s-wal", f->path);
    spill(wal, "a log", 5);
    assert_int_equal(open_fails(f, "is missing, but its log has data"), TS_EREFUSED);
    assert_true(there(f, "-wal"));
    assert_false(there(f, ""));
    spill(f->path, "", 0);
    assert_int_equal(open_fails(f, "put the database back, or delete"), TS_EREFUSED);
    unlink(wal);
    seed(f);
}

static void one_lock_for_two_names(void **state)
{
    struct fixture *f = *state;
    char link[96];
    snprintf(link, sizeof(link), "%s/link.db", f->folder);
    assert_int_equal(symlink("t.db", link), 0);
    struct ts_store_config config = f->config;
    f->config.path = link; /* its target does not exist yet */
    struct ts_store *store = open_ok(f);
    assert_true(there(f, "")); /* the target was created, the link kept */
    f->config = config;
    assert_int_equal(open_fails(f, "another daemon"), TS_EREFUSED);
    ts_store_close(store);
    ts_store_close(open_ok(f));
}

static void missing_folder_or_permission(void **state)
{
    struct fixture *f = *state;
    f->config.path = "/tmp/store-test-nowhere/x/t.db";
    assert_int_equal(open_fails(f, "No such file"), TS_EREFUSED);
    char folder[96];
    snprintf(folder, sizeof(folder), "%s/d", f->folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    f->config.path = folder;
    assert_int_equal(open_fails(f, "not a regular file"), TS_EREFUSED);
    f->config.path = "/proc/t.db";
    assert_int_equal(open_fails(f, "/proc/t.db"), TS_EREFUSED);
}

static void second_daemon_is_refused(void **state)
{
    struct fixture *f = *state;
    char pid[32];
    struct ts_store *store = open_ok(f);
    snprintf(pid, sizeof(pid), "(pid %ld)", (long)getpid());
    pid_t child = fork();
    if (child == 0) {
        struct ts_store *second = NULL;
        int r = ts_store_open(&f->config, &second, &f->grid, &f->error);
        _exit(r == TS_EREFUSED && strstr(f->error.message, pid) ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    ts_store_close(store);
    ts_store_close(open_ok(f)); /* the lock was released */
}

static void another_grid_is_refused(void **state)
{
    struct fixture *f = *state;
    seed(f);
    f->config.grid.time_slice = 60 * S;
    expect_refused(f, "has time_slice 10s, the configuration has 1m; set aggregation.time_slice back");
    f->config.grid.time_slice = 10 * S;
    f->config.grid.start_time = 1732272000 * S + S / 2;
    expect_refused(f, "has start_time 0 (1970-01-01T00:00:00Z), the configuration has 1732272000.5 (2024-11-22T");
    f->config.start_time_is_now = true;
    ts_store_close(open_ok(f));
    assert_int_equal(f->grid.start_time, 0);
    assert_int_equal(f->grid.time_slice, 10 * S);
    f->config.grid.time_slice = 20 * S; /* `now` accepts another origin only */
    expect_refused(f, "20s");
    expect_intact(f);
}

static void unknown_schema_is_refused(void **state)
{
    struct fixture *f = *state;
    seed(f);
    change(f, "PRAGMA user_version=4; DROP VIEW bucket_totals; DROP TABLE grid");
    expect_refused(f, "schema version 4, made by a newer timesliced");
    change(f, "PRAGMA user_version=0");
    expect_refused(f, "schema version 0");
}

/* Turns a database into one of version 2: one level, of which only the width is stored. */
#define AS_VERSION_2 \
    "DROP VIEW bucket_totals; DROP TABLE levels; DELETE FROM sums WHERE level > 0;" \
    "CREATE TABLE levels(level INTEGER PRIMARY KEY, width INTEGER NOT NULL CHECK (width > 0)) STRICT;" \
    "INSERT INTO levels VALUES(0, 10000000000);" \
    "CREATE VIEW bucket_totals(bucket, width, function, cumtime, tottime, ncalls, pcalls) AS" \
    " SELECT bucket, 10, location, cumtime, tottime, ncalls, pcalls FROM sums WHERE level = 0;" \
    "ALTER TABLE uptime DROP COLUMN horizon; PRAGMA user_version=2;"

/* Files of earlier versions are upgraded and keep their sums; with another grid they are refused. */
static void older_schema(struct fixture *f, const char *downgrade, const char *version)
{
    seed(f);
    change(f, downgrade);
    f->config.grid.time_slice = 20 * S;
    expect_refused(f, "20s");
    expect_sql(f, "PRAGMA user_version", version);
    f->config.grid.time_slice = 10 * S;
    f->config.now = 1000 * S;
    ts_store_close(open_ok(f));
    expect_sql(f, "PRAGMA user_version", "3");
    expect_sql(f, "SELECT count(*) FROM clients", "0");
    expect_sql(f, "SELECT uptime, horizon FROM uptime", "0|1000000000000");
    expect_sql(f, "SELECT * FROM bucket_totals", "70|10|main|1.0|0.5|2|1");
    expect_sql(f, "SELECT width / 1000000000 FROM levels WHERE kind = 0", "10");
    expect_intact(f);
    ts_store_close(open_ok(f));
}

static void upgrades_version_1(void **state)
{
    older_schema(*state, AS_VERSION_2 "DROP TABLE clients; DROP TABLE uptime; PRAGMA user_version=1", "1");
}

static void upgrades_version_2(void **state)
{
    older_schema(*state, AS_VERSION_2, "2");
}

static void foreign_files_are_refused(void **state)
{
    struct fixture *f = *state;
    change(f, "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
    expect_refused(f, "another program");
    assert_false(there(f, "-lock"));
    change(f, "PRAGMA journal_mode=WAL; PRAGMA application_id=7");
    expect_refused(f, "application_id 7");
    spill(f->path, "hello\n", 6);
    expect_refused(f, "not a database");
    char text[8192];
    memset(text, 'x', sizeof(text));
    spill(f->path, text, sizeof(text));
    expect_refused(f, "not a database");
    spill(f->path, "SQLite format 3", 16);
    expect_refused(f, "not a database");
}

static void truncated_files_are_refused(void **state)
{
    struct fixture *f = *state;
    seed(f);
    struct bytes full = slurp(f->path);
    for (size_t len = 1; len < full.len; len += len < 200 ? 33 : 1777) {
        spill(f->path, full.data, len);
        expect_refused(f, len < 100 ? "not a database" : "damaged");
    }
    spill(f->path, full.data, full.len);
    ts_store_close(open_ok(f));
    free(full.data);
}

static void damaged_header_or_schema(void **state)
{
    struct fixture *f = *state;
    seed(f);
    struct bytes full = slurp(f->path);
    /* Each byte of the first page in turn: opened or refused, never a crash, and a refused file is never changed. */
    for (size_t i = 0; i < 4096; i += i < 110 ? 1 : 13) {
        char kept = full.data[i];
        full.data[i] = (char)(kept ^ 0x55);
        spill(f->path, full.data, full.len);
        full.data[i] = kept;
        struct bytes before = slurp(f->path);
        struct ts_store *store = NULL;
        int r = ts_store_open(&f->config, &store, &f->grid, &f->error);
        assert_true(r == 0 || r == TS_EREFUSED || r == TS_ESTORE);
        if (r == TS_ESTORE)
            print_message("byte %zu: %s\n", i, f->error.message);
        ts_store_close(store);
        if (r) {
            struct bytes after = slurp(f->path);
            assert_int_equal(before.len, after.len);
            assert_memory_equal(before.data, after.data, before.len);
            free(after.data);
        }
        free(before.data);
        assert_false(there(f, "-wal"));
    }
    spill(f->path, full.data, full.len);
    change(f, "DROP TABLE levels");
    expect_refused(f, "damaged");
    spill(f->path, full.data, full.len);
    change(f, "UPDATE levels SET width = 1");
    expect_refused(f, "levels do not fit");
    spill(f->path, full.data, full.len);
    change(f, "DELETE FROM grid");
    expect_refused(f, "damaged");
    spill(f->path, full.data, full.len);
    change(f, "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql='CREATE TABLE x(' WHERE name='sums'");
    expect_refused(f, "damaged");
    free(full.data);
}

/* A process is killed right after a commit: the next one finds the commit in the log. */
static void reads_the_log_of_a_killed_process(void **state)
{
    struct fixture *f = *state;
    seed(f);
    pid_t child = fork();
    if (child == 0) {
        struct ts_store *store = NULL;
        uint64_t saturated;
        if (ts_store_open(&f->config, &store, &f->grid, &f->error))
            _exit(1);
        struct ts_location two = name("two", NULL, -1);
        add(f, 7, 1, 1, 4 * S, 0, 1, 1);
        add(f, -3, 1, 2, S, 0, 1, 1);
        _exit(commit(f, store, &two, 1, 2, &saturated) ? 2 : 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);

    char wal[128];
    snprintf(wal, sizeof(wal), "%s-wal", f->path);
    struct bytes db = slurp(f->path);
    struct bytes log = slurp(wal);
    assert_true(log.len > 0);

    /* If the file is refused, neither file changes. */
    f->config.grid.time_slice = 60 * S;
    assert_int_equal(open_fails(f, "time_slice"), TS_EREFUSED);
    struct bytes db_after = slurp(f->path);
    struct bytes log_after = slurp(wal);
    assert_int_equal(db.len, db_after.len);
    assert_memory_equal(db.data, db_after.data, db.len);
    assert_int_equal(log.len, log_after.len);
    assert_memory_equal(log.data, log_after.data, log.len);
    f->config.grid.time_slice = 10 * S;

    struct ts_store *store = open_ok(f);
    struct stat st;
    assert_int_equal(stat(wal, &st), 0);
    assert_int_equal(st.st_size, 0); /* checkpointed, with a sync, before ts_store_open() returns */
    ts_store_close(store);
    expect_sql(f, "SELECT bucket, function, cumtime, ncalls FROM bucket_totals ORDER BY 1",
               "-30|two|1.0|1\n70|main|5.0|3");
    expect_intact(f);
    free(db.data);
    free(log.data);
    free(db_after.data);
    free(log_after.data);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(creates_and_reopens),
        T(creates_in_an_empty_file_and_deletes_leftovers),
        T(refuses_a_log_without_a_database),
        T(one_lock_for_two_names),
        T(missing_folder_or_permission),
        T(second_daemon_is_refused),
        T(another_grid_is_refused),
        T(unknown_schema_is_refused),
        T(upgrades_version_1),
        T(upgrades_version_2),
        T(foreign_files_are_refused),
        T(truncated_files_are_refused),
        T(damaged_header_or_schema),
        T(reads_the_log_of_a_killed_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
