/*
 * The database's files are moved, deleted or replaced while the store is open.
 */
#include "lib/store/connection.h"
#include "tests/unit/lib/store/store_fixture.h"

/* Of a database that has been seeded: with a second row, which is in the log only. */
static struct ts_store *open_with_row(struct fixture *f)
{
    struct ts_store *store = open_ok(f);
    add(f, 8, 1, 1, S, S, 3, 1);
    commit_ok(f, store, NULL, 0, 0);
    return store;
}

static char *beside(struct fixture *f, const char *suffix)
{
    static char name[2][160];
    static int next;
    next = !next;
    snprintf(name[next], sizeof(name[next]), "%s%s", f->path, suffix);
    return name[next];
}

/* No further commit succeeds, and none of those before is lost. */
static void expect_dead(struct fixture *f, struct ts_store *store, const char *text)
{
    uint64_t saturated;
    add(f, 9, 1, 1, S, S, 5, 1);
    assert_int_equal(commit(f, store, NULL, 0, 0, &saturated), TS_ESYNC);
    if (!strstr(f->error.message, text))
        fail_msg("\"%s\" lacks \"%s\"", f->error.message, text);
    assert_int_equal(commit(f, store, NULL, 0, 0, &saturated), TS_ESYNC);
    ts_counters_clear(&f->counters);
    assert_int_equal(commit(f, store, NULL, 0, 0, &saturated), TS_ESYNC); /* an empty one too */
    ts_store_close(store);
}

static void moved_away(void **state)
{
    struct fixture *f = *state;
    seed(f);
    struct ts_store *store = open_with_row(f);
    assert_int_equal(rename(f->path, beside(f, ".moved")), 0);
    expect_dead(f, store, "was moved or deleted");
    struct stat st;
    assert_int_equal(stat(beside(f, "-wal"), &st), 0);
    assert_int_equal(st.st_size, 0); /* nothing that would be replayed onto another file */
    assert_int_equal(rename(beside(f, ".moved"), f->path), 0);
    expect_sql(f, "SELECT sum(ncalls) FROM sums WHERE level = 0", "5");
    expect_intact(f);
}

static void deleted(void **state)
{
    struct fixture *f = *state;
    seed(f);
    struct ts_store *store = open_with_row(f);
    assert_int_equal(unlink(f->path), 0);
    expect_dead(f, store, "put it back, or a new database is created");
    seed(f);
    expect_sql(f, "SELECT sum(ncalls) FROM sums WHERE level = 0", "2");
}

static void replaced(void **state)
{
    struct fixture *f = *state;
    seed(f);
    struct bytes backup = slurp(f->path);
    struct ts_store *store = open_with_row(f);
    spill(beside(f, ".backup"), backup.data, backup.len);
    free(backup.data);
    assert_int_equal(rename(beside(f, ".backup"), f->path), 0);
    expect_dead(f, store, "was replaced by another file");
    store = open_ok(f);
    ts_store_close(store);
    expect_sql(f, "SELECT sum(ncalls) FROM sums WHERE level = 0", "2");
    expect_intact(f);
}

/* Without its log or the log's index the database still gets all commits. */
static void log_deleted(void **state)
{
    static const char *const suffixes[] = {"-wal", "-shm"};
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        unlink(f->path);
        seed(f);
        struct ts_store *store = open_with_row(f);
        assert_int_equal(unlink(beside(f, suffixes[i])), 0);
        expect_dead(f, store, suffixes[i]);
        store = open_ok(f);
        ts_store_close(store);
        expect_sql(f, "SELECT sum(ncalls) FROM sums WHERE level = 0", "5");
        expect_intact(f);
    }
}

static int move(void *f)
{
    return rename(((struct fixture *)f)->path, beside(f, ".moved"));
}

/* A commit into a file that is moved meanwhile is not reported as stored. */
static void moved_during_a_commit(void **state)
{
    struct fixture *f = *state;
    seed(f);
    struct ts_store *store = open_with_row(f);
    uint64_t saturated;
    sqlite3_commit_hook(store->db, move, f);
    add(f, 9, 1, 1, S, S, 5, 1);
    assert_int_equal(commit(f, store, NULL, 0, 0, &saturated), TS_ESYNC);
    ts_counters_clear(&f->counters);
    ts_store_close(store);
    assert_int_equal(rename(beside(f, ".moved"), f->path), 0);
    expect_intact(f);
}

static void folder_moved(void **state)
{
    struct fixture *f = *state;
    seed(f);
    struct ts_store *store = open_with_row(f);
    char moved[160];
    snprintf(moved, sizeof(moved), "%s.moved", f->folder);
    assert_int_equal(rename(f->folder, moved), 0);
    expect_dead(f, store, "was moved or deleted");
    assert_int_equal(rename(moved, f->folder), 0);
    expect_sql(f, "SELECT sum(ncalls) FROM sums WHERE level = 0", "5");
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(moved_away), T(deleted), T(replaced), T(log_deleted), T(moved_during_a_commit), T(folder_moved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
