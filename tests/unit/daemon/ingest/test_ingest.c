/*
 * From messages to pending data: ingest, hand-over, translation, merge. The tables of two ingest threads against a
 * naive sum; bounds; name tables that are passed to the writer while it still reads earlier ones.
 */
#include "daemon/ingest/ingest.h"
#include "daemon/write/pending.h"
#include "lib/base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SOURCES = 2 };

static const struct tsd_peer nobody = {.kind = "test", .fd = -1};

struct fixture {
    struct tsd_limits limits;
    struct tsd_rejects rejects;
    struct tsd_ingest ingest[SOURCES];
    struct tsd_source sources[SOURCES];
    struct tsd_pending pending;
};

static void start(struct fixture *f, uint32_t max_locations, uint32_t max_label_sets)
{
    f->limits.grid = (struct ts_grid){.start_time = 0, .time_slice = 10 * TS_NS_PER_S};
    f->limits.longest_keep = INT64_MAX;
    f->limits.max_future = -1;
    f->limits.max_locations = max_locations;
    f->limits.max_label_sets = max_label_sets;
    tsd_clock_init(&f->limits.clock);
    assert_int_equal(tsd_rejects_init(&f->rejects), 0);
    tsd_pending_init(&f->pending, max_locations, max_label_sets);
    for (int i = 0; i < SOURCES; i++) {
        assert_int_equal(tsd_ingest_init(&f->ingest[i], &f->limits, &f->rejects), 0);
        tsd_source_init(&f->sources[i]);
    }
}

static struct fixture *new_fixture(uint32_t max_locations, uint32_t max_label_sets)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    start(f, max_locations, max_label_sets);
    return f;
}

static void discard(struct fixture *f)
{
    for (int i = 0; i < SOURCES; i++) {
        tsd_ingest_deinit(&f->ingest[i]);
        tsd_source_deinit(&f->sources[i]);
    }
    tsd_pending_deinit(&f->pending);
    tsd_rejects_deinit(&f->rejects);
    free(f);
}

static int feed(struct fixture *f, int source, const char *message)
{
    struct ts_fault fault;
    /* From a copy that is freed: nothing may point into a message. */
    char *bytes = strdup(message);
    assert_non_null(bytes);
    int rc = tsd_ingest_message(&f->ingest[source], bytes, strlen(bytes), &nobody, &fault);
    free(bytes);
    return rc;
}

static void hand_over(struct fixture *f, int source)
{
    assert_int_equal(tsd_batch_fill(&f->sources[source].batch, &f->ingest[source]), 0);
    f->sources[source].full = true;
}

static void merge(struct fixture *f, int source)
{
    assert_int_equal(tsd_pending_merge(&f->pending, &f->sources[source]), 0);
    assert_false(f->sources[source].full);
}

/* cumtime of a raw name over all buckets, label sets and locations; -1: the name is unknown. */
static int64_t total(const struct fixture *f, const char *raw_name)
{
    const struct ts_counters *c = &f->pending.counters;
    const struct tsd_names *names = &f->pending.locations;
    int64_t sum = -1;
    for (uint32_t i = 0; i < c->n_rows; i++) {
        for (uint32_t id = 0; id < names->known.table.n; id++) {
            const struct ts_location *location = &names->known.table.items[id];
            if (names->items[id].number == c->rows[i].location && location->raw_name.len == strlen(raw_name) &&
                memcmp(location->raw_name.data, raw_name, location->raw_name.len) == 0)
                sum = (sum < 0 ? 0 : sum) + c->rows[i].sums.cumtime;
        }
    }
    return sum;
}

static void sums_of_two_threads_are_merged(void **state)
{
    (void)state;
    struct fixture *f = new_fixture(1000, 100);
    char message[256];
    int64_t expected[7] = {0};
    srand(7);
    for (int i = 0; i < 2000; i++) {
        int name = rand() % 7;
        int source = rand() % SOURCES;
        int ns = rand() % 1000;
        expected[name] += ns;
        snprintf(message, sizeof(message),
                 "{\"timestamp\": %d, \"labels\": {\"k\": \"%d\"}, \"profile\": {\"func_profiles\": "
                 "{\"_f%d\": {\"cumtime\": %de-9, \"file_name\": \"/a.py\", \"line_number\": %d}}}}",
                 rand() % 100, rand() % 3, name, ns, rand() % 4);
        assert_int_equal(feed(f, source, message), 0);
        if (rand() % 20 == 0) {
            hand_over(f, source);
            merge(f, source);
        }
    }
    for (int i = 0; i < SOURCES; i++) {
        hand_over(f, i);
        merge(f, i);
        assert_int_equal(tsd_ingest_waiting(&f->ingest[i]), 0);
    }
    for (int name = 0; name < 7; name++) {
        snprintf(message, sizeof(message), "_f%d", name);
        assert_int_equal(total(f, message), expected[name]);
    }
    assert_int_equal(f->pending.messages, 2000);
    assert_int_equal(f->pending.functions.n, 7);
    assert_int_equal(f->pending.locations.known.table.n, 28); /* 7 names at 4 lines, known to both threads */
    assert_int_equal(f->pending.label_sets.known.table.n, 3);
    discard(f);
}

