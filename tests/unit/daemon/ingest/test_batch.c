/*
 * Hand-over: everything collected moves to exactly one side, or nothing does.
 */
#include "tests/unit/daemon/ingest/ingest_fixture.h"
#include "tests/unit/failing_alloc.h"

static void everything_moves_and_the_thread_starts_empty(void **state)
{
    struct fixture *f = *state;
    struct tsd_batch batch;
    tsd_batch_init(&batch);
    assert_int_equal(feed_function(f, "a"), 0);
    assert_int_equal(feed_function(f, "b"), 0);
    assert_true(tsd_ingest_waiting(&f->ingest) > 0);
    assert_int_equal(tsd_batch_fill(&batch, &f->ingest), 0);
    assert_int_equal(batch.messages, 2);
    assert_int_equal(batch.counters.n_rows, 2);
    assert_int_equal(batch.counters.n_profiles, 1); /* one bucket, one label set */
    assert_int_equal(batch.n_locations, 2);
    assert_int_equal(batch.n_label_sets, 1);
    assert_memory_equal(batch.locations[0].raw_name.data, "a", 1);
    assert_false(batch.retired);
    assert_int_equal(tsd_ingest_waiting(&f->ingest), 0);
    assert_int_equal(f->ingest.counters.n_rows, 0);
    assert_int_equal(f->ingest.messages, 0);
    tsd_batch_clear(&batch);
    assert_true(tsd_batch_is_cleared(&batch));
    tsd_batch_deinit(&batch);
}

static void a_batch_has_only_the_names_that_are_new(void **state)
{
    struct fixture *f = *state;
    struct tsd_batch batch;
    tsd_batch_init(&batch);
    assert_int_equal(feed_function(f, "a"), 0);
    assert_int_equal(tsd_batch_fill(&batch, &f->ingest), 0);
    tsd_batch_clear(&batch);
    assert_int_equal(feed_function(f, "b"), 0);
    assert_int_equal(feed_function(f, "a"), 0);
    assert_int_equal(tsd_batch_fill(&batch, &f->ingest), 0);
    assert_int_equal(batch.first_location, 1);
    assert_int_equal(batch.n_locations, 1);
    assert_memory_equal(batch.locations[0].raw_name.data, "b", 1);
    assert_int_equal(batch.n_label_sets, 0);
    assert_int_equal(batch.counters.n_rows, 2);
    tsd_batch_clear(&batch);
    assert_int_equal(tsd_batch_fill(&batch, &f->ingest), 0); /* nothing was collected */
    assert_int_equal(batch.n_locations, 0);
    assert_null(batch.locations);
    assert_int_equal(batch.messages, 0);
    tsd_batch_deinit(&batch);
}

/* The bytes of names never move: the batch can be read while the thread adds more. */
static void names_stay_readable_while_the_thread_adds_more(void **state)
{
    struct fixture *f = *state;
    struct tsd_batch batch;
    char name[32];
    tsd_batch_init(&batch);
    assert_int_equal(feed_function(f, "first"), 0);
    assert_int_equal(tsd_batch_fill(&batch, &f->ingest), 0);
    for (int i = 0; i < 900; i++) {
        snprintf(name, sizeof(name), "function_%d", i);
        assert_int_equal(feed_function(f, name), 0);
    }
    assert_int_equal(batch.locations[0].raw_name.len, 5);
    assert_memory_equal(batch.locations[0].raw_name.data, "first", 5);
    tsd_batch_deinit(&batch);
}

static void without_memory_nothing_moves(void **state)
{
    struct fixture *f = *state;
    struct tsd_batch batch;
    tsd_batch_init(&batch);
    assert_int_equal(feed_function(f, "a"), 0);
    size_t waiting = tsd_ingest_waiting(&f->ingest);
    int failed = 0;
    for (int n = 0;; n++) {
        alloc_fail_at = n;
        int rc = tsd_batch_fill(&batch, &f->ingest);
        alloc_fail_at = -1;
        if (!rc)
            break;
        failed++;
        assert_int_equal(rc, TS_ENOMEM);
        assert_true(tsd_batch_is_cleared(&batch));
        assert_int_equal(tsd_ingest_waiting(&f->ingest), waiting);
        assert_int_equal(f->ingest.messages, 1);
        assert_int_equal(f->ingest.hand_overs, 0);
    }
    assert_int_equal(failed, 2); /* one list of locations, one of label sets */
    assert_int_equal(batch.messages, 1);
    assert_int_equal(batch.n_locations, 1);
    tsd_batch_deinit(&batch);
}

