/* What a commit adds up to, what survives, what readers see. */
#include "tests/unit/lib/store/store_fixture.h"

/* ---- Committing ---- */

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
    expect_whole(f);
}

static void saturates_and_stays(void **state)
{
    struct fixture *f = *state;
    struct ts_store *store = open_ok(f);
    struct ts_location one = name("a", NULL, -1);
    uint64_t saturated = 99;
    add(f, 0, 1, 1, INT64_MAX - 1, INT64_MIN + 1, INT64_MAX - 1, 1);
    add_profile(f, 0, 1, (struct ts_profile_sums){1, 0, INT64_MIN + 1, 0, 0});
    commit_ok(f, store, &one, 1, 1);

    add(f, 0, 1, 1, 5, -5, 1, 1); /* reached exactly counts too */
    add_profile(f, 0, 1, (struct ts_profile_sums){1, 0, -7, 0, 0});
    assert_int_equal(commit(f, store, NULL, 0, 0, &saturated), 0);
    assert_int_equal(saturated, 4);
    ts_counters_clear(&f->counters);

    add(f, 0, 1, 1, -1000, 1000, 1, 1); /* already there: counted once, and no way back */
    commit_ok(f, store, NULL, 0, 0);
    ts_store_close(store);
    expect_sql(f, "SELECT cumtime, tottime, ncalls, pcalls FROM sums WHERE level = 0",
               "9223372036854775807|-9223372036854775808|9223372036854775807|3");
    expect_sql(f, "SELECT profiles, total_tt FROM profiles WHERE level = 0", "2|-9223372036854775808");
    expect_whole(f);
}

/* An operator holds the write lock, then a row in the middle fails. The same batch counts once. */
static void retries(void **state)
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
    /* Names go in, then the sums fail. */
    execute(db, "CREATE TRIGGER bad BEFORE INSERT ON sums WHEN new.location = 2"
                " BEGIN SELECT RAISE(ABORT, 'no room'); END");
    assert_int_equal(commit(f, store, names, 2, 1, &saturated), TS_ESTORE);
    assert_non_null(strstr(f->error.message, "no room"));
    execute(db, "DROP TRIGGER bad");
    sqlite3_close(db);
    commit_ok(f, store, names, 2, 1);
    expect_sql(f, "SELECT location, cumtime FROM sums WHERE level = 0", "1|3000000000\n2|4000000000");
    ts_store_close(store);
    expect_whole(f);
}

/* ---- Faults in the system calls ---- */

static int fail_after = -1; /* writes that still work; -1: all do */
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

static void every_write_fails_once(void **state)
{
    struct fixture *f = *state;
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    /* Which of the two it uses depends on how SQLite was built; the other is NULL. */
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
    expect_whole(f);
}

/* The program's own fsync and fdatasync stand before the C library's, for SQLite too. */
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

static void failed_sync_is_the_end(void **state)
{
    struct fixture *f = *state;
    uint64_t saturated;
    seed(f);
    struct ts_store *store = open_ok(f);
    add(f, 7, 1, 1, S, 0, 0, 0);
    fail_sync = true;
    assert_int_equal(commit(f, store, NULL, 0, 0, &saturated), TS_ESYNC);
    fail_sync = false;
    assert_int_equal(commit(f, store, NULL, 0, 0, &saturated), TS_ESYNC); /* it would "work" now */
    ts_store_close(store);
    assert_true(there(f, "-wal"));
    ts_counters_clear(&f->counters);

    /* A checkpoint's sync: the batches are in the log, the log must stay. */
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
    expect_whole(f);
}

/* A log grown past its bound is moved by the same connection, and so stays short. */
static void checkpoints(void **state)
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
    expect_whole(f);
}

/* ---- Names ---- */

struct seen {
    char text[4096];
    size_t len;
};

static int see_location(void *data, uint32_t id, const struct ts_location *location)
{
    struct seen *seen = data;
    seen->len += (size_t)snprintf(seen->text + seen->len, sizeof(seen->text) - seen->len, "%u %.*s %s%.*s %d\n", id,
                                  (int)location->raw_name.len, location->raw_name.data,
                                  location->file_name.data ? ":" : "-", (int)location->file_name.len,
                                  location->file_name.data ? location->file_name.data : "", location->line_number);
    return 0;
}

