/*
 * Stored names: inserted, loaded, found, deleted.
 */
#include "tests/unit/lib/store/store_model.h"

static int see_recent(void *data, uint32_t id, const struct ts_location *location, int64_t last)
{
    assert_int_equal(last, id); /* the position of its row */
    return see_location(data, id, location);
}

static int stop_recent(void *data, uint32_t id, const struct ts_location *location, int64_t last)
{
    (void)data, (void)location, (void)last;
    return id == 2 ? 42 : 0;
}

static void names_are_stored_and_loaded(void **state)
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
    for (uint32_t i = 1; i <= 7; i++) /* the eighth has no row: it is stored, but not loaded */
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
    assert_int_equal(ts_store_load_names(store, see_recent, see_labels, &seen, &names), 0);
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
    assert_int_equal(ts_store_load_names(store, stop_recent, see_labels, &seen, &names), 42);

    /* A location with two numbers is an error of the caller: nothing of the batch is stored. */
    batch.first_location = 9;
    batch.n_label_sets = 0;
    assert_int_equal(ts_store_commit(store, &batch, &saturated, &f->error), TS_ESTORE);
    ts_store_close(store);
    expect_sql(f, "SELECT id, function FROM locations WHERE id IN (1, 5, 6, 8)", "1|init__\n5|\n6|\n8|INIT__");
    expect_sql(f, "SELECT count(*) FROM locations", "8");
    expect_intact(f);
}

static int note_recent(void *data, uint32_t id, const struct ts_location *location, int64_t last)
{
    struct seen *seen = data;
    (void)location;
    seen->len +=
        (size_t)snprintf(seen->text + seen->len, sizeof(seen->text) - seen->len, "%u@%lld ", id, (long long)last);
    return 0;
}

static int ignore_labels(void *data, uint32_t id, const char *json, size_t len)
{
    (void)data, (void)id, (void)json, (void)len;
    return 0;
}

static void expect_recent(struct model *m, const char *expected, uint64_t not_loaded)
{
    struct seen seen = {.len = 0};
    struct ts_store_names names;
    assert_int_equal(ts_store_load_names(m->store, note_recent, ignore_labels, &seen, &names), 0);
    assert_string_equal(seen.text, expected);
    assert_int_equal(names.not_loaded, not_loaded);
    assert_int_equal(names.largest_location, MODEL_LOCATIONS);
}

/* Only the locations that level 0 may still have are loaded, each with the last position of the wide bucket that has
   its last row. */
static void only_recent_locations_are_loaded(void **state)
{
    static const int retention[] = {10, 300, 60, 100000, 0};
    struct model m;
    model_start(&m, *state, retention, 100000 * S, 41);
    model_add(&m, 9000, 1, 1, 5);
    model_add(&m, 9000, 1, 2, 5);
    model_add(&m, 9990, 1, 2, 5);
    model_add(&m, 9980, 1, 2, 5);
    model_add(&m, 9999, 1, 3, 5);
    model_commit(&m);
    ts_store_close(m.store);
    model_open(&m, retention);
    expect_recent(&m, "2@9995 3@10001 ", 2);
    /* Once level 0 is pruned, its begin is within a wide bucket. */
    m.horizon += 250 * S; /* first kept: 9995, in the wide bucket 9990..9995 */
    while (model_maintain(&m, 10).more)
        ;
    ts_store_close(m.store);
    model_open(&m, retention);
    expect_recent(&m, "2@9995 3@10001 ", 2);
    m.horizon += 5000 * S;
    while (model_maintain(&m, 10).more)
        ;
    ts_store_close(m.store);
    model_open(&m, retention);
    expect_recent(&m, "", 4);
    model_end(&m);
}

static void names_are_deleted_all_or_none(void **state)
{
    static const int retention[] = {10, 300, 0};
    const uint32_t locations[] = {1, 2, 3};
    const uint32_t label_sets[] = {2, 3};
    struct model m;
    model_start(&m, *state, retention, 100000 * S, 42);
    model_commit(&m);
    sqlite3 *db = shell(m.f);
    execute(db,
            "CREATE TRIGGER bad BEFORE DELETE ON label_sets WHEN old.id = 3 BEGIN SELECT RAISE(ABORT, 'test'); END");
    assert_int_equal(ts_store_delete_names(m.store, locations, 3, label_sets, 2, &m.f->error), TS_ESTORE);
    assert_non_null(strstr(m.f->error.message, "cannot delete unreferenced names: test"));
    expect_sql(m.f, "SELECT (SELECT count(*) FROM locations), (SELECT count(*) FROM label_sets)", "4|3");
    execute(db, "DROP TRIGGER bad");
    sqlite3_close(db);
    assert_int_equal(ts_store_delete_names(m.store, locations, 3, label_sets, 2, &m.f->error), 0);
    expect_sql(m.f, "SELECT id FROM locations", "4");
    expect_sql(m.f, "SELECT id FROM label_sets", "1");
    /* New numbers continue after the largest one that was ever stored. */
    struct ts_location again = name("a", NULL, -1);
    commit_ok(m.f, m.store, &again, 1, MODEL_LOCATIONS + 1);
    uint32_t number = 0;
    assert_int_equal(ts_store_find_location(m.store, &again, &number), 0);
    assert_int_equal(number, MODEL_LOCATIONS + 1);
    model_end(&m);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(names_are_stored_and_loaded),
        T(only_recent_locations_are_loaded),
        T(names_are_deleted_all_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
