/*
 * Pending data: merging a batch completely or not at all, marks, memory, a commit. Sums of two threads beside a naive
 * sum are in tests/unit/daemon/ingest/test_ingest.c.
 */
#include "daemon/write/pending.h"

#include "tests/unit/daemon/ingest/ingest_fixture.h"
#include "tests/unit/failing_alloc.h"

struct both {
    struct fixture *f;
    struct tsd_source source;
    struct tsd_pending pending;
};

static int setup_both(void **state)
{
    struct both *b = calloc(1, sizeof(*b));
    void *fixture;
    if (!b || setup(&fixture))
        return -1;
    b->f = fixture;
    tsd_source_init(&b->source);
    tsd_pending_init(&b->pending, 1000, 100);
    *state = b;
    return 0;
}

static int teardown_both(void **state)
{
    struct both *b = *state;
    void *fixture = b->f;
    tsd_source_deinit(&b->source);
    tsd_pending_deinit(&b->pending);
    free(b);
    return teardown(&fixture);
}

static void hand_over(struct both *b)
{
    assert_int_equal(tsd_batch_fill(&b->source.batch, &b->f->ingest), 0);
    b->source.full = true;
}

static void merge(struct both *b)
{
    assert_int_equal(tsd_pending_merge(&b->pending, &b->source), 0);
    assert_false(b->source.full);
}

static void nothing_is_pending_at_first_and_after_a_commit(void **state)
{
    struct both *b = *state;
    assert_true(tsd_pending_is_empty(&b->pending));
    assert_int_equal(tsd_pending_bytes(&b->pending), 0);
    assert_int_equal(feed_function(b->f, "_a"), 0);
    assert_int_equal(feed_function(b->f, "a"), 0);
    hand_over(b);
    merge(b);
    assert_false(tsd_pending_is_empty(&b->pending));
    assert_true(tsd_pending_bytes(&b->pending) > 0);
    assert_int_equal(b->pending.messages, 2);
    assert_int_equal(b->pending.functions.n, 1); /* of two raw names */
    struct ts_store_batch batch = tsd_pending_batch(&b->pending);
    assert_int_equal(batch.n_locations, 2);
    assert_int_equal(batch.first_location, 1);
    assert_int_equal(batch.n_label_sets, 1);
    assert_int_equal(batch.n_clients, 0);
    tsd_pending_committed(&b->pending, 1, &b->f->clients);
    assert_true(tsd_pending_is_empty(&b->pending));
    assert_int_equal(tsd_pending_bytes(&b->pending), 0);
    assert_int_equal(b->pending.messages, 0);
    batch = tsd_pending_batch(&b->pending);
    assert_int_equal(batch.n_locations, 0);
    assert_int_equal(tsd_names_held(&b->pending.locations, 1)->used_at, 1);
    assert_int_equal(tsd_names_held(&b->pending.locations, 1)->last, 0);
}

/* Whichever allocation fails, the merge can be repeated, and the sums are added once. */
static void a_merge_without_memory_can_be_repeated(void **state)
{
    struct both *b = *state;
    char name[16];
    int failed = 0;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i <= round; i++) {
            snprintf(name, sizeof(name), "f%d", i);
            assert_int_equal(feed_function(b->f, name), 0);
        }
        hand_over(b);
        for (int at = 0;; at++) {
            alloc_fail_at = at;
            int rc = tsd_pending_merge(&b->pending, &b->source);
            alloc_fail_at = -1;
            if (!rc)
                break;
            failed++;
            assert_int_equal(rc, TS_ENOMEM);
            assert_true(b->source.full);
        }
    }
    assert_true(failed > 4);
    assert_int_equal(b->pending.messages, 210);
    assert_int_equal(b->pending.counters.n_rows, 20);
    int64_t sum = 0;
    for (uint32_t i = 0; i < b->pending.counters.n_rows; i++)
        sum += b->pending.counters.rows[i].sums.cumtime;
    assert_true(sum == 210 * S);
}

static void numbers_translate_from_0_after_new_tables(void **state)
{
    struct both *b = *state;
    assert_int_equal(feed_function(b->f, "a"), 0);
    assert_int_equal(feed_function(b->f, "b"), 0);
    b->source.batch.renew = true;
    hand_over(b);
    merge(b);
    assert_int_equal(b->source.locations.n, 0);
    assert_int_equal(b->source.label_sets.n, 0);
    assert_int_equal(feed_function(b->f, "b"), 0); /* number 0 now */
    hand_over(b);
    merge(b);
    assert_int_equal(b->source.locations.n, 1);
    assert_int_equal(b->source.locations.numbers[0], 2);
    assert_int_equal(b->pending.counters.n_rows, 2);
}

