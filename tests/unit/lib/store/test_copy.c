/*
 * Copies: the state of one commit, complete, and removed by name; regridded copies against a naive model.
 */
#include "lib/store/copy.h"
#include "tests/unit/lib/store/store_model.h"

#include <sys/statvfs.h>

static const int retention[] = {10, 3000, 60, 100000, 0};

static struct ts_copy *start(struct model *m)
{
    struct ts_copy *copy = NULL;
    if (ts_copy_start(m->store, &copy, &m->f->error))
        fail_msg("%s", m->f->error.message);
    return copy;
}

static int finish(struct model *m, struct ts_copy *copy, int pages)
{
    bool more = true;
    int steps = 0;
    for (; more; steps++)
        assert_int_equal(ts_copy_step(copy, pages, &more, &m->f->error), 0);
    return steps;
}

static void put(struct fixture *f, const char *suffix)
{
    char name[160];
    snprintf(name, sizeof(name), "%s%s", f->path, suffix);
    spill(name, "x", 1);
}

/* Writes the copy to a file beside the database, and frees it. */
static void save(struct model *m, struct ts_copy *copy, char *path, size_t size)
{
    int64_t len = -1;
    int fd = -1;
    struct stat st;
    assert_int_equal(count_temporaries(m->f), 1);
    assert_int_equal(ts_copy_open(copy, &fd, &len, &m->f->error), 0);
    assert_int_equal(count_temporaries(m->f), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, len);
    char *data = malloc((size_t)len);
    assert_int_equal(read(fd, data, (size_t)len), len);
    assert_memory_equal(data + 18, "\1\1", 2); /* needs no write-ahead log */
    snprintf(path, size, "%s/saved.db", m->f->folder);
    spill(path, data, (size_t)len);
    free(data);
    close(fd);
    ts_copy_free(copy);
}

/* Compares every table of the saved copy with the store, attached as s. */
static int64_t differences(struct model *m, const char *path, const char *table)
{
    model_execute(m, "ATTACH '%q' AS c", path);
    int64_t n = model_count(m,
                            "SELECT (SELECT count(*) FROM (SELECT * FROM c.%s EXCEPT SELECT * FROM s.%s)) +"
                            " (SELECT count(*) FROM (SELECT * FROM s.%s EXCEPT SELECT * FROM c.%s))",
                            table, table, table, table);
    assert_int_equal(model_count(m, "SELECT count(*) FROM c.pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
    execute(m->db, "DETACH c");
    return n;
}

/* The copy has the commits between its steps, and none after the last step. */
static void copy_has_the_state_of_its_last_step(void **state)
{
    static const char *const tables[] = {"grid", "levels", "label_sets", "locations", "sums", "profiles", "uptime"};
    struct model m;
    char path[128];
    model_start(&m, *state, retention, 100000 * S, 31);
    for (int i = 0; i < 500; i++)
        model_add(&m, 9900 + i % 100, 1 + i % 3, 1 + i % 4, i);
    model_commit(&m);
    struct ts_copy *copy = start(&m);
    bool more = true;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ts_copy_step(copy, 1, &more, &m.f->error), 0);
        assert_true(more);
        model_add(&m, 9900 + i, 1, 1, 1000000);
        model_commit(&m);
    }
    struct ts_copy *second = NULL;
    assert_int_equal(ts_copy_start(m.store, &second, &m.f->error), TS_ESTORE); /* one at a time */
    assert_null(second);
    assert_true(finish(&m, copy, 3) > 2);
    save(&m, copy, path, sizeof(path));
    for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++)
        assert_int_equal(differences(&m, path, tables[i]), 0);
    model_add(&m, 9900, 1, 1, 5);
    model_commit(&m);
    assert_true(differences(&m, path, "sums") > 0);
    model_end(&m);
}

static void abandoned_copies_leave_no_file(void **state)
{
    struct model m;
    model_start(&m, *state, retention, 100000 * S, 32);
    struct ts_copy *copy = start(&m);
    assert_int_equal(count_temporaries(m.f), 1);
    assert_null(ts_copy_free(copy));
    assert_int_equal(count_temporaries(m.f), 0);
    /* That of a killed process is removed by the next one. */
    m.store = ts_store_close(m.store);
    put(m.f, "-copy-0123456789abcdef");
    put(m.f, "-copy-0123456789abcdef-wal");
    put(m.f, "-new-fedcba9876543210-journal");
    put(m.f, "-copy"); /* these may be somebody's */
    put(m.f, "-copy-0123456789abcde");
    put(m.f, "-copy-0123456789abcdef0");
    put(m.f, "-copy-0123456789abcdef-old");
    model_open(&m, retention);
    assert_int_equal(count_temporaries(m.f), 4);
    assert_true(there(m.f, "-copy"));
    assert_true(there(m.f, "-copy-0123456789abcde"));
    assert_true(there(m.f, "-copy-0123456789abcdef0"));
    assert_true(there(m.f, "-copy-0123456789abcdef-old"));
    assert_null(ts_copy_free(NULL));
    model_end(&m);
}

