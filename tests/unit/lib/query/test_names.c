/* Groups: which locations and label sets are summed in which row, what filters exclude, the order of names. */
#include "lib/query/names.h"
#include "tests/unit/lib/query/query_fixture.h"

/* ---- Order ---- */

static void names_are_ordered_by_function_raw_name_file_and_line(void **state)
{
    (void)state;
    static const struct ts_location ascending[] = {
        {.raw_name = {NULL, 0}, .line_number = -1},
        {.raw_name = {"", 0}, .line_number = -1},
        {.raw_name = {"_", 1}, .line_number = -1},
        {.raw_name = {"B", 1}, .line_number = -1},
        {.raw_name = {"__a", 3}, .line_number = -1},
        {.raw_name = {"_a", 2}, .line_number = -1},
        {.raw_name = {"a", 1}, .line_number = -1},
        {.raw_name = {"a", 1}, .file_name = {"", 0}, .line_number = -1},
        {.raw_name = {"a", 1}, .file_name = {"x.py", 4}, .line_number = -1},
        {.raw_name = {"a", 1}, .file_name = {"x.py", 4}, .line_number = 0},
        {.raw_name = {"a", 1}, .file_name = {"x.py", 4}, .line_number = 9},
        {.raw_name = {"a", 1}, .file_name = {"x.pyc", 5}, .line_number = 1},
        {.raw_name = {"a\0b", 3}, .line_number = -1},
        {.raw_name = {"ab", 2}, .line_number = -1},
        {.raw_name = {"b", 1}, .line_number = -1},
        {.raw_name = {"\xc3\xa9", 2}, .line_number = -1},
    };
    enum { N = sizeof(ascending) / sizeof(ascending[0]) };
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            int r = ts_query_compare_names(&ascending[i], &ascending[j]);
            if ((r > 0) - (r < 0) != (i > j) - (i < j))
                fail_msg("%d and %d: %d", i, j, r);
        }
    }
    struct ts_intern table;
    uint32_t id;
    ts_intern_init(&table);
    for (int i = 0; i < N; i++)
        assert_int_equal(ts_intern_add(&table, &ascending[i * 7 % N], &id), 0);
    uint32_t *order = ts_query_sort_names(&table);
    assert_non_null(order);
    for (uint32_t i = 0; i + 1 < table.n; i++)
        assert_true(ts_query_compare_names(&table.items[order[i]], &table.items[order[i + 1]]) < 0);
    free(order);
    ts_intern_deinit(&table);
}

/* ---- Groups ---- */

static void fill(struct fixture *f)
{
    const struct ts_sums one = {1, 1, 1, 1};
    add(f, 0, "{}", "f", "a.py", 1, one);                     /* location 1, label set 1 */
    add(f, 0, WEB, "__f", "b.py", 2, one);                    /* 2, 2 */
    add(f, 0, DB, "g", NULL, -1, one);                        /* 3, 3 */
    add(f, 0, "{\"host\": \"\"}", "f", "a.py", 2, one);       /* 4, 4 */
    add(f, 0, "{\"service\": \"web\"}", "_g", NULL, -1, one); /* 5; the set is known */
    commit(f);
}

static void read_names(struct fixture *f, const char *params, struct ts_query_names *names)
{
    struct ts_query *query = NULL;
    ts_query_names_init(names);
    assert_int_equal(parse(f, TS_QUERY_TOP, params, &query), 0);
    assert_int_equal(ts_reader_begin(f->reader), 0);
    assert_int_equal(ts_query_names_read(query, f->reader, names, &f->error), 0);
    ts_reader_end(f->reader);
    ts_query_free(query);
}

/* expected: the group of each id from 1 on; -1: excluded. */
static void expect_groups(const struct ts_id_map *map, const int *expected, uint32_t n)
{
    uint32_t group;
    for (uint32_t id = 1; id <= n; id++) {
        assert_true(ts_id_map_get(map, id, &group));
        assert_int_equal((int)group, expected[id - 1]);
    }
    assert_false(ts_id_map_get(map, 0, &group));
    assert_false(ts_id_map_get(map, n + 1, &group));
}