static int see_labels(void *data, uint32_t id, const char *json, size_t len)
{
    struct seen *seen = data;
    seen->len +=
        (size_t)snprintf(seen->text + seen->len, sizeof(seen->text) - seen->len, "%u %.*s\n", id, (int)len, json);
    return 0;
}

static int see_held(void *data, uint32_t id, const struct ts_location *location, int64_t last)
{
    assert_int_equal(last, id); /* the bucket that its row is in */
    return see_location(data, id, location);
}

static int stop_held(void *data, uint32_t id, const struct ts_location *location, int64_t last)
{
    (void)data, (void)location, (void)last;
    return id == 2 ? 42 : 0;
}

static int stop(void *data, uint32_t id, const struct ts_location *location)
{
    (void)data;
    (void)location;
    return id == 2 ? 42 : 0;
}

static void names(void **state)
{
    struct fixture *f = *state;
    static const char *const expected = "1 __init__ - -1\n2 __init__ : -1\n3 __init__ - 0\n4 __init__ : 0\n5 ___ - -1\n"
                                        "6  - -1\n7 _\xf0\x9d\x94\x98\xe2\x80\xae\x7f\t' :/\xef\xbf\xbd.py 2147483647\n"
                                        "1 {}\n2 {\"service\": \"w\xc3\xa9"
                                        "b\"}\n";
    struct ts_location locations[8] = {name("__init__", NULL, -1),
                                       name("__init__", "", -1),
                                       name("__init__", NULL, 0),
                                       name("__init__", "", 0),
                                       name("___", NULL, -1),
                                       name("", NULL, -1),
                                       name("_\xf0\x9d\x94\x98\xe2\x80\xae\x7f\t'", "/\xef\xbf\xbd.py", INT32_MAX),
                                       name("__INIT__", NULL, -1)};
    struct ts_location labels[2] = {name("{}", NULL, -1), name("{\"service\": \"w\xc3\xa9"
                                                               "b\"}",
                                                               NULL, -1)};
    for (uint32_t i = 1; i <= 7; i++) /* the eighth has no row: it is stored, and not held */
        add(f, i, 1, i, 1, 1, 1, 1);
    struct ts_store_batch batch = {.counters = &f->counters,
                                   .locations = locations,
                                   .n_locations = 8,
                                   .first_location = 1,
                                   .label_sets = labels,
                                   .n_label_sets = 2,
                                   .first_label_set = 1};
    uint64_t saturated = 99;
    struct ts_store *store = open_ok(f);
    assert_int_equal(ts_store_commit(store, &batch, &saturated, &f->error), 0);
    ts_counters_clear(&f->counters);
    assert_int_equal(saturated, 0);
    struct seen seen = {.len = 0};
    struct ts_store_names names;
    assert_int_equal(ts_store_load_names(store, see_held, see_labels, &seen, &names), 0);
    assert_int_equal(names.largest_location, 8);
    assert_int_equal(names.not_loaded, 1);
    uint32_t number = 99;
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(ts_store_find_location(store, &locations[i], &number), 0);
        assert_int_equal(number, i + 1);
    }
    struct ts_location unknown = name("__INIT__", "", -1);
    assert_int_equal(ts_store_find_location(store, &unknown, &number), 0);
    assert_int_equal(number, 0);
    assert_string_equal(seen.text, expected);
    assert_int_equal(ts_store_load_names(store, stop_held, see_labels, &seen, &names), 42);

    /* A location given twice under two numbers is a mistake of the caller, and nothing of the batch stays. */
    batch.first_location = 9;
    batch.n_label_sets = 0;
    assert_int_equal(ts_store_commit(store, &batch, &saturated, &f->error), TS_ESTORE);
    ts_store_close(store);
    expect_sql(f, "SELECT id, function FROM locations WHERE id IN (1, 5, 6, 8)", "1|init__\n5|\n6|\n8|INIT__");
    expect_sql(f, "SELECT count(*) FROM locations", "8");
    expect_whole(f);
}

