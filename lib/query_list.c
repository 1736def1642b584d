/*
 * The two lists. `functions` shows the locations that the store has a name for; `labels` shows the sets that have a
 * profile, with their first and last bucket: one walk over all profiles, one row per bucket and label set.
 */
#include "lib/query_labels.h"
#include "lib/query_plan.h"

#include <stdlib.h>

static int compare_items(const void *a, const void *b, void *data)
{
    const struct ts_location *items = data;
    return ts_query_compare_names(&items[*(const uint32_t *)a], &items[*(const uint32_t *)b]);
}

/* All items of a table in the order of answers. free() it. */
static uint32_t *sorted(struct ts_intern *table)
{
    uint32_t *order = calloc(table->n + 1, sizeof(*order));
    if (!order)
        return NULL;
    for (uint32_t i = 0; i < table->n; i++)
        order[i] = i;
    qsort_r(order, table->n, sizeof(*order), compare_items, table->items);
    return order;
}

/* ---- Functions ---- */

static void put_functions(const struct ts_intern *locations, const uint32_t *order, struct ts_buf *out, size_t limit)
{
    struct ts_str open = {0}; /* the function whose list is being written */
    ts_buf_puts(out, "{\"functions\": [");
    for (uint32_t i = 0; i < locations->n && out->len <= limit; i++) {
        const struct ts_location *location = &locations->items[order[i]];
        struct ts_str function = ts_function_name(location->raw_name);
        struct ts_location a = {.raw_name = open};
        struct ts_location b = {.raw_name = function};
        if (!open.data || ts_query_compare_names(&a, &b) != 0) {
            ts_buf_puts(out, open.data ? "]}, {\"function\": " : "{\"function\": ");
            ts_buf_json_string(out, function.data, function.len);
            ts_buf_puts(out, ", \"locations\": [{");
            open = function;
        } else {
            ts_buf_puts(out, ", {");
        }
        ts_buf_puts(out, "\"raw_name\": ");
        ts_buf_json_string(out, location->raw_name.data, location->raw_name.len);
        ts_query_put_place(out, location);
        ts_buf_putc(out, '}');
    }
    ts_buf_puts(out, open.data ? "]}]}" : "]}");
}

int ts_query_list_functions(const struct ts_query *query, struct ts_reader *reader, struct ts_buf *out, size_t limit,
                            struct ts_query_error *ret_error)
{
    struct ts_query by_location = *query; /* the filter is the same, one group per location */
    by_location.by = TS_BY_LOCATION;
    struct ts_query_names names;
    ts_query_names_init(&names);
    int r = ts_query_names_read(&by_location, reader, &names, ret_error);
    ts_reader_end(reader);
    uint32_t *order = r ? NULL : sorted(&names.groups);
    if (!r && !order)
        r = TS_ENOMEM;
    if (!r)
        put_functions(&names.groups, order, out, limit);
    free(order);
    ts_query_names_deinit(&names);
    return r;
}

/* ---- Label sets ---- */

struct set_sums {
    int64_t first;
    int64_t last;
    ts_i128 profiles;
    bool seen;
};

struct set_walk {
    struct ts_intern sets; /* raw_name: the canonical JSON */
    struct ts_query_map numbers;
    struct set_sums *sums;
    struct ts_buf value;
    struct ts_query_error *error;
};

/* The text goes into the answer as it is, so it has to be what it should be. */
static int check_set(struct set_walk *walk, const char *json, size_t len)
{
    struct ts_labels_reader reader;
    struct ts_str key;
    int r;
    ts_labels_reader_init(&reader, json, len);
    do
        r = ts_labels_next(&reader, &key, &walk->value);
    while (r > 0);
    return r == TS_EINVAL ? TS_ESTORE : r;
}

static int on_set(void *data, uint32_t id, const char *json, size_t len)
{
    struct set_walk *walk = data;
    struct ts_location key = {.raw_name = {json, len}, .line_number = -1};
    uint32_t number = 0;
    int r = check_set(walk, json, len);
    if (!r)
        r = ts_intern_add(&walk->sets, &key, &number);
    if (!r && walk->sets.memory > TS_QUERY_BYTES_MAX)
        r = ts_query_fail(walk->error, 400, "too_large", "", "the label sets alone are more than %llu MiB",
                          (unsigned long long)(TS_QUERY_BYTES_MAX >> 20));
    return r ? r : ts_query_map_put(&walk->numbers, id, number);
}

static int on_profile(void *data, const struct ts_profile_row *row)
{
    struct set_walk *walk = data;
    uint32_t number;
    if (!ts_query_map_get(&walk->numbers, row->labels, &number))
        return TS_ESTORE;
    struct set_sums *sums = &walk->sums[number];
    if (!sums->seen)
        sums->first = row->bucket;
    sums->seen = true;
    sums->last = row->bucket;
    sums->profiles += row->sums.profiles;
    return 0;
}

static void put_sets(const struct ts_query *query, const struct set_walk *walk, const uint32_t *order,
                     struct ts_buf *out, size_t limit)
{
    const char *separator = "";
    ts_buf_puts(out, "{\"labels\": [");
    for (uint32_t i = 0; i < walk->sets.n && out->len <= limit; i++) {
        const struct set_sums *sums = &walk->sums[order[i]];
        const struct ts_str *json = &walk->sets.items[order[i]].raw_name;
        if (!sums->seen)
            continue;
        ts_buf_puts(out, separator);
        ts_buf_puts(out, "{\"labels\": ");
        ts_buf_append(out, json->data, json->len);
        ts_buf_puts(out, ", \"first_bucket\": ");
        ts_buf_seconds(out, ts_grid_begin(&query->grid, sums->first));
        ts_buf_puts(out, ", \"last_bucket\": ");
        ts_buf_seconds(out, ts_grid_begin(&query->grid, sums->last));
        ts_buf_puts(out, ", \"profiles\": ");
        ts_query_put_number(out, sums->profiles);
        ts_buf_putc(out, '}');
        separator = ", ";
    }
    ts_buf_puts(out, "]}");
}

int ts_query_list_labels(const struct ts_query *query, struct ts_reader *reader, struct ts_buf *out, size_t limit,
                         struct ts_query_error *ret_error)
{
    struct set_walk walk = {.error = ret_error};
    ts_intern_init(&walk.sets);
    ts_buf_init(&walk.value);
    uint32_t *order = NULL;
    int r = ts_reader_label_sets(reader, on_set, &walk);
    if (!r) {
        walk.sums = calloc(walk.sets.n + 1, sizeof(*walk.sums));
        r = walk.sums ? ts_reader_profiles(reader, INT64_MIN, INT64_MAX, on_profile, &walk) : TS_ENOMEM;
    }
    ts_reader_end(reader);
    if (!r) {
        order = sorted(&walk.sets);
        r = order ? 0 : TS_ENOMEM;
    }
    if (!r)
        put_sets(query, &walk, order, out, limit);
    free(order);
    free(walk.sums);
    free(walk.numbers.ids);
    free(walk.numbers.groups);
    ts_buf_deinit(&walk.value);
    ts_intern_deinit(&walk.sets);
    return r;
}
