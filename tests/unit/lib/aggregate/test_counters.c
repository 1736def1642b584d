/* Sums by key against a list that is searched linearly; saturation, merging, failed allocations. */
#include "lib/aggregate/counters.h"

#include "lib/base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/failing_alloc.h"

__extension__ typedef __int128 wide;

enum { MODEL_MAX = 4096 };

/* 128 bits, clamped only when compared. So a sum must not return after it has passed a bound. */
struct model {
    struct {
        int64_t bucket;
        uint32_t labels, location;
        wide sums[4];
    } rows[MODEL_MAX];
    size_t n_rows;
    struct {
        int64_t bucket;
        uint32_t labels;
        wide sums[5];
    } profiles[MODEL_MAX];
    size_t n_profiles;
};

static void model_add(struct model *m, int64_t bucket, uint32_t labels, uint32_t location, const struct ts_sums *sums)
{
    size_t i = 0;
    while (i < m->n_rows &&
           (m->rows[i].bucket != bucket || m->rows[i].labels != labels || m->rows[i].location != location))
        i++;
    assert_true(i < MODEL_MAX);
    if (i == m->n_rows) {
        memset(&m->rows[i], 0, sizeof(m->rows[i]));
        m->rows[i].bucket = bucket;
        m->rows[i].labels = labels;
        m->rows[i].location = location;
        m->n_rows++;
    }
    m->rows[i].sums[0] += sums->cumtime;
    m->rows[i].sums[1] += sums->tottime;
    m->rows[i].sums[2] += sums->ncalls;
    m->rows[i].sums[3] += sums->pcalls;
}

static void model_add_profile(struct model *m, int64_t bucket, uint32_t labels, const struct ts_profile_sums *sums)
{
    size_t i = 0;
    while (i < m->n_profiles && (m->profiles[i].bucket != bucket || m->profiles[i].labels != labels))
        i++;
    assert_true(i < MODEL_MAX);
    if (i == m->n_profiles) {
        memset(&m->profiles[i], 0, sizeof(m->profiles[i]));
        m->profiles[i].bucket = bucket;
        m->profiles[i].labels = labels;
        m->n_profiles++;
    }
    m->profiles[i].sums[0] += sums->profiles;
    m->profiles[i].sums[1] += sums->exact_profiles;
    m->profiles[i].sums[2] += sums->total_tt;
    m->profiles[i].sums[3] += sums->parts_expected;
    m->profiles[i].sums[4] += sums->parts_received;
}

static int64_t held(wide sum)
{
    return sum > INT64_MAX ? INT64_MAX : sum < INT64_MIN ? INT64_MIN : (int64_t)sum;
}

/* Rows are in order of arrival, so both are compared row by row. */
static void compare(const struct ts_counters *c, const struct model *m)
{
    assert_int_equal(c->n_rows, m->n_rows);
    for (size_t i = 0; i < m->n_rows; i++) {
        const struct ts_sum_row *row = &c->rows[i];
        assert_int_equal(row->bucket, m->rows[i].bucket);
        assert_int_equal(row->labels, m->rows[i].labels);
        assert_int_equal(row->location, m->rows[i].location);
        assert_int_equal(row->sums.cumtime, held(m->rows[i].sums[0]));
        assert_int_equal(row->sums.tottime, held(m->rows[i].sums[1]));
        assert_int_equal(row->sums.ncalls, held(m->rows[i].sums[2]));
        assert_int_equal(row->sums.pcalls, held(m->rows[i].sums[3]));
    }
    assert_int_equal(c->n_profiles, m->n_profiles);
    for (size_t i = 0; i < m->n_profiles; i++) {
        const struct ts_profile_row *row = &c->profiles[i];
        assert_int_equal(row->bucket, m->profiles[i].bucket);
        assert_int_equal(row->labels, m->profiles[i].labels);
        assert_int_equal(row->sums.profiles, held(m->profiles[i].sums[0]));
        assert_int_equal(row->sums.exact_profiles, held(m->profiles[i].sums[1]));
        assert_int_equal(row->sums.total_tt, held(m->profiles[i].sums[2]));
        assert_int_equal(row->sums.parts_expected, held(m->profiles[i].sums[3]));
        assert_int_equal(row->sums.parts_received, held(m->profiles[i].sums[4]));
    }
}

static struct model *model_new(void)
{
    struct model *m = calloc(1, sizeof(*m));
    assert_non_null(m);
    return m;
}