/* ---- The view ---- */

static void view_values(void **state)
{
    struct fixture *f = *state;
    struct ts_store *store = open_ok(f);
    struct ts_location locations[3] = {name("_send", "a.py", 1), name("send", "b.py", 2), name("x", NULL, -1)};
    add(f, -1, 1, 1, 1100000000, 1, 5, 4);
    add(f, -1, 1, 2, 3100000000, -3, 6, 6);
    add(f, -1, 2, 2, -1, 1, 1, 1); /* other labels */
    add(f, 2, 1, 3, INT64_MAX, INT64_MIN, INT64_MAX, INT64_MAX - 1);
    add(f, 3, 1, 1, INT64_MAX, INT64_MIN, INT64_MAX, (INT64_C(1) << 62) + 1);
    add(f, 3, 1, 2, INT64_MAX, INT64_MIN, INT64_MAX, INT64_C(1) << 61);
    commit_ok(f, store, locations, 3, 1);
    expect_sql(f, "SELECT * FROM bucket_totals ORDER BY bucket, function",
               "-10|10|send|4.199999999|-1.0e-09|12|11\n"
               "20|10|x|9223372036.85478|-9223372036.85478|9223372036854775807|9223372036854775806\n"
               "30|10|send|18446744073.7096|-18446744073.7096|9223372036854775807|6917529027641081857");
    expect_sql(f, "SELECT DISTINCT typeof(bucket), typeof(width), typeof(cumtime), typeof(ncalls) FROM bucket_totals",
               "integer|integer|real|integer");
    ts_store_close(store);
    expect_whole(f);
}

static void view_fractions(void **state)
{
    struct fixture *f = *state;
    f->config.grid = (struct ts_grid){.start_time = 1732272000 * S + S / 4, .time_slice = S / 4};
    struct ts_store *store = open_ok(f);
    struct ts_location one = name("a", NULL, -1);
    add(f, -1, 1, 1, 4200000000, 0, 1, 1);
    add(f, 0, 1, 1, 0, 0, 1, 1);
    add(f, -6929088003, 1, 1, 0, 0, 1, 1); /* before 1970: -0.5 s */
    commit_ok(f, store, &one, 1, 1);
    expect_sql(f, "SELECT bucket, width, cumtime, typeof(bucket) FROM bucket_totals ORDER BY 1",
               "-0.5|0.25|0.0|real\n1732272000|0.25|4.2|integer\n1732272000.25|0.25|0.0|real");
    ts_store_close(store);
}

static void view_far_away(void **state)
{
    struct fixture *f = *state;
    /* Begins outside 64 bits of nanoseconds. */
    f->config.grid = (struct ts_grid){.start_time = 0, .time_slice = INT64_C(9000000000) * S};
    struct ts_store *store = open_ok(f);
    struct ts_location one = name("a", NULL, -1);
    add(f, -2, 1, 1, 0, 0, 1, 1);
    add(f, 1, 1, 1, 0, 0, 1, 1);
    add(f, INT64_MIN, 1, 1, 0, 0, 1, 1);
    add(f, INT64_MAX - 1, 1, 1, 0, 0, 1, 1);
    commit_ok(f, store, &one, 1, 1);
    expect_sql(f, "SELECT bucket, width FROM bucket_totals WHERE abs(bucket) < 1e12 ORDER BY 1",
               "-18000000000|9000000000\n9000000000|9000000000");
    expect_sql(f, "SELECT count(*) FROM bucket_totals", "4");
    ts_store_close(store);
}

/* ---- Reading ---- */

static int see_sum(void *data, const struct ts_sum_row *row)
{
    struct seen *seen = data;
    seen->len +=
        (size_t)snprintf(seen->text + seen->len, sizeof(seen->text) - seen->len, "%lld/%u/%u %lld %lld %lld %lld\n",
                         (long long)row->bucket, row->labels, row->location, (long long)row->sums.cumtime,
                         (long long)row->sums.tottime, (long long)row->sums.ncalls, (long long)row->sums.pcalls);
    return 0;
}

