/*
 * Readers: one state of the database between begin and end; interruption.
 */
#include "tests/unit/lib/store/store_fixture.h"

static int stop(void *data, uint32_t id, const struct ts_location *location)
{
    (void)data;
    (void)location;
    return id == 2 ? 42 : 0;
}

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

static void reads_one_state(void **state)
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
    commit_ok(f, store, NULL, 0, 0); /* after the begin of the read */
    struct seen seen = {.len = 0};
    assert_int_equal(read_sums(reader, INT64_MIN, INT64_MAX, &seen), 0);
    assert_int_equal(read_profiles(reader, -2, -1, &seen), 0);
    assert_int_equal(read_profiles(reader, -1, 5, &seen), 0);
    assert_int_equal(ts_reader_locations(reader, see_location, &seen), 0);
    assert_int_equal(ts_reader_label_sets(reader, see_labels, &seen), 0);
    assert_string_equal(seen.text, "-2/1/2 1 2 3 4\n7/1/1 1000000000 500000000 2 1\n-2/1 1 2 3 4 5\n"
                                   "1 _main :/app/a.py 3\n2 two - -1\n1 {}\n");
    ts_reader_end(reader);
    ts_reader_end(reader); /* again: no effect */

    assert_int_equal(ts_reader_begin(reader), 0);
    seen.len = 0;
    assert_int_equal(read_sums(reader, -2, 7, &seen), 0); /* half-open */
    assert_string_equal(seen.text, "-2/1/2 2 4 6 8\n");
    assert_int_equal(ts_reader_locations(reader, stop, NULL), 42);
    ts_reader_interrupt(reader);
    assert_int_equal(read_sums(reader, -2, 7, &seen), TS_ECANCELED);
    assert_int_equal(ts_reader_locations(reader, see_location, &seen), TS_ECANCELED);
    ts_reader_end(reader);
    assert_int_equal(ts_reader_begin(reader), 0); /* ends the interruption */
    assert_int_equal(read_sums(reader, -2, 7, &seen), 0);
    ts_reader_end(reader);
    ts_store_close(store);
    assert_null(ts_reader_close(reader));
    assert_null(ts_reader_close(NULL));
    expect_intact(f);
}

/* Gives TS_STOP once the text has three numbers. */
static int stop_at_three(void *data, const struct ts_sum_row *row)
{
    struct seen *seen = data;
    seen->len +=
        (size_t)snprintf(seen->text + seen->len, sizeof(seen->text) - seen->len, "%lld ", (long long)row->bucket);
    return seen->len >= 6 ? TS_STOP : 0;
}

static void both_directions_and_an_early_end(void **state)
{
    struct fixture *f = *state;
    struct ts_reader *reader = NULL;
    struct ts_location one = name("a", NULL, -1);
    struct ts_store *store = open_ok(f);
    for (int bucket = 1; bucket < 9; bucket++)
        add(f, bucket, 1, 1, 1, 1, 1, 1);
    commit_ok(f, store, &one, 1, 1);
    assert_int_equal(ts_reader_open(f->path, &reader, &f->error), 0);
    assert_int_equal(ts_reader_begin(reader), 0);
    struct ts_segment segment = {&ts_reader_levels(reader)->items[0], 2, 8};
    struct seen seen = {.len = 0};
    assert_int_equal(ts_reader_sums(reader, &segment, false, stop_at_three, &seen), TS_STOP);
    assert_string_equal(seen.text, "2 3 4 ");
    seen.len = 0;
    assert_int_equal(ts_reader_sums(reader, &segment, true, stop_at_three, &seen), TS_STOP);
    assert_string_equal(seen.text, "7 6 5 ");
    segment.to = 3;
    seen.len = 0;
    assert_int_equal(ts_reader_sums(reader, &segment, true, stop_at_three, &seen), 0);
    assert_string_equal(seen.text, "2 ");
    ts_reader_end(reader);
    ts_reader_close(reader);
    ts_store_close(store);
}

/* An intact file passes the check, one with a damaged page in the middle does not. */
static void check_finds_damage(void **state)
{
    struct fixture *f = *state;
    struct ts_reader *reader = NULL;
    struct ts_location one = name("a", NULL, -1);
    struct ts_store *store = open_ok(f);
    for (int bucket = 0; bucket < 3000; bucket++)
        add(f, bucket, 1, 1, 1000000 + bucket, 1, 1, 1);
    commit_ok(f, store, &one, 1, 1);
    ts_store_close(store);
    assert_int_equal(ts_reader_open(f->path, &reader, &f->error), 0);
    assert_int_equal(ts_reader_check(reader, &f->error), 0);
    assert_int_equal(ts_reader_check(reader, &f->error), 0); /* and again */
    ts_reader_interrupt(reader);
    assert_int_equal(ts_reader_check(reader, &f->error), TS_ECANCELED);
    ts_reader_close(reader);

    struct bytes bytes = slurp(f->path);
    memset(bytes.data + bytes.len / 4096 / 2 * 4096, 0x55, 4096);
    spill(f->path, bytes.data, bytes.len);
    free(bytes.data);
    assert_int_equal(ts_reader_open(f->path, &reader, &f->error), 0);
    assert_int_equal(ts_reader_check(reader, &f->error), TS_EREFUSED);
    assert_non_null(strstr(f->error.message, "the database is damaged ("));
    assert_non_null(strstr(f->error.message, "restore it from a backup"));
    ts_reader_close(reader);
}

/* A reader leaves the log alone when it is the last connection to close. */
static void readers_never_checkpoint(void **state)
{
    struct fixture *f = *state;
    struct ts_reader *reader = NULL;
    char wal[128];
    snprintf(wal, sizeof(wal), "%s-wal", f->path);
    seed(f);
    pid_t child = fork();
    if (child == 0) { /* leaves a log */
        struct ts_store *store = NULL;
        uint64_t saturated;
        if (ts_store_open(&f->config, &store, &f->grid, &f->error))
            _exit(1);
        add(f, 8, 1, 1, S, 0, 1, 1);
        _exit(commit(f, store, NULL, 0, 0, &saturated) ? 2 : 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    struct bytes before = slurp(wal);
    assert_true(before.len > 0);
    assert_int_equal(ts_reader_open(f->path, &reader, &f->error), 0);
    assert_int_equal(ts_reader_begin(reader), 0);
    struct seen seen = {.len = 0};
    assert_int_equal(read_sums(reader, 8, 9, &seen), 0);
    assert_string_equal(seen.text, "8/1/1 1000000000 0 1 1\n");
    ts_reader_end(reader);
    ts_reader_close(reader);
    struct bytes after = slurp(wal);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    free(before.data);
    free(after.data);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(reads_one_state),
        T(both_directions_and_an_early_end),
        T(check_finds_damage),
        T(readers_never_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
