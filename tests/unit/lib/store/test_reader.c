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

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(reads_one_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
