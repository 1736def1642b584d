/*
 * Commits: sums add up and saturate; a failed commit changes nothing and can be repeated; syncs and checkpoints.
 */
#include "tests/unit/lib/store/store_fixture.h"

static void batches_add_up(void **state)
{
    struct fixture *f = *state;
    struct ts_store *store = open_ok(f);
    struct ts_location names[2] = {name("a", "f", 1), name("b", "f", 2)};
    int64_t sum[3][2] = {{0}};
    unsigned seed_ = 1;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 50; i++) {
            int bucket = rand_r(&seed_) % 3;
            int location = rand_r(&seed_) % 2;
            int64_t value = rand_r(&seed_) % 1000 - 500;
            sum[bucket][location] += value;
            add(f, bucket - 1, 1, (uint32_t)location + 1, value, -value, 3, 2);
        }
        add_profile(f, 0, 1, (struct ts_profile_sums){1, 1, -5, 4, 3});
        commit_ok(f, store, round ? NULL : names, round ? 0 : 2, 1);
    }
    commit_ok(f, store, NULL, 0, 0); /* empty */
    ts_store_close(store);
    char expected[512];
    size_t len = 0;
    for (int b = 0; b < 3; b++)
        for (int l = 0; l < 2; l++)
            len += (size_t)snprintf(expected + len, sizeof(expected) - len, "%s%d|%d|%lld|%lld", len ? "\n" : "", b - 1,
                                    l + 1, (long long)sum[b][l], (long long)-sum[b][l]);
    expect_sql(f, "SELECT bucket, location, cumtime, tottime FROM sums WHERE level = 0", expected);
    expect_sql(f, "SELECT sum(ncalls), sum(pcalls) FROM sums WHERE level = 0", "3000|2000");
    expect_sql(f, "SELECT * FROM profiles WHERE level = 0", "0|0|1|20|20|-100|80|60");
    expect_intact(f);
}

static void sums_saturate(void **state)
{
    struct fixture *f = *state;
    struct ts_store *store = open_ok(f);
    struct ts_location one = name("a", NULL, -1);
    uint64_t saturated = 99;
    add(f, 0, 1, 1, INT64_MAX - 1, INT64_MIN + 1, INT64_MAX - 1, 1);
    add_profile(f, 0, 1, (struct ts_profile_sums){1, 0, INT64_MIN + 1, 0, 0});
    commit_ok(f, store, &one, 1, 1);

    add(f, 0, 1, 1, 5, -5, 1, 1); /* reaching the bound exactly counts too */
    add_profile(f, 0, 1, (struct ts_profile_sums){1, 0, -7, 0, 0});
    assert_int_equal(commit(f, store, NULL, 0, 0, &saturated), 0);
    assert_int_equal(saturated, 4);
    ts_counters_clear(&f->counters);

    add(f, 0, 1, 1, -1000, 1000, 1, 1); /* already at the bound: counted once, and it stays there */
    commit_ok(f, store, NULL, 0, 0);
    ts_store_close(store);
    expect_sql(f, "SELECT cumtime, tottime, ncalls, pcalls FROM sums WHERE level = 0",
               "9223372036854775807|-9223372036854775808|9223372036854775807|3");
    expect_sql(f, "SELECT profiles, total_tt FROM profiles WHERE level = 0", "2|-9223372036854775808");
    expect_intact(f);
}

/* Another process holds the write lock, then a row in the middle fails. The batch is added once. */
static void failed_commit_is_retried(void **state)
{
    struct fixture *f = *state;
    struct ts_store *store = open_ok(f);
    struct ts_location names[2] = {name("a", "f", 1), name("b", "f", 2)};
    uint64_t saturated = 99;
    sqlite3 *db = shell(f);
    execute(db, "PRAGMA wal_autocheckpoint=0; BEGIN IMMEDIATE");
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    add(f, 1, 1, 1, 3 * S, 0, 1, 1);
    add(f, 1, 1, 2, 4 * S, 0, 1, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(commit(f, store, names, 2, 1, &saturated), TS_ESTORE);
        assert_non_null(strstr(f->error.message, "locked"));
        assert_int_equal(saturated, 99);
    }
    execute(db, "ROLLBACK");
    /* The names are inserted, then the sums fail. */
    execute(db, "CREATE TRIGGER bad BEFORE INSERT ON sums WHEN new.location = 2"
                " BEGIN SELECT RAISE(ABORT, 'no room'); END");
    assert_int_equal(commit(f, store, names, 2, 1, &saturated), TS_ESTORE);
    assert_non_null(strstr(f->error.message, "no room"));
    execute(db, "DROP TRIGGER bad");
    sqlite3_close(db);
    commit_ok(f, store, names, 2, 1);
    expect_sql(f, "SELECT location, cumtime FROM sums WHERE level = 0", "1|3000000000\n2|4000000000");
    ts_store_close(store);
    expect_intact(f);
}

/* ---- Failing system calls ---- */

static int fail_after = -1; /* how many more writes succeed; -1: all */
static int fail_errno;
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);