/* ---- Marks ---- */

static struct tsd_client *client_with_mark(struct both *b, const char *id, uint64_t seq, struct tsd_mark *ret_mark)
{
    struct tsd_client *client;
    uint64_t last_seq;
    assert_int_equal(tsd_clients_hello(&b->f->clients, str(id), 0, b, &client), 0);
    assert_int_equal(tsd_clients_claim(&b->f->clients, client, b, &last_seq), TSD_CLAIM_OWNED);
    atomic_fetch_add(&client->marks, 1);
    *ret_mark = (struct tsd_mark){.client = client, .seq = seq};
    return client;
}

static void a_later_mark_replaces_the_earlier_one_of_its_client(void **state)
{
    struct both *b = *state;
    struct tsd_mark one;
    struct tsd_mark other;
    struct tsd_client *client = client_with_mark(b, "c1", 5, &one);
    client_with_mark(b, "c2", 7, &other);
    assert_int_equal(tsd_pending_reserve_marks(&b->pending, 3), 0);
    tsd_pending_mark(&b->pending, &one);
    tsd_pending_mark(&b->pending, &other);
    atomic_fetch_add(&client->marks, 1);
    one.seq = 9;
    tsd_pending_mark(&b->pending, &one);
    assert_int_equal(b->pending.n_marks, 2);
    assert_int_equal(atomic_load(&client->marks), 1);
    assert_false(tsd_pending_is_empty(&b->pending)); /* marks alone must be committed */
    struct ts_store_batch batch = tsd_pending_batch(&b->pending);
    assert_int_equal(batch.n_clients, 2);
    assert_string_equal(batch.clients[0].client, "c1");
    assert_int_equal(batch.clients[0].last_seq, 9);
    assert_false(batch.clients[0].remove);
    tsd_pending_committed(&b->pending, 1, &b->f->clients);
    assert_int_equal(atomic_load(&client->committed), 9);
    assert_int_equal(atomic_load(&client->marks), 0);
    assert_int_equal(client->pending_mark, 0);
    tsd_clients_leave(&b->f->clients, client, b, 9, false);
    tsd_clients_leave(&b->f->clients, other.client, b, 7, false);
}

static void a_mark_that_forgets_removes_the_client(void **state)
{
    struct both *b = *state;
    struct tsd_mark mark;
    client_with_mark(b, "c1", 5, &mark);
    mark.forget = true;
    tsd_clients_leave(&b->f->clients, mark.client, b, 5, true);
    assert_int_equal(tsd_pending_reserve_marks(&b->pending, 1), 0);
    tsd_pending_mark(&b->pending, &mark);
    assert_true(tsd_pending_batch(&b->pending).clients[0].remove);
    tsd_pending_committed(&b->pending, 1, &b->f->clients);
    assert_int_equal(atomic_load(&b->f->clients.n), 0);
}

/* ---- Renewing ---- */

static bool keep_number_2(void *data, const struct tsd_name *name)
{
    (void)data;
    return name->number == 2;
}

static void renewed_locations_are_counted_afresh(void **state)
{
    struct both *b = *state;
    assert_int_equal(feed_function(b->f, "a"), 0);
    assert_int_equal(feed_function(b->f, "b"), 0);
    b->source.batch.renew = true;
    hand_over(b);
    merge(b);
    tsd_pending_committed(&b->pending, 1, &b->f->clients);
    assert_int_equal(tsd_pending_renew_locations(&b->pending, keep_number_2, NULL), 0);
    assert_int_equal(b->pending.locations.known.table.n, 1);
    assert_int_equal(b->pending.functions.n, 1);
    assert_int_equal(b->pending.locations.not_held, 1);
    assert_int_equal(tsd_pending_bytes(&b->pending), 0); /* all names are stored */
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup_both, teardown_both)
    const struct CMUnitTest tests[] = {
        T(nothing_is_pending_at_first_and_after_a_commit), T(a_merge_without_memory_can_be_repeated),
        T(numbers_translate_from_0_after_new_tables),      T(a_later_mark_replaces_the_earlier_one_of_its_client),
        T(a_mark_that_forgets_removes_the_client),         T(renewed_locations_are_counted_afresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