static struct ts_sums random_sums(unsigned long long *random)
{
    return (struct ts_sums){(int64_t)(next_random(random) % 2000001) - 1000000, (int64_t)(next_random(random) % 1000),
                            (int64_t)(next_random(random) % 100), (int64_t)(next_random(random) % 50)};
}

static struct ts_profile_sums random_profile(unsigned long long *random)
{
    return (struct ts_profile_sums){1, next_random(random) % 2, (int64_t)(next_random(random) % 2001) - 1000,
                                    next_random(random) % 4, next_random(random) % 3};
}

/* One "message": reserved, then n adds and one profile. */
static void message(struct ts_counters *c, struct model *m, unsigned long long *random, unsigned spread)
{
    static const int64_t bases[] = {0, -3, INT64_MAX - 40, INT64_MIN, INT64_C(1) << 32, -(INT64_C(1) << 32)};
    size_t n = next_random(random) % 30;
    int64_t bucket = bases[next_random(random) % 6] + (int64_t)(next_random(random) % 3);
    uint32_t labels = next_random(random) % 10 ? (uint32_t)(next_random(random) % 3) : UINT32_MAX;
    assert_int_equal(ts_counters_reserve(c, n), 0);
    size_t calls = alloc_calls;
    for (size_t i = 0; i < n; i++) {
        struct ts_sums sums = random_sums(random);
        uint32_t location = (uint32_t)(next_random(random) % spread);
        if (location == 0)
            location = UINT32_MAX;
        ts_counters_add(c, bucket, labels, location, &sums);
        model_add(m, bucket, labels, location, &sums);
    }
    struct ts_profile_sums head = random_profile(random);
    ts_counters_add_profile(c, bucket, labels, &head);
    model_add_profile(m, bucket, labels, &head);
    assert_int_equal(alloc_calls, calls); /* reserved rows need no memory */
}

static void the_same_sums_as_a_list(void **state)
{
    (void)state;
    static const unsigned spreads[] = {2, 10, 60};
    for (size_t round = 0; round < 3; round++) {
        struct ts_counters c;
        struct model *m = model_new();
        unsigned long long random = round + 1;
        ts_counters_init(&c);
        for (int i = 0; i < 600; i++)
            message(&c, m, &random, spreads[round]);
        compare(&c, m);
        assert_int_equal(c.saturated, 0);
        size_t used = ts_counters_used(&c);
        assert_true(used >= c.n_rows * (sizeof(*c.rows) + 4) + c.n_profiles * sizeof(*c.profiles));

        /* After clear it is empty, has no old rows, and needs no new memory for the same number of rows. */
        size_t calls = alloc_calls;
        ts_counters_clear(&c);
        assert_int_equal(c.n_rows, 0);
        assert_int_equal(c.n_profiles, 0);
        assert_int_equal(ts_counters_used(&c), 0);
        memset(m, 0, sizeof(*m));
        random = round + 1;
        for (int i = 0; i < 600; i++)
            message(&c, m, &random, spreads[round]);
        compare(&c, m);
        assert_int_equal(alloc_calls, calls);
        assert_int_equal(ts_counters_used(&c), used);
        free(m);
        ts_counters_deinit(&c);
        ts_counters_deinit(&c);
    }
}

static void every_member_of_the_key_distinguishes(void **state)
{
    (void)state;
    struct ts_counters c;
    const struct ts_sums one = {1, 2, 3, 4};
    const struct ts_profile_sums head = {1, 1, 1, 1, 1};
    ts_counters_init(&c);
    assert_int_equal(ts_counters_reserve(&c, 8), 0);
    ts_counters_add(&c, 1, 2, 3, &one);
    ts_counters_add(&c, 1, 3, 2, &one);
    ts_counters_add(&c, 2, 1, 3, &one);
    ts_counters_add(&c, -1, 2, 3, &one);
    ts_counters_add(&c, 1, 2, 4, &one);
    ts_counters_add(&c, 1 + (INT64_C(1) << 32), 2, 3, &one);
    ts_counters_add(&c, 1, 2, 3, &one);
    assert_int_equal(c.n_rows, 6);
    assert_int_equal(c.rows[0].sums.cumtime, 2);
    assert_int_equal(c.rows[0].sums.tottime, 4);
    assert_int_equal(c.rows[0].sums.ncalls, 6);
    assert_int_equal(c.rows[0].sums.pcalls, 8);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ts_counters_reserve(&c, 0), 0);
        ts_counters_add_profile(&c, 5, 0, &head);
        assert_int_equal(ts_counters_reserve(&c, 0), 0);
        ts_counters_add_profile(&c, 0, 5, &head);
    }
    assert_int_equal(c.n_profiles, 2);
    assert_int_equal(c.profiles[0].sums.parts_received, 2);
    ts_counters_deinit(&c);
}

