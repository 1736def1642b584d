/* The first and last bucket of locations and label sets, against the model; the edges of a range likewise. */
#include "lib/query/edge.h"
#include "lib/query/first_last.h"
#include "tests/unit/lib/query/history_fixture.h"

/* The widest level narrower than `below` (0: any) that has the bucket around a position completely; NULL: none. */
static const struct ts_level *widest_around(const struct ts_levels *levels, int64_t position, int64_t below)
{
    const struct ts_level *widest = NULL;
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *level = &levels->items[i];
        if (level->kind != TS_LEVEL_DEAD && (!below || level->ratio < below) &&
            ts_level_complete(levels, level, ts_level_bucket(level, position)) &&
            (!widest || level->ratio > widest->ratio))
            widest = level;
    }
    return widest;
}

/* Do narrower levels have every position of the bucket? */
static bool can_narrow(const struct ts_levels *levels, const struct ts_level *level, int64_t begin)
{
    for (int64_t at = begin; at < begin + level->ratio; at++) {
        if (!widest_around(levels, at, level->ratio))
            return false;
    }
    return true;
}

/* The begin of the narrowest bucket that contains the position and can be reached from the widest one. */
static int64_t expected_begin(const struct ts_levels *levels, int64_t position)
{
    const struct ts_level *level = widest_around(levels, position, 0);
    assert_non_null(level);
    while (level->ratio > 1 && can_narrow(levels, level, floor_to(position, level->ratio)))
        level = widest_around(levels, position, level->ratio);
    return floor_to(position, level->ratio);
}

static int64_t model_end_of(struct model *m, bool profiles, uint32_t id, int end)
{
    return model_count(m, "SELECT ifnull(%s(position), -1) FROM %s WHERE %s = %u", end ? "max" : "min",
                       profiles ? "heads" : "deltas", profiles ? "labels" : "location", id);
}

struct count {
    int64_t profiles;
};

static int on_profile(void *data, const struct ts_profile_row *row)
{
    struct count *count = data;
    count->profiles += row->sums.profiles;
    return 0;
}

static void check_items(struct model *m, struct ts_reader *reader, bool profiles, uint32_t n)
{
    struct ts_id_map map = {0};
    struct ts_first_last items[MODEL_LOCATIONS] = {{0}};
    struct count count = {0};
    for (uint32_t id = 1; id <= n; id++) /* the second one is excluded */
        assert_int_equal(ts_id_map_put(&map, id, id == 2 ? TS_NO_GROUP : n - id), 0);
    assert_int_equal(ts_first_last_find(reader, profiles, &map, n, items, profiles ? on_profile : NULL, &count), 0);
    for (uint32_t id = 1; id <= n; id++) {
        const struct ts_first_last *item = &items[n - id];
        int64_t first = model_end_of(m, profiles, id, TS_FIRST);
        assert_int_equal(item->found, id != 2 && first >= 0);
        for (int end = 0; end < 2 && item->found; end++) {
            int64_t position = model_end_of(m, profiles, id, end);
            assert_int_equal(item->position[end], expected_begin(ts_reader_levels(reader), position));
        }
    }
    /* Every row was passed to the callback once. */
    if (profiles)
        assert_int_equal(count.profiles, model_count(m, "SELECT ifnull(sum(profiles), 0) FROM heads"));
    ts_id_map_deinit(&map);
}

static void check_edges(struct model *m, struct ts_reader *reader)
{
    const struct ts_levels *levels = ts_reader_levels(reader);
    struct ts_id_map label_sets = {0};
    int64_t from;
    int64_t to;
    uint32_t selected = 1 + (uint32_t)model_random(m, MODEL_LABEL_SETS);
    for (uint32_t id = 1; id <= MODEL_LABEL_SETS; id++)
        assert_int_equal(ts_id_map_put(&label_sets, id, id == selected ? 0 : TS_NO_GROUP), 0);
    ts_plan_axis(levels, &from, &to);
    for (int end = 0; end < 2; end++) {
        struct ts_query_edge edge;
        int64_t position = model_end_of(m, true, selected, end);
        assert_int_equal(ts_query_edge_find(reader, &label_sets, from, to, end == TS_LAST, &edge), 0);
        assert_int_equal(edge.level != NULL, position >= 0);
        if (edge.level)
            assert_int_equal(ts_level_position(edge.level, edge.bucket), expected_begin(levels, position));
    }
    ts_id_map_deinit(&label_sets);
}

static void check(struct model *m)
{
    struct ts_reader *reader = history_reader(m);
    check_items(m, reader, true, MODEL_LABEL_SETS);
    check_items(m, reader, false, MODEL_LOCATIONS);
    check_edges(m, reader);
    history_close_reader(reader);
}

static void the_first_and_last_buckets_are_those_of_the_model(void **state)
{
    struct model m;
    model_start(&m, *state, history_retention, 100000 * S, 71);
    check(&m);
    for (int round = 0; round < 40; round++) {
        add_history(&m, 1 + (int)model_random(&m, 5));
        check(&m);
    }
    model_end(&m);
}

static void they_are_found_while_levels_are_built(void **state)
{
    struct model m;
    model_start(&m, *state, history_retention, 100000 * S, 72);
    add_history(&m, 60);
    m.store = ts_store_close(m.store);
    model_open(&m, changed_retention);
    for (int round = 0; round < 40; round++) {
        check(&m);
        (void)model_maintain(&m, 5);
        add_history(&m, (int)model_random(&m, 2));
    }
    model_end(&m);
}

static int stop(void *data, const struct ts_profile_row *row)
{
    (void)data;
    (void)row;
    return TS_ENOMEM;
}

static void failures_are_passed_on(void **state)
{
    struct model m;
    struct ts_id_map map = {0};
    struct ts_first_last items[MODEL_LABEL_SETS];
    model_start(&m, *state, history_retention, 100000 * S, 73);
    model_add(&m, 9999, 2, 1, S);
    model_commit(&m);
    struct ts_reader *reader = history_reader(&m);
    assert_int_equal(ts_id_map_put(&map, 1, 0), 0);
    /* The map lacks an id that has rows. */
    assert_int_equal(ts_first_last_find(reader, true, &map, 1, items, NULL, NULL), TS_ESTORE);
    assert_int_equal(ts_id_map_put(&map, 2, TS_NO_GROUP), 0);
    assert_int_equal(ts_first_last_find(reader, true, &map, 1, items, NULL, NULL), 0);
    assert_false(items[0].found);
    assert_int_equal(ts_first_last_find(reader, true, &map, 1, items, stop, NULL), TS_ENOMEM);
    ts_id_map_deinit(&map);
    history_close_reader(reader);
    model_end(&m);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_first_and_last_buckets_are_those_of_the_model),
        T(they_are_found_while_levels_are_built),
        T(failures_are_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