static int see_profile(void *data, const struct ts_profile_row *row)
{
    struct seen *seen = data;
    seen->len += (size_t)snprintf(
        seen->text + seen->len, sizeof(seen->text) - seen->len, "%lld/%u %lld %lld %lld %lld %lld\n",
        (long long)row->bucket, row->labels, (long long)row->sums.profiles, (long long)row->sums.exact_profiles,
        (long long)row->sums.total_tt, (long long)row->sums.parts_expected, (long long)row->sums.parts_received);
    return 0;
}

static int read_sums(struct ts_reader *reader, int64_t from, int64_t to, struct seen *seen)
{
    struct ts_segment segment = {&ts_reader_levels(reader)->items[0], from, to};
    return ts_reader_sums(reader, &segment, false, see_sum, seen);
}

static int read_profiles(struct ts_reader *reader, int64_t from, int64_t to, struct seen *seen)
{
    struct ts_segment segment = {&ts_reader_levels(reader)->items[0], from, to};
    return ts_reader_profiles(reader, &segment, false, see_profile, seen);
}

static void readers(void **state)
{
    struct fixture *f = *state;
    struct ts_reader *reader = NULL;
    assert_int_equal(ts_reader_open(f->path, &reader, &f->error), TS_ESTORE);
    assert_null(reader);
    assert_false(there(f, ""));
    char text[200];
    memset(text, 'x', sizeof(text));
    spill(f->path, text, sizeof(text));
    assert_int_equal(ts_reader_open(f->path, &reader, &f->error), TS_ESTORE);
    unlink(f->path);

    seed(f);
    struct ts_store *store = open_ok(f);
    assert_int_equal(ts_reader_open(f->path, &reader, &f->error), 0);
    struct ts_location two = name("two", NULL, -1);
    add(f, -2, 1, 2, 1, 2, 3, 4);
    add_profile(f, -2, 1, (struct ts_profile_sums){1, 2, 3, 4, 5});
    commit_ok(f, store, &two, 1, 2);

    assert_int_equal(ts_reader_begin(reader), 0);
    add(f, -2, 1, 2, 1, 2, 3, 4);
    commit_ok(f, store, NULL, 0, 0); /* after the snapshot */
    struct seen seen = {.len = 0};
    assert_int_equal(read_sums(reader, INT64_MIN, INT64_MAX, &seen), 0);
    assert_int_equal(read_profiles(reader, -2, -1, &seen), 0);
    assert_int_equal(read_profiles(reader, -1, 5, &seen), 0);
    assert_int_equal(ts_reader_locations(reader, see_location, &seen), 0);
    assert_int_equal(ts_reader_label_sets(reader, see_labels, &seen), 0);
    assert_string_equal(seen.text, "-2/1/2 1 2 3 4\n7/1/1 1000000000 500000000 2 1\n-2/1 1 2 3 4 5\n"
                                   "1 _main :/app/a.py 3\n2 two - -1\n1 {}\n");
    ts_reader_end(reader);
    ts_reader_end(reader); /* twice does nothing */

    assert_int_equal(ts_reader_begin(reader), 0);
    seen.len = 0;
    assert_int_equal(read_sums(reader, -2, 7, &seen), 0); /* half open */
    assert_string_equal(seen.text, "-2/1/2 2 4 6 8\n");
    assert_int_equal(ts_reader_locations(reader, stop, NULL), 42);
    ts_reader_interrupt(reader);
    assert_int_equal(read_sums(reader, -2, 7, &seen), TS_ECANCELED);
    assert_int_equal(ts_reader_locations(reader, see_location, &seen), TS_ECANCELED);
    ts_reader_end(reader);
    assert_int_equal(ts_reader_begin(reader), 0); /* a new start */
    assert_int_equal(read_sums(reader, -2, 7, &seen), 0);
    ts_reader_end(reader);
    ts_store_close(store);
    assert_null(ts_reader_close(reader));
    assert_null(ts_reader_close(NULL));
    expect_whole(f);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(batches_add_up),         T(saturates_and_stays), T(retries), T(every_write_fails_once),
        T(failed_sync_is_the_end), T(checkpoints),         T(names),   T(view_values),
        T(view_fractions),         T(view_far_away),       T(readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