static ssize_t faulty_pwrite(int fd, const void *data, size_t len, off_t at)
{
    if (fail_after == 0) {
        errno = fail_errno;
        return -1;
    }
    if (fail_after > 0)
        fail_after--;
    return real_pwrite(fd, data, len, at);
}

static void each_write_fails_once(void **state)
{
    struct fixture *f = *state;
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    /* SQLite uses one of the two, depending on its build; the other is NULL. */
    const char *call = vfs->xGetSystemCall(vfs, "pwrite64") ? "pwrite64" : "pwrite";
    sqlite3_syscall_ptr real = vfs->xGetSystemCall(vfs, call);
    ssize_t (*faulty)(int, const void *, size_t, off_t) = faulty_pwrite;
    sqlite3_syscall_ptr replacement;
    memcpy(&real_pwrite, &real, sizeof(real));
    memcpy(&replacement, &faulty, sizeof(faulty));
    assert_int_equal(vfs->xSetSystemCall(vfs, call, replacement), SQLITE_OK);

    seed(f);
    struct ts_store *store = open_ok(f);
    int failed = 0;
    int n = 0;
    for (int round = 0; round < 2; round++) {
        fail_errno = round ? EIO : ENOSPC;
        bool hit = true;
        for (int at = 0; hit; at++, n++) {
            for (int64_t b = 0; b < 3000; b++)
                add(f, b, 1, 1, 1, 0, 0, 0);
            uint64_t saturated;
            fail_after = at;
            int r = commit(f, store, NULL, 0, 0, &saturated);
            hit = r != 0;
            fail_after = -1;
            if (r) {
                failed++;
                assert_int_equal(r, TS_ESTORE);
                if (!strstr(f->error.message, round ? "Input/output error" : "full"))
                    fail_msg("write %d, errno %d: %s", at, fail_errno, f->error.message);
                assert_int_equal(commit(f, store, NULL, 0, 0, &saturated), 0);
            }
            ts_counters_clear(&f->counters);
        }
    }
    assert_true(failed > 4);
    ts_store_close(store);
    vfs->xSetSystemCall(vfs, NULL, NULL);
    char expected[64];
    snprintf(expected, sizeof(expected), "%d|3000", n);
    expect_sql(f, "SELECT cumtime - (bucket = 7) * 1000000000, count(*) FROM sums WHERE level = 0 GROUP BY 1",
               expected);
    expect_intact(f);
}

/* These replace the C library's functions, also for SQLite. */
static bool fail_sync;

int fsync(int fd)
{
    if (fail_sync) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return fsync(fd);
}

static void no_commit_after_a_failed_sync(void **state)
{
    struct fixture *f = *state;
    uint64_t saturated;
    seed(f);
    struct ts_store *store = open_ok(f);
    add(f, 7, 1, 1, S, 0, 0, 0);
    fail_sync = true;
    assert_int_equal(commit(f, store, NULL, 0, 0, &saturated), TS_ESYNC);
    fail_sync = false;
    assert_int_equal(commit(f, store, NULL, 0, 0, &saturated), TS_ESYNC); /* although a sync would succeed now */
    ts_store_close(store);
    assert_true(there(f, "-wal"));
    ts_counters_clear(&f->counters);

    /* The sync of a checkpoint fails: the batches are in the log, which must remain. */
    f->config.sync_each_commit = false;
    store = open_ok(f);
    int r = 0;
    int n = 0;
    for (; !r && n < 100; n++) {
        fail_sync = n > 0; /* a new log's header is synced at once */
        for (int64_t b = 100; b < 6100; b++)
            add(f, b, 1, 1, 1, 0, 0, 0);
        r = commit(f, store, NULL, 0, 0, &saturated);
        ts_counters_clear(&f->counters);
    }
    fail_sync = false;
    assert_int_equal(r, TS_ESYNC);
    ts_store_close(store);
    ts_store_close(open_ok(f));
    char expected[64];
    snprintf(expected, sizeof(expected), "%d|%d|6000", n, n);
    expect_sql(f, "SELECT min(cumtime), max(cumtime), count(*) FROM sums WHERE level = 0 AND bucket >= 100", expected);
    expect_intact(f);
}

/* The connection checkpoints a log that has grown past its bound, so the log stays short. */
static void log_stays_short(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    char wal[128];
    snprintf(wal, sizeof(wal), "%s-wal", f->path);
    seed(f);
    f->config.sync_each_commit = false;
    struct ts_store *store = open_ok(f);
    for (int i = 0; i < 40; i++) {
        for (int64_t b = 0; b < 6000; b++)
            add(f, b, 1, 1, 1, 0, 0, 0);
        commit_ok(f, store, NULL, 0, 0);
    }
    assert_int_equal(stat(wal, &st), 0);
    assert_true(st.st_size < 8 << 20);
    ts_store_close(store);
    expect_sql(f, "SELECT min(cumtime), count(*) FROM sums WHERE level = 0", "40|6000");
    expect_intact(f);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(batches_add_up),
        T(sums_saturate),
        T(failed_commit_is_retried),
        T(each_write_fails_once),
        T(no_commit_after_a_failed_sync),
        T(log_stays_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