/* Sums of the saved copy's level 0 against the model's, in buckets of so many of the old ones. */
static void expect_regridded(struct model *m, const char *path, long long factor)
{
    model_execute(m, "ATTACH '%q' AS c", path);
    assert_int_equal(model_count(m, "SELECT time_slice FROM c.grid"), 10 * factor * S);
    assert_int_equal(
        model_count(m,
                    "SELECT count(*) FROM (SELECT position / %lld AS bucket, labels, location, sum(cumtime),"
                    " sum(tottime), sum(ncalls), sum(pcalls) FROM deltas GROUP BY 1, 2, 3 EXCEPT"
                    " SELECT bucket, labels, location, cumtime, tottime, ncalls, pcalls FROM c.sums WHERE level = 0)",
                    factor),
        0);
    assert_int_equal(
        model_count(m,
                    "SELECT count(*) FROM (SELECT position / %lld AS bucket, labels, sum(profiles),"
                    " sum(exact_profiles), sum(total_tt), sum(parts_expected), sum(parts_received) FROM heads"
                    " GROUP BY 1, 2 EXCEPT SELECT bucket, labels, profiles, exact_profiles, total_tt, parts_expected,"
                    " parts_received FROM c.profiles WHERE level = 0)",
                    factor),
        0);
    assert_int_equal(model_count(m, "SELECT sum(ncalls) FROM c.sums WHERE level = 0"),
                     model_count(m, "SELECT sum(ncalls) FROM deltas"));
    assert_int_equal(model_count(m, "SELECT count(*) FROM c.sums WHERE level NOT IN (SELECT level FROM c.levels)"), 0);
    execute(m->db, "DETACH c");
}

static void regridded_copies(void **state)
{
    static const int factors[] = {2, 3, 6, 12, 36};
    struct model m;
    model_start(&m, *state, retention, 100000 * S, 33);
    for (int i = 0; i < 300; i++)
        model_add(&m, 9720 + (int64_t)model_random(&m, 280), 1 + (uint32_t)model_random(&m, 3),
                  1 + (uint32_t)model_random(&m, 4), (int64_t)model_random(&m, 1000) - 500);
    model_commit(&m);
    for (size_t i = 0; i < sizeof(factors) / sizeof(*factors); i++) {
        struct ts_copy *copy = start(&m);
        char path[128];
        finish(&m, copy, 100);
        if (ts_copy_regrid(copy, factors[i] * 10 * S, &m.f->error))
            fail_msg("%d: %s", factors[i], m.f->error.message);
        save(&m, copy, path, sizeof(path));
        expect_regridded(&m, path, factors[i]);
        /* It is a database of its own. */
        struct fixture other = *m.f;
        other.config.path = path;
        other.config.grid.time_slice = factors[i] * 10 * S;
        other.config.n_retention = 0;
        ts_store_close(open_ok(&other));
        unlink(path);
    }
    model_end(&m);
}

static void widths_that_do_not_fit(void **state)
{
    static const struct {
        int64_t width;
        const char *message;
    } cases[] = {
        {0, "is not wider than the stored time_slice 10s"},
        {10 * S, "10s is not wider than the stored time_slice 10s"},
        {25 * S, "25s is not a multiple of the stored time_slice 10s"},
        {40 * S, "40s neither divides nor is a multiple of the level that is kept longest, 1m"},
    };
    struct model m;
    model_start(&m, *state, retention, 100000 * S, 34);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct ts_copy *copy = start(&m);
        finish(&m, copy, 100);
        assert_int_equal(ts_copy_regrid(copy, cases[i].width, &m.f->error), TS_EINVAL);
        if (!strstr(m.f->error.message, cases[i].message))
            fail_msg("%s", m.f->error.message);
        ts_copy_free(copy);
        assert_int_equal(count_temporaries(m.f), 0);
    }
    model_end(&m);
}

/* Instead of libc's. */
static uint64_t available_bytes;
static int statvfs_result;

int statvfs(const char *path, struct statvfs *fs)
{
    (void)path;
    *fs = (struct statvfs){.f_frsize = 1024, .f_blocks = 1000000, .f_bavail = available_bytes / 1024};
    return statvfs_result;
}

static void space_is_checked(void **state)
{
    const uint64_t mib = 1 << 20;
    struct model m;
    model_start(&m, *state, retention, 100000 * S, 31);
    available_bytes = 6 * mib;
    assert_int_equal(ts_copy_check_space(m.store, 1, &m.f->error), 0);
    assert_int_equal(ts_copy_check_space(m.store, 1000, &m.f->error), TS_ESTORE);
    available_bytes = 3 * mib;
    assert_int_equal(ts_copy_check_space(m.store, 1, &m.f->error), TS_ESTORE);
    if (!strstr(m.f->error.message, "needs 4.") || !strstr(m.f->error.message, "3.0 MiB are available"))
        fail_msg("%s", m.f->error.message);
    statvfs_result = -1; /* not known */
    assert_int_equal(ts_copy_check_space(m.store, 1, &m.f->error), 0);
    statvfs_result = 0;
    model_end(&m);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(copy_has_the_state_of_its_last_step),
        T(abandoned_copies_leave_no_file),
        T(regridded_copies),
        T(widths_that_do_not_fit),
        T(space_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