static void full_tables_move_to_the_batch(void **state)
{
    struct fixture *f = *state;
    struct tsd_batch batch;
    tsd_batch_init(&batch);
    f->ingest.locations.max = 2;
    assert_int_equal(feed_function(f, "a"), 0);
    assert_int_equal(feed_function(f, "b"), 0);
    f->shared.limits.max_locations = 3; /* a reload */
    assert_int_equal(tsd_batch_fill(&batch, &f->ingest), 0);
    assert_true(batch.retired);
    assert_int_equal(batch.old_locations.table.n, 2);
    assert_int_equal(f->ingest.locations.table.n, 0);
    assert_int_equal(f->ingest.label_sets.table.n, 0);
    assert_int_equal(f->ingest.locations.max, 3);
    assert_int_equal(tsd_ingest_waiting(&f->ingest), 0);
    tsd_batch_clear(&batch);
    assert_int_equal(feed_function(f, "b"),
                     0); /* its number begins at 0 again, and the decoder must not recall the old one */
    assert_int_equal(tsd_batch_fill(&batch, &f->ingest), 0);
    assert_int_equal(batch.first_location, 0);
    assert_int_equal(batch.n_locations, 1);
    assert_int_equal(batch.counters.rows[0].location, 0);
    tsd_batch_deinit(&batch);
}

static void the_writer_can_ask_for_new_tables(void **state)
{
    struct fixture *f = *state;
    struct tsd_batch batch;
    tsd_batch_init(&batch);
    assert_int_equal(feed_function(f, "a"), 0);
    batch.renew = true;
    assert_int_equal(tsd_batch_fill(&batch, &f->ingest), 0);
    assert_true(batch.retired);
    tsd_batch_clear(&batch);
    assert_true(tsd_batch_is_cleared(&batch));
    tsd_batch_deinit(&batch);
    tsd_batch_deinit(&batch);
}

static void marks_move_with_the_sums_of_their_messages(void **state)
{
    struct fixture *f = *state;
    struct tsd_batch batch;
    struct tsd_mark_place place = {0};
    struct tsd_client *client;
    uint64_t last_seq;
    tsd_batch_init(&batch);
    assert_int_equal(tsd_clients_hello(&f->clients, str("c"), 0, f, &client), 0);
    assert_int_equal(tsd_clients_claim(&f->clients, client, f, &last_seq), TSD_CLAIM_OWNED);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        struct tsd_mark mark = {.client = client, .seq = seq};
        assert_int_equal(tsd_ingest_reserve_mark(&f->ingest), 0);
        tsd_ingest_mark(&f->ingest, &place, &mark);
    }
    assert_int_equal(f->ingest.n_marks, 1); /* a later mark replaces the earlier one */
    assert_int_equal(atomic_load(&client->marks), 1);
    f->ingest.ack_requested = true;
    assert_int_equal(tsd_batch_fill(&batch, &f->ingest), 0);
    assert_int_equal(batch.n_marks, 1);
    assert_int_equal(batch.marks[0].seq, 3);
    assert_false(f->ingest.ack_requested);
    /* The mark in the batch is the writer's: the next one is another. */
    struct tsd_mark mark = {.client = client, .seq = 4};
    assert_int_equal(tsd_ingest_reserve_mark(&f->ingest), 0);
    tsd_ingest_mark(&f->ingest, &place, &mark);
    assert_int_equal(batch.marks[0].seq, 3);
    assert_int_equal(f->ingest.n_marks, 1);
    assert_int_equal(atomic_load(&client->marks), 2);
    tsd_clients_leave(&f->clients, client, f, 4, false);
    tsd_clients_committed(&f->clients, &batch.marks[0], 1);
    tsd_clients_committed(&f->clients, &f->ingest.marks[0], 1);
    tsd_batch_deinit(&batch);
}

static void a_saturated_sum_is_counted_once(void **state)
{
    struct fixture *f = *state;
    struct tsd_batch batch;
    struct ts_sums sums = {.cumtime = INT64_MAX};
    tsd_batch_init(&batch);
    assert_int_equal(feed_function(f, "a"), 0);
    ts_counters_add(&f->ingest.counters, 0, 0, 0, &sums); /* to the sum of the message */
    assert_int_equal(tsd_batch_fill(&batch, &f->ingest), 0);
    assert_int_equal(tsd_get(&f->ingest.stats.saturated), 1);
    assert_int_equal(batch.counters.saturated, 0);
    tsd_batch_deinit(&batch);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(everything_moves_and_the_thread_starts_empty),
        T(a_batch_has_only_the_names_that_are_new),
        T(names_stay_readable_while_the_thread_adds_more),
        T(without_memory_nothing_moves),
        T(full_tables_move_to_the_batch),
        T(the_writer_can_ask_for_new_tables),
        T(marks_move_with_the_sums_of_their_messages),
        T(a_saturated_sum_is_counted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