/* Keys chosen for the last of 4096 slots, which is the last one of every smaller table too: long runs that wrap. */
static void colliding_keys_are_found(void **state)
{
    (void)state;
    enum { N = 500 };
    struct ts_counters c;
    struct model *m = model_new();
    uint32_t *locations = calloc(N, sizeof(*locations));
    assert_non_null(locations);
    ts_counters_init(&c);
    uint32_t n = 0;
    for (uint32_t location = 0; n < N; location++) {
        if (((uint32_t)ts_hash_key(-7, 1, location, c.seed) & 4095) == 4095)
            locations[n++] = location;
    }
    unsigned long long random = 9;
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < N; i++) {
            struct ts_sums sums = random_sums(&random);
            assert_int_equal(ts_counters_reserve(&c, 1), 0);
            ts_counters_add(&c, -7, 1, locations[i], &sums);
            model_add(m, -7, 1, locations[i], &sums);
        }
    }
    assert_true(c.n_slots <= 4096 && c.n_slots >= 2 * N);
    assert_int_not_equal(c.slots[c.n_slots - 1], 0);
    assert_int_not_equal(c.slots[0], 0);
    compare(&c, m);
    free(locations);
    free(m);
    ts_counters_deinit(&c);
}

/* ---- Saturation ---- */

static void sums_stay_at_the_bound(void **state)
{
    (void)state;
    struct ts_counters c;
    ts_counters_init(&c);
    assert_int_equal(ts_counters_reserve(&c, 1), 0);
    struct ts_sums sums = {INT64_MAX - 10, INT64_MIN + 10, 5, INT64_MAX - 1};
    ts_counters_add(&c, 0, 0, 0, &sums);
    assert_int_equal(c.saturated, 0);
    sums = (struct ts_sums){9, -9, 5, 0};
    ts_counters_add(&c, 0, 0, 0, &sums);
    assert_int_equal(c.saturated, 0);
    assert_int_equal(c.rows[0].sums.cumtime, INT64_MAX - 1);
    assert_int_equal(c.rows[0].sums.tottime, INT64_MIN + 1);
    sums = (struct ts_sums){1000, -1000, 1, 7};
    ts_counters_add(&c, 0, 0, 0, &sums);
    assert_int_equal(c.saturated, 3);
    assert_int_equal(c.rows[0].sums.cumtime, INT64_MAX);
    assert_int_equal(c.rows[0].sums.tottime, INT64_MIN);
    assert_int_equal(c.rows[0].sums.ncalls, 11);
    assert_int_equal(c.rows[0].sums.pcalls, INT64_MAX);
    /* They stay there, whatever is added next. */
    sums = (struct ts_sums){-1000, 1000, -11, -1};
    ts_counters_add(&c, 0, 0, 0, &sums);
    assert_int_equal(c.rows[0].sums.cumtime, INT64_MAX);
    assert_int_equal(c.rows[0].sums.tottime, INT64_MIN);
    assert_int_equal(c.rows[0].sums.ncalls, 0);
    assert_int_equal(c.rows[0].sums.pcalls, INT64_MAX);

    struct ts_profile_sums head = {1, 0, INT64_MAX, 0, INT64_MAX};
    ts_counters_add_profile(&c, 0, 0, &head);
    uint64_t before = c.saturated;
    head = (struct ts_profile_sums){1, 0, 1, 0, 0};
    ts_counters_add_profile(&c, 0, 0, &head);
    assert_int_equal(c.profiles[0].sums.profiles, 2);
    assert_int_equal(c.profiles[0].sums.total_tt, INT64_MAX);
    assert_int_equal(c.profiles[0].sums.parts_received, INT64_MAX);
    assert_int_equal(c.saturated, before); /* it was at the bound already */
    head = (struct ts_profile_sums){INT64_MAX - 1, INT64_MAX, 0, INT64_MIN, 0};
    ts_counters_add_profile(&c, 0, 0, &head);
    assert_int_equal(c.profiles[0].sums.profiles, INT64_MAX);
    assert_int_equal(c.profiles[0].sums.exact_profiles, INT64_MAX);
    assert_int_equal(c.profiles[0].sums.parts_expected, INT64_MIN);
    assert_int_equal(c.saturated, before + 3);
    ts_counters_clear(&c);
    assert_int_equal(c.saturated, 0);
    ts_counters_deinit(&c);
}