/* The writer gets the tables while the thread interns names in new ones. */
static void full_tables_are_passed_to_the_writer(void **state)
{
    (void)state;
    struct fixture *f = new_fixture(4, 100);
    char message[256];
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 10; i++) {
            snprintf(message, sizeof(message), "[1, {\"func_profiles\": {\"g%d\": {\"cumtime\": 1}}}]", i);
            assert_int_equal(feed(f, 0, message), 0);
        }
        hand_over(f, 0);
        assert_true(f->sources[0].batch.retired);
        assert_int_equal(feed(f, 0, "[1, {\"func_profiles\": {\"g0\": {\"cumtime\": 1}}}]"), 0);
        merge(f, 0);
    }
    hand_over(f, 0);
    merge(f, 0);
    assert_int_equal(total(f, "g0"), 10 * TS_NS_PER_S);
    assert_int_equal(total(f, "g3"), 5 * TS_NS_PER_S);
    assert_int_equal(total(f, "g4"), -1);
    assert_int_equal(total(f, TS_OVERFLOW_NAME), 30 * TS_NS_PER_S);
    assert_int_equal(f->pending.locations.known.table.n, 5);
    discard(f);
}

static void the_empty_label_set_is_never_too_many(void **state)
{
    (void)state;
    struct fixture *f = new_fixture(100, 1);
    char message[256];
    for (int i = 0; i < 3; i++) {
        snprintf(message, sizeof(message),
                 "{\"timestamp\": 1, \"labels\": {\"k\": \"%d\"}, \"profile\": {\"func_profiles\": {}}}", i);
        assert_int_equal(feed(f, 0, message), 0);
    }
    assert_int_equal(feed(f, 0, "[1, {\"func_profiles\": {}}]"), 0);
    hand_over(f, 0);
    merge(f, 0);
    const struct ts_intern *sets = &f->pending.label_sets.known.table;
    assert_int_equal(sets->n, 3);
    assert_memory_equal(sets->items[0].raw_name.data, "{\"k\": \"0\"}", 10);
    assert_memory_equal(sets->items[1].raw_name.data, TS_OVERFLOW_LABELS, strlen(TS_OVERFLOW_LABELS));
    assert_memory_equal(sets->items[2].raw_name.data, "{}", 2);
    int64_t profiles = 0;
    for (uint32_t i = 0; i < f->pending.counters.n_profiles; i++)
        profiles += f->pending.counters.profiles[i].sums.profiles;
    assert_int_equal(profiles, 4);
    discard(f);
}

static void a_rejected_message_adds_nothing(void **state)
{
    (void)state;
    struct fixture *f = new_fixture(100, 100);
    static const char bad[] = "[1, {\"func_profiles\": {\"a\": {\"cumtime\": 1}, \"b\": {\"cumtime\": \"1\"}}}]";
    assert_int_equal(feed(f, 0, bad), TS_BAD_SHAPE);
    f->limits.max_future = 0;
    assert_int_equal(feed(f, 0, "[9e9, {\"func_profiles\": {\"a\": {\"cumtime\": 1}}}]"), TS_TOO_NEW);
    f->limits.longest_keep = 3600 * TS_NS_PER_S;
    assert_int_equal(feed(f, 0, "[1, {\"func_profiles\": {\"a\": {\"cumtime\": 1}}}]"), TS_TOO_OLD);
    assert_int_equal(feed(f, 0, "{\"hello\": {}}"), TS_HELLO);
    hand_over(f, 0);
    merge(f, 0);
    assert_true(tsd_pending_is_empty(&f->pending));
    assert_int_equal(f->pending.locations.known.table.n, 0);
    const struct tsd_stats *stats = &f->ingest[0].stats;
    assert_int_equal(tsd_get(&stats->received), 3);
    assert_int_equal(tsd_get(&stats->accepted), 0);
    assert_int_equal(tsd_get(&stats->rejected[TS_BAD_SHAPE]), 1);
    assert_int_equal(tsd_get(&stats->rejected[TS_TOO_NEW]), 1);
    assert_int_equal(tsd_get(&stats->rejected[TS_TOO_OLD]), 1);
    discard(f);
}

static void write_part(char *message, size_t size, int index)
{
    snprintf(message, size,
             "{\"timestamp\": -5, \"part\": [%d, 3], \"exact\": true, \"profile\": {\"total_tt\": 2, "
             "\"func_profiles\": [{\"func_name\": \"p\", \"cumtime\": 1e7, \"ncalls\": 9007199254740992}]}}",
             index);
}

static void parts_are_counted_and_sums_saturate(void **state)
{
    (void)state;
    struct fixture *f = new_fixture(100, 100);
    char message[512];
    for (int i = 0; i < 2; i++) {
        write_part(message, sizeof(message), i);
        assert_int_equal(feed(f, 0, message), 0);
    }
    for (int i = 0; i < 1023; i++) {
        write_part(message, sizeof(message), 2);
        assert_int_equal(feed(f, i % SOURCES, message), 0);
    }
    for (int i = 0; i < SOURCES; i++) {
        hand_over(f, i);
        merge(f, i);
    }
    const struct ts_counters *c = &f->pending.counters;
    assert_int_equal(c->n_profiles, 1);
    assert_int_equal(c->profiles[0].bucket, -1);
    assert_int_equal(c->profiles[0].sums.profiles, 1);
    assert_int_equal(c->profiles[0].sums.exact_profiles, 1);
    assert_int_equal(c->profiles[0].sums.total_tt, 2 * TS_NS_PER_S);
    assert_int_equal(c->profiles[0].sums.parts_expected, 3);
    assert_int_equal(c->profiles[0].sums.parts_received, 1025);
    assert_int_equal(c->n_rows, 1);
    assert_int_equal(c->rows[0].sums.ncalls, INT64_MAX);  /* 1025 * 2^53 */
    assert_int_equal(c->rows[0].sums.cumtime, INT64_MAX); /* 1025 * 10^16 */
    assert_true(c->saturated > 0);
    discard(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_two_threads_are_merged),        cmocka_unit_test(full_tables_are_passed_to_the_writer),
        cmocka_unit_test(the_empty_label_set_is_never_too_many), cmocka_unit_test(a_rejected_message_adds_nothing),
        cmocka_unit_test(parts_are_counted_and_sums_saturate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