static void expect_name(const struct ts_query_names *names, uint32_t group, const char *raw_name)
{
    struct ts_str name = names->groups.items[group].raw_name;
    if (!raw_name) {
        assert_null(name.data);
        return;
    }
    assert_int_equal(name.len, strlen(raw_name));
    assert_memory_equal(name.data, raw_name, name.len);
}

static void functions_have_one_group_for_all_their_locations(void **state)
{
    struct fixture *f = *state;
    struct ts_query_names names;
    fill(f);
    read_names(f, "", &names);
    assert_int_equal(names.groups.n, 2);
    expect_name(&names, 0, "f");
    expect_name(&names, 1, "g");
    expect_groups(&names.locations, (const int[]){0, 0, 1, 0, 1}, 5);
    expect_groups(&names.label_sets, (const int[]){0, 0, 0, 0}, 4);
    ts_query_names_deinit(&names);
    ts_query_names_deinit(&names); /* twice is safe */
}

static void every_location_has_a_group_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct ts_query_names names;
    fill(f);
    read_names(f, "by=location", &names);
    assert_int_equal(names.groups.n, 5);
    expect_name(&names, 1, "__f");
    expect_groups(&names.locations, (const int[]){0, 1, 2, 3, 4}, 5);
    ts_query_names_deinit(&names);
}

static void values_of_a_label_have_a_group_and_its_absence_too(void **state)
{
    struct fixture *f = *state;
    struct ts_query_names names;
    fill(f);
    read_names(f, "by=label.host", &names);
    assert_int_equal(names.groups.n, 3);
    expect_name(&names, 0, NULL); /* {} and WEB */
    expect_name(&names, 1, "a");
    expect_name(&names, 2, "");
    expect_groups(&names.label_sets, (const int[]){0, 0, 1, 2}, 4);
    /* Locations are not read. */
    assert_false(names.has_locations);
    assert_int_equal(names.locations.n, 0);
    ts_query_names_deinit(&names);
    /* Unless a filter needs them. */
    read_names(f, "by=label.host&function=g", &names);
    assert_true(names.has_locations);
    expect_groups(&names.locations, (const int[]){-1, -1, 0, -1, 0}, 5);
    ts_query_names_deinit(&names);
}

static void filters_exclude_names(void **state)
{
    struct fixture *f = *state;
    struct ts_query_names names;
    fill(f);
    read_names(f, "function=f*&function=nothing", &names);
    assert_int_equal(names.groups.n, 1);
    expect_groups(&names.locations, (const int[]){0, 0, -1, 0, -1}, 5);
    ts_query_names_deinit(&names);
    read_names(f, "label.service=web", &names);
    expect_groups(&names.label_sets, (const int[]){-1, 0, -1, -1}, 4);
    ts_query_names_deinit(&names);
    read_names(f, "label.service=db&label.host=a", &names);
    expect_groups(&names.label_sets, (const int[]){-1, -1, 0, -1}, 4);
    ts_query_names_deinit(&names);
    /* A label without a value is not the same as a missing label. */
    read_names(f, "label.host=", &names);
    expect_groups(&names.label_sets, (const int[]){-1, -1, -1, 0}, 4);
    ts_query_names_deinit(&names);
    /* No set has both. */
    read_names(f, "label.service=db&label.service=web", &names);
    expect_groups(&names.label_sets, (const int[]){-1, -1, -1, -1}, 4);
    ts_query_names_deinit(&names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_are_ordered_by_function_raw_name_file_and_line),
        TEST(functions_have_one_group_for_all_their_locations),
        TEST(every_location_has_a_group_of_its_own),
        TEST(values_of_a_label_have_a_group_and_its_absence_too),
        TEST(filters_exclude_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
