/*
 * Ranges of queries: how given ends are widened, which profiles set the other ends, and that the plan has exactly the
 * sums of the range.
 */
#include "lib/query/range.h"
#include "tests/unit/lib/query/history_fixture.h"

/* ---- The plan against the model ---- */

struct totals {
    int64_t cumtime;
    int64_t profiles;
};

static int on_sum(void *data, const struct ts_sum_row *row)
{
    struct totals *totals = data;
    totals->cumtime += row->sums.cumtime;
    return 0;
}

static int on_profile(void *data, const struct ts_profile_row *row)
{
    struct totals *totals = data;
    totals->profiles += row->sums.profiles;
    return 0;
}

static void expect_totals(struct model *m, struct ts_reader *reader, const struct ts_query_range *range)
{
    struct totals totals = {0};
    for (size_t i = 0; i < range->plan.n; i++) {
        assert_int_equal(ts_reader_sums(reader, &range->plan.items[i], false, on_sum, &totals), 0);
        assert_int_equal(ts_reader_profiles(reader, &range->plan.items[i], false, on_profile, &totals), 0);
    }
    int64_t from = range->has_from && range->has_to ? range->from : 0;
    int64_t to = range->has_from && range->has_to ? range->to : 0;
    int64_t cumtime = model_count(
        m, "SELECT ifnull(sum(cumtime), 0) FROM deltas WHERE position >= %lld AND position < %lld", from, to);
    int64_t profiles = model_count(
        m, "SELECT ifnull(sum(profiles), 0) FROM heads WHERE position >= %lld AND position < %lld", from, to);
    assert_int_equal(totals.cumtime, cumtime);
    assert_int_equal(totals.profiles, profiles);
}

/* ---- Ends ---- */

/* The position of the first or last selected profile within [from, to), INT64_MAX if there is none. */
static int64_t find_profile(struct model *m, const struct ts_id_map *label_sets, bool last, int64_t from, int64_t to)
{
    int64_t found = INT64_MAX;
    for (size_t i = 0; i < label_sets->n; i++) {
        if (label_sets->groups[i] == TS_NO_GROUP)
            continue;
        int64_t position = model_count(
            m,
            "SELECT ifnull(%s(position), 9223372036854775807) FROM heads WHERE labels = %u AND position >= %lld"
            " AND position < %lld",
            last ? "max" : "min", label_sets->ids[i], from, to);
        if (position != INT64_MAX && (found == INT64_MAX || (last ? position > found : position < found)))
            found = position;
    }
    return found;
}

/* An end must be no more than a bucket away from the time that it stands for. */
static void expect_ends(struct model *m, const struct ts_query *query, const struct ts_id_map *label_sets,
                        const struct ts_query_range *range)
{
    const int64_t widest = 360; /* of the configured levels, in positions */
    const struct ts_query_span *span = &query->span;
    int64_t low = range->has_from && span->has_from ? range->from : -TS_POSITION_MAX;
    int64_t high = range->has_to && span->has_to ? range->to : TS_POSITION_MAX;
    if (span->has_from && span->has_to && span->from <= span->to)
        assert_true(range->from <= range->to);
    if (span->has_from) {
        int64_t position = ts_query_position(&query->grid, span->from);
        assert_true(range->has_from && range->from <= position && position - range->from < 2 * widest);
    } else {
        int64_t first = find_profile(m, label_sets, false, low, high);
        assert_int_equal(range->has_from, first != INT64_MAX);
        if (range->has_from)
            assert_true(range->from <= first && first - range->from < 2 * widest);
    }
    if (span->has_to) {
        int64_t position = ts_query_position(&query->grid, span->to - 1);
        assert_true(range->has_to && range->to - position <= 2 * widest);
        assert_true(range->to > position || (span->has_from && span->from >= span->to));
    } else {
        int64_t last = find_profile(m, label_sets, true, range->has_from ? range->from : low, high);
        assert_int_equal(range->has_to, last != INT64_MAX);
        if (range->has_to)
            assert_true(last < range->to && range->to - last <= 2 * widest);
    }
}

static struct ts_query random_query(struct model *m)
{
    static const int64_t units[] = {0, 0, 1, 6, 7, 60, 360};
    struct ts_query query = {.kind = TS_QUERY_TOP, .grid = m->f->grid};
    int64_t oldest = 100000 * S;
    int64_t length = m->horizon + 600 * S - oldest;
    if (model_random(m, 2)) {
        query.kind = TS_QUERY_BUCKETS;
        query.unit = units[model_random(m, 7)];
    }
    query.span.has_from = model_random(m, 3);
    query.span.has_to = model_random(m, 3);
    query.span.from = oldest + (int64_t)model_random(m, (uint64_t)(length / S)) * S + (int64_t)model_random(m, 2);
    query.span.to = oldest + (int64_t)model_random(m, (uint64_t)(length / S)) * S;
    if (model_random(m, 2))
        query.span.to = query.span.from + (int64_t)model_random(m, 500) * S;
    if (query.span.has_from && query.span.has_to && query.span.from > query.span.to)
        query.span.to = query.span.from;
    return query;
}

