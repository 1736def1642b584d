/* The shared state: sums over threads, the histogram of commits, the texts under the lock. */
#include "daemon/base/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000000)

static struct tsd_state *shared;

static int set_up(void **state)
{
    static struct tsd_state one;
    shared = *state = &one;
    return tsd_state_init(shared);
}

static int tear_down(void **state)
{
    (void)state;
    tsd_state_deinit(shared);
    return 0;
}

static void test_sums(void **state)
{
    (void)state;
    struct tsd_stats threads[3] = {{.received = 1}, {.received = 20}, {.received = 300}};
    assert_int_equal(tsd_state_sum(shared, offsetof(struct tsd_stats, received)), 0);
    for (size_t i = 0; i < 3; i++)
        shared->threads[i] = &threads[i];
    shared->n_threads = 2;
    assert_int_equal(tsd_state_sum(shared, offsetof(struct tsd_stats, received)), 21);
    shared->n_threads = 3;
    assert_int_equal(tsd_state_sum(shared, offsetof(struct tsd_stats, received)), 321);
    tsd_add(&threads[0].waiting_bytes, 7);
    assert_int_equal(tsd_state_sum(shared, offsetof(struct tsd_stats, waiting_bytes)), 7);
}

static void test_pending(void **state)
{
    (void)state;
    struct tsd_stats thread = {.accepted = 10};
    shared->threads[0] = &thread;
    shared->n_threads = 1;
    assert_int_equal(tsd_state_pending(shared), 10);
    tsd_set(&shared->writer.committed, 4);
    assert_int_equal(tsd_state_pending(shared), 6);
    /* Loads that were reordered must not give a huge number. */
    tsd_set(&shared->writer.committed, 11);
    assert_int_equal(tsd_state_pending(shared), 0);
}

static void test_histogram(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        size_t bucket;
    } commits[] = {
        {0, 0}, {1, 0}, {MS, 0}, {MS + 1, 1}, {3 * MS, 2}, {10000 * MS, 12}, {10000 * MS + 1, 13}, {INT64_MAX / 2, 13},
    };
    uint64_t expected[TSD_COMMIT_BOUNDS + 1] = {0};
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof(commits) / sizeof(*commits); i++) {
        tsd_stats_add_commit(&shared->writer, commits[i].ns);
        expected[commits[i].bucket]++;
        sum += (uint64_t)commits[i].ns;
    }
    for (size_t i = 0; i <= TSD_COMMIT_BOUNDS; i++)
        assert_int_equal(tsd_get(&shared->writer.commit_took[i]), expected[i]);
    assert_int_equal(tsd_get(&shared->writer.commit_ns), sum);
    for (size_t i = 1; i < TSD_COMMIT_BOUNDS; i++)
        assert_true(tsd_commit_bounds[i - 1] < tsd_commit_bounds[i]);
}

static const char *store_error(void)
{
    static char text[600];
    memset(text, 'x', sizeof(text));
    tsd_state_store_error(shared, text, sizeof(text));
    return text;
}

static void test_store_error_before_damage(void **state)
{
    (void)state;
    assert_string_equal(store_error(), "");
    tsd_state_set_damage(shared, "page 7 is damaged");
    assert_string_equal(store_error(), "page 7 is damaged");
    tsd_state_set_store_error(shared, "disk full");
    assert_string_equal(store_error(), "disk full");
    tsd_state_set_store_error(shared, NULL);
    assert_string_equal(store_error(), "page 7 is damaged");
}

/* A long text is cut, but no character of it. */
static void test_long_texts(void **state)
{
    (void)state;
    for (size_t before = 0; before < 4; before++) {
        char text[700] = "";
        memset(text, 'a', before);
        while (strlen(text) < sizeof(shared->store_error) + 50)
            strcat(text, "\xE2\x82\xAC");
        tsd_state_set_store_error(shared, text);
        const char *cut = store_error();
        size_t len = strlen(cut);
        assert_true(len < sizeof(shared->store_error) && len > sizeof(shared->store_error) - 4);
        assert_int_equal((len - before) % 3, 0);
        assert_memory_equal(cut, text, len);
    }
    char small[5];
    tsd_state_set_store_error(shared, "disk full");
    tsd_state_store_error(shared, small, sizeof(small));
    assert_string_equal(small, "disk");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sums, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pending, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_histogram, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_error_before_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_texts, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