/* Additions of one sign have the same result in any order and grouping, also beyond the bound. */
static void the_order_of_additions_does_not_matter(void **state)
{
    (void)state;
    unsigned long long random = 11;
    for (int round = 0; round < 300; round++) {
        struct ts_sums values[12];
        struct ts_sums forward = {0}, backward = {0}, halves[2] = {{0}, {0}};
        for (size_t i = 0; i < 12; i++) {
            int64_t big = (int64_t)(next_random(&random) >> 3);
            values[i] = (struct ts_sums){big, -big, (int64_t)i, big / 8};
        }
        for (size_t i = 0; i < 12; i++) {
            (void)ts_sums_add(&forward, &values[i]);
            (void)ts_sums_add(&backward, &values[11 - i]);
            (void)ts_sums_add(&halves[i % 2], &values[i]);
        }
        (void)ts_sums_add(&halves[0], &halves[1]);
        assert_memory_equal(&forward, &backward, sizeof(forward));
        assert_memory_equal(&forward, &halves[0], sizeof(forward));
        assert_int_equal(forward.ncalls, 66);
    }
}

/* ---- Merging ---- */

static void a_merge_adds_all_sums(void **state)
{
    (void)state;
    enum { LOCATIONS = 50, LABELS = 4 };
    unsigned long long random = 21;
    struct ts_counters to;
    struct model *m = model_new();
    ts_counters_init(&to);
    for (int thread = 0; thread < 4; thread++) {
        struct ts_counters from;
        uint32_t location_map[LOCATIONS], labels_map[LABELS];
        /* Two numbers of the source may be one number here: that of the overflow name. */
        for (uint32_t i = 0; i < LOCATIONS; i++)
            location_map[i] = i % 7 ? (i * 13 + (uint32_t)thread) % 40 : 1000000;
        for (uint32_t i = 0; i < LABELS; i++)
            labels_map[i] = i < 2 ? 17 : 100 - i;
        ts_counters_init(&from);
        for (int i = 0; i < 400; i++) {
            struct ts_sums sums = random_sums(&random);
            struct ts_profile_sums head = random_profile(&random);
            int64_t bucket = (int64_t)(next_random(&random) % 5) - 2;
            uint32_t labels = (uint32_t)(next_random(&random) % LABELS);
            uint32_t location = (uint32_t)(next_random(&random) % LOCATIONS);
            assert_int_equal(ts_counters_reserve(&from, 1), 0);
            ts_counters_add(&from, bucket, labels, location, &sums);
            ts_counters_add_profile(&from, bucket, labels, &head);
        }
        for (uint32_t i = 0; i < from.n_rows; i++)
            model_add(m, from.rows[i].bucket, labels_map[from.rows[i].labels], location_map[from.rows[i].location],
                      &from.rows[i].sums);
        for (uint32_t i = 0; i < from.n_profiles; i++)
            model_add_profile(m, from.profiles[i].bucket, labels_map[from.profiles[i].labels], &from.profiles[i].sums);
        from.saturated = 5;
        assert_int_equal(ts_counters_merge(&to, &from, location_map, labels_map), 0);
        assert_int_equal(to.saturated, 5 * (thread + 1));
        ts_counters_deinit(&from);
    }
    compare(&to, m);
    struct ts_counters nothing;
    ts_counters_init(&nothing);
    assert_int_equal(ts_counters_merge(&to, &nothing, NULL, NULL), 0);
    compare(&to, m);
    ts_counters_deinit(&nothing);
    ts_counters_deinit(&to);
    free(m);
}

static void a_merge_saturates(void **state)
{
    (void)state;
    struct ts_counters a, b;
    const uint32_t same[] = {0};
    const struct ts_sums big = {INT64_MAX - 1, 1, 1, 1};
    const struct ts_profile_sums head = {1, 0, INT64_MIN + 1, 0, 0};
    ts_counters_init(&a);
    ts_counters_init(&b);
    for (int i = 0; i < 2; i++) {
        struct ts_counters *c = i ? &b : &a;
        assert_int_equal(ts_counters_reserve(c, 1), 0);
        ts_counters_add(c, 0, 0, 0, &big);
        ts_counters_add_profile(c, 0, 0, &head);
    }
    assert_int_equal(ts_counters_merge(&a, &b, same, same), 0);
    assert_int_equal(a.rows[0].sums.cumtime, INT64_MAX);
    assert_int_equal(a.rows[0].sums.tottime, 2);
    assert_int_equal(a.profiles[0].sums.total_tt, INT64_MIN);
    assert_int_equal(a.saturated, 2);
    ts_counters_deinit(&a);
    ts_counters_deinit(&b);
}