static void check_queries(struct model *m, int n, int *n_rejected)
{
    struct ts_reader *reader = history_reader(m);
    for (int i = 0; i < n; i++) {
        struct ts_query query = random_query(m);
        struct ts_query_range range = {0};
        struct ts_id_map label_sets = {0};
        struct ts_query_error error = {.kind = TS_QUERY_NO_ERROR};
        for (uint32_t id = 1; id <= MODEL_LABEL_SETS; id++)
            assert_int_equal(ts_id_map_put(&label_sets, id, model_random(m, 3) ? 0 : TS_NO_GROUP), 0);
        int r = ts_query_range_find(&query, reader, &label_sets, &range, &error);
        if (r) {
            assert_int_equal(r, TS_EINVAL);
            assert_int_equal(error.kind, query.unit ? TS_QUERY_NOT_KEPT : TS_QUERY_STORE_UNAVAILABLE);
            ++*n_rejected;
        } else {
            expect_ends(m, &query, &label_sets, &range);
            expect_totals(m, reader, &range);
            assert_true(range.unit % (query.unit ? query.unit : 1) == 0);
            if (range.has_from && range.has_to)
                assert_true(range.from % range.unit == 0 && range.to % range.unit == 0);
        }
        ts_query_range_deinit(&range);
        ts_query_range_deinit(&range); /* twice is safe */
        ts_id_map_deinit(&label_sets);
    }
    history_close_reader(reader);
}

static void ranges_have_exactly_their_sums(void **state)
{
    struct model m;
    int n_rejected = 0;
    model_start(&m, *state, history_retention, 100000 * S, 61);
    for (int round = 0; round < 6; round++) {
        add_history(&m, 30);
        check_queries(&m, 200, &n_rejected);
    }
    assert_true(n_rejected > 50 && n_rejected < 600);
    model_end(&m);
}

static void ranges_have_exactly_their_sums_while_levels_are_built(void **state)
{
    struct model m;
    int n_rejected = 0;
    model_start(&m, *state, history_retention, 100000 * S, 62);
    add_history(&m, 60);
    m.store = ts_store_close(m.store);
    model_open(&m, changed_retention);
    for (int round = 0; round < 10; round++) {
        check_queries(&m, 100, &n_rejected);
        (void)model_maintain(&m, 20);
        add_history(&m, 2);
    }
    model_end(&m);
}

/* ---- Examples ---- */

static struct ts_query_range find(struct ts_reader *reader, const struct ts_query *query)
{
    struct ts_query_range range = {0};
    struct ts_id_map label_sets = {0};
    struct ts_query_error error;
    for (uint32_t id = 1; id <= MODEL_LABEL_SETS; id++)
        assert_int_equal(ts_id_map_put(&label_sets, id, 0), 0);
    assert_int_equal(ts_query_range_find(query, reader, &label_sets, &range, &error), 0);
    ts_id_map_deinit(&label_sets);
    return range;
}

static void given_ends_are_widened_to_buckets_that_are_kept(void **state)
{
    struct model m;
    model_start(&m, *state, history_retention, 100000 * S, 63);
    model_add(&m, 10000, 1, 1, S); /* 100000 s */
    model_commit(&m);
    m.horizon += 2000 * S;
    model_add(&m, 10200, 2, 1, S);
    model_commit(&m);
    while (model_maintain(&m, 100).more) {
    }
    struct ts_reader *reader = history_reader(&m);
    struct ts_query query = {.kind = TS_QUERY_TOP, .grid = m.f->grid, .span = {true, true, 100015 * S, 101995 * S + 1}};
    struct ts_query_range range = find(reader, &query);
    assert_int_equal(range.from, 9996); /* 99960 s */
    assert_int_equal(range.from_width, 60 * S);
    assert_int_equal(range.to, 10200);
    assert_int_equal(range.to_width, 10 * S);
    assert_int_equal(range.unit, 1);
    ts_query_range_deinit(&range);

    /* The narrowest buckets that are kept for all of the range. */
    query.kind = TS_QUERY_BUCKETS;
    range = find(reader, &query);
    assert_int_equal(range.unit, 6);
    assert_int_equal(range.to, 10200);
    ts_query_range_deinit(&range);
    query.span.from = 101900 * S;
    range = find(reader, &query);
    assert_int_equal(range.unit, 1);
    assert_int_equal(range.from, 10190);
    ts_query_range_deinit(&range);

    /* Before all data: level 0 was pruned up to a later time, the next level was not. */
    query.span.from = 10 * S;
    query.span.to = 20 * S;
    range = find(reader, &query);
    assert_int_equal(range.from_width, 60 * S);
    assert_int_equal(range.plan.n, 1);
    ts_query_range_deinit(&range);

    /* Ends that are not given: the first and the last profile. */
    query = (struct ts_query){.kind = TS_QUERY_TOP, .grid = m.f->grid};
    range = find(reader, &query);
    assert_int_equal(range.from, 9996);
    assert_int_equal(range.to, 10201);
    assert_int_equal(range.to_width, 10 * S);
    ts_query_range_deinit(&range);
    history_close_reader(reader);
    model_end(&m);
}

static void positions_are_clamped(void **state)
{
    (void)state;
    struct ts_grid grid = {.start_time = 0, .time_slice = 10};
    assert_int_equal(ts_query_position(&grid, 25), 2);
    assert_int_equal(ts_query_position(&grid, -25), -3);
    grid.time_slice = 1;
    assert_int_equal(ts_query_position(&grid, INT64_MAX), TS_POSITION_MAX);
    assert_int_equal(ts_query_position(&grid, INT64_MIN), -TS_POSITION_MAX);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(ranges_have_exactly_their_sums),
        T(ranges_have_exactly_their_sums_while_levels_are_built),
        T(given_ends_are_widened_to_buckets_that_are_kept),
        T(positions_are_clamped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
