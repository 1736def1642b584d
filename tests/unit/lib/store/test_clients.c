/*
 * Clients of acknowledged streams, and the uptime.
 */
#include "tests/unit/lib/store/store_fixture.h"

struct loaded {
    char text[512];
    size_t len;
    int stop_at; /* the callback fails at this call; 0: never */
    int calls;
};

static int see_client(void *data, struct ts_str client, uint64_t last_seq, int64_t used)
{
    struct loaded *loaded = data;
    if (++loaded->calls == loaded->stop_at)
        return 42;
    loaded->len += (size_t)snprintf(loaded->text + loaded->len, sizeof(loaded->text) - loaded->len, "%.*s=%llu@%lld ",
                                    (int)client.len, client.data, (unsigned long long)last_seq, (long long)used);
    return 0;
}

static void put(struct fixture *f, struct ts_store *store, const struct ts_client_row *rows, size_t n, int64_t uptime)
{
    uint64_t saturated;
    struct ts_store_batch batch = {.clients = rows, .n_clients = n, .uptime = uptime};
    assert_int_equal(ts_store_commit(store, &batch, &saturated, &f->error), 0);
}

static void expect_clients(struct ts_store *store, const char *expected)
{
    struct loaded loaded = {.len = 0};
    assert_int_equal(ts_store_load_clients(store, see_client, &loaded), 0);
    assert_string_equal(loaded.text, expected);
}

static void clients_are_stored_and_removed(void **state)
{
    struct fixture *f = *state;
    struct ts_store *store = open_ok(f);
    expect_clients(store, "");
    put(f, store, (struct ts_client_row[]){{"a", 1, false}, {"b", UINT64_MAX >> 1, false}}, 2, 10);
    expect_clients(store, "a=1@10 b=9223372036854775807@10 ");
    put(f, store, (struct ts_client_row[]){{"a", 7, false}}, 1, 20);
    ts_store_close(store);
    store = open_ok(f);
    expect_clients(store, "a=7@20 b=9223372036854775807@10 ");
    put(f, store, (struct ts_client_row[]){{"b", 0, true}, {"c", 3, false}, {"none", 0, true}}, 3, 30);
    expect_clients(store, "a=7@20 c=3@30 ");
    struct loaded loaded = {.stop_at = 2};
    assert_int_equal(ts_store_load_clients(store, see_client, &loaded), 42);
    assert_string_equal(loaded.text, "a=7@20 ");
    expect_clients(store, "a=7@20 c=3@30 "); /* the walk was reset */
    ts_store_close(store);
    expect_intact(f);
}

/* Numbers and sums are stored together or not at all. */
static void failed_commit_stores_no_number(void **state)
{
    struct fixture *f = *state;
    struct ts_store *store = open_ok(f);
    sqlite3 *db = shell(f);
    execute(db, "CREATE TRIGGER bad BEFORE INSERT ON clients WHEN new.client = 'bad' BEGIN SELECT RAISE(ABORT, 'test');"
                " END");
    struct ts_location one = name("a", NULL, -1);
    struct ts_location labels = name("{}", NULL, -1);
    struct ts_client_row rows[] = {{"good", 5, false}, {"bad", 6, false}};
    struct ts_store_batch batch = {.counters = &f->counters,
                                   .locations = &one,
                                   .n_locations = 1,
                                   .first_location = 1,
                                   .label_sets = &labels,
                                   .n_label_sets = 1,
                                   .first_label_set = 1,
                                   .clients = rows,
                                   .n_clients = 2,
                                   .uptime = 9};
    uint64_t saturated;
    add(f, 1, 1, 1, 100, 0, 1, 1);
    assert_int_equal(ts_store_commit(store, &batch, &saturated, &f->error), TS_ESTORE);
    expect_sql(f,
               "SELECT (SELECT count(*) FROM sums) + (SELECT count(*) FROM locations) + (SELECT count(*) FROM"
               " clients)",
               "0");
    execute(db, "DROP TRIGGER bad");
    sqlite3_close(db);
    assert_int_equal(ts_store_commit(store, &batch, &saturated, &f->error), 0);
    expect_clients(store, "bad=6@9 good=5@9 ");
    expect_sql(f, "SELECT cumtime FROM sums WHERE level = 0", "100");
    ts_store_close(store);
}

static void uptime_never_decreases(void **state)
{
    struct fixture *f = *state;
    struct ts_store *store = open_ok(f);
    int64_t uptime = 99;
    assert_int_equal(ts_store_load_uptime(store, &uptime), 0);
    assert_int_equal(uptime, 0);
    put(f, store, (struct ts_client_row[]){{"a", 1, false}}, 1, 50);
    put(f, store, (struct ts_client_row[]){{"a", 2, false}}, 1, 40);
    assert_int_equal(ts_store_load_uptime(store, &uptime), 0);
    assert_int_equal(uptime, 50);
    change(f, "DELETE FROM uptime");
    assert_int_equal(ts_store_load_uptime(store, &uptime), TS_EREFUSED);
    assert_int_equal(uptime, 50);
    ts_store_close(store);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(clients_are_stored_and_removed),
        T(failed_commit_stores_no_number),
        T(uptime_never_decreases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