/* ---- Failed allocations ---- */

static void a_failed_reserve_changes_nothing(void **state)
{
    (void)state;
    struct ts_counters c;
    struct model *m = model_new();
    unsigned long long random = 31;
    unsigned failures = 0;
    ts_counters_init(&c);
    for (int i = 0; i < 300; i++) {
        for (int fail = 0;; fail++) {
            alloc_fail_at = fail;
            int rc = ts_counters_reserve(&c, 29);
            alloc_fail_at = -1;
            if (!rc)
                break;
            failures++;
            assert_int_equal(rc, TS_ENOMEM);
            compare(&c, m);
            /* Existing keys are still found. */
            if (c.n_rows && c.n_slots) {
                struct ts_sums one = {1, 1, 1, 1};
                size_t at = (size_t)next_random(&random) % c.n_rows;
                ts_counters_add(&c, c.rows[at].bucket, c.rows[at].labels, c.rows[at].location, &one);
                model_add(m, c.rows[at].bucket, c.rows[at].labels, c.rows[at].location, &one);
                compare(&c, m);
            }
        }
        message(&c, m, &random, 60);
    }
    compare(&c, m);
    assert_true(failures >= 4 + 6);
    free(m);
    ts_counters_deinit(&c);
}

static void a_failed_merge_adds_nothing(void **state)
{
    (void)state;
    enum { N = 300 };
    unsigned failures = 0;
    uint32_t map[N];
    struct ts_counters from;
    const struct ts_sums one = {1, 2, 3, 4};
    const struct ts_profile_sums head = {1, 1, 1, 1, 1};
    ts_counters_init(&from);
    for (uint32_t i = 0; i < N; i++) {
        map[i] = N - i;
        assert_int_equal(ts_counters_reserve(&from, 1), 0);
        ts_counters_add(&from, i % 3, i, i, &one);
        ts_counters_add_profile(&from, i % 3, i, &head);
    }
    from.saturated = 1;
    for (int fail = 0;; fail++) {
        struct ts_counters to;
        struct model *m = model_new();
        ts_counters_init(&to);
        assert_int_equal(ts_counters_reserve(&to, 1), 0);
        ts_counters_add(&to, 0, 300, 300, &one); /* what `from` holds too, as 0 */
        ts_counters_add_profile(&to, 0, 300, &head);
        model_add(m, 0, 300, 300, &one);
        model_add_profile(m, 0, 300, &head);
        alloc_fail_at = fail;
        int rc = ts_counters_merge(&to, &from, map, map);
        alloc_fail_at = -1;
        if (rc) {
            failures++;
            assert_int_equal(rc, TS_ENOMEM);
            compare(&to, m);
            assert_int_equal(to.saturated, 0);
            assert_int_equal(ts_counters_merge(&to, &from, map, map), 0);
        }
        for (uint32_t i = 0; i < N; i++) {
            model_add(m, i % 3, map[i], map[i], &one);
            model_add_profile(m, i % 3, map[i], &head);
        }
        compare(&to, m);
        assert_int_equal(to.saturated, 1);
        free(m);
        ts_counters_deinit(&to);
        if (!rc)
            break;
    }
    assert_int_equal(failures, 4);
    ts_counters_deinit(&from);
}

static void reserving_too_many_fails(void **state)
{
    (void)state;
    static const size_t sizes[] = {UINT32_MAX, (size_t)UINT32_MAX + 1, SIZE_MAX / 2, SIZE_MAX / 2 + 1};
    struct ts_counters c;
    const struct ts_sums one = {1, 1, 1, 1};
    ts_counters_init(&c);
    assert_int_equal(ts_counters_reserve(&c, 1), 0);
    ts_counters_add(&c, 0, 0, 0, &one);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        assert_int_equal(ts_counters_reserve(&c, sizes[i]), TS_ENOMEM);
        assert_int_equal(c.n_rows, 1);
    }
    ts_counters_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_sums_as_a_list),
        cmocka_unit_test(every_member_of_the_key_distinguishes),
        cmocka_unit_test(colliding_keys_are_found),
        cmocka_unit_test(sums_stay_at_the_bound),
        cmocka_unit_test(the_order_of_additions_does_not_matter),
        cmocka_unit_test(a_merge_adds_all_sums),
        cmocka_unit_test(a_merge_saturates),
        cmocka_unit_test(a_failed_reserve_changes_nothing),
        cmocka_unit_test(a_failed_merge_adds_nothing),
        cmocka_unit_test(reserving_too_many_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
