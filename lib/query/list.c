/*
 * The two lists. `functions` shows the locations that the store has a name for; `labels` shows the sets that have a
 * profile. Both say when first and last: the begins of the first and the last bucket, as narrow as it is kept.
 */
#include "lib/aggregate/labels.h"
#include "lib/base/text.h"
#include "lib/query/internal.h"

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

static void put_seen(const struct ts_query *query, const struct ts_seen *seen, int end, struct ts_buf *out)
{
    ts_buf_puts(out, end ? ", \"last_bucket\": " : ", \"first_bucket\": ");
    if (seen->seen)
        ts_put_seconds(out, ts_grid_begin(&query->grid, ts_level_position(seen->level[end], seen->bucket[end])));
    else
        ts_buf_puts(out, "null");
}

/* ---- Functions ---- */

static int collect_functions(struct ts_query_list *list, struct ts_reader *reader, struct ts_query_error *error)
{
    struct ts_query by_location = *list->query; /* the filter is the same, one group per location */
    by_location.by = TS_BY_LOCATION;
    int r = ts_query_names_read(&by_location, reader, &list->names, error);
    if (r)
        return r;
    size_t n = list->names.groups.n;
    list->seen = calloc(n + 1, sizeof(*list->seen));
    if (!list->seen)
        return TS_ENOMEM;
    r = ts_seen_find(reader, false, &list->names.locations, list->seen, n, NULL, NULL);
    list->order = r ? NULL : sorted(&list->names.groups);
    return r ? r : list->order ? 0 : TS_ENOMEM;
}

static int64_t begin_of(const struct ts_seen *seen, int end)
{
    return ts_level_position(seen->level[end], seen->bucket[end]);
}

/* The first and last of all locations of the function that begins at this place of the order. */
static struct ts_seen seen_of_function(const struct ts_query_list *list, size_t at)
{
    const struct ts_location *items = list->names.groups.items;
    struct ts_location name = {.raw_name = ts_function_name(items[list->order[at]].raw_name)};
    struct ts_seen all = {0};
    for (; at < list->names.groups.n; at++) {
        struct ts_location other = {.raw_name = ts_function_name(items[list->order[at]].raw_name)};
        const struct ts_seen *seen = &list->seen[list->order[at]];
        if (ts_query_compare_names(&name, &other) != 0)
            break;
        for (int end = 0; end < 2 && seen->seen; end++) {
            if (!all.seen || (end ? begin_of(seen, 1) > begin_of(&all, 1) : begin_of(seen, 0) < begin_of(&all, 0))) {
                all.level[end] = seen->level[end];
                all.bucket[end] = seen->bucket[end];
            }
        }
        all.seen = all.seen || seen->seen;
    }
    return all;
}

static bool put_function_piece(const struct ts_query_list *list, struct ts_cursor *cursor, struct ts_buf *out)
{
    size_t at = cursor->row++;
    const struct ts_intern *locations = &list->names.groups;
    if (at == 0)
        ts_buf_puts(out, "{\"functions\": [");
    if (at == locations->n) {
        ts_buf_puts(out, at ? "]}]}" : "]}");
        return false;
    }
    const struct ts_location *location = &locations->items[list->order[at]];
    struct ts_location a = {.raw_name = ts_function_name(location->raw_name)};
    struct ts_location b = {.raw_name =
                                at ? ts_function_name(locations->items[list->order[at - 1]].raw_name) : a.raw_name};
    if (at == 0 || ts_query_compare_names(&a, &b) != 0) {
        struct ts_seen seen = seen_of_function(list, at);
        ts_buf_puts(out, at ? "]}, {\"function\": " : "{\"function\": ");
        ts_put_json_string(out, a.raw_name.data, a.raw_name.len);
        put_seen(list->query, &seen, 0, out);
        put_seen(list->query, &seen, 1, out);
        ts_buf_puts(out, ", \"locations\": [{");
    } else {
        ts_buf_puts(out, ", {");
    }
    ts_buf_puts(out, "\"raw_name\": ");
    ts_put_json_string(out, location->raw_name.data, location->raw_name.len);
    ts_query_put_place(out, location);
    put_seen(list->query, &list->seen[list->order[at]], 0, out);
    put_seen(list->query, &list->seen[list->order[at]], 1, out);
    ts_buf_putc(out, '}');
    return true;
}

/* ---- Label sets ---- */

struct set_walk {
    struct ts_query_list *list;
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
        r = ts_intern_add(&walk->list->sets, &key, &number);
    if (!r && walk->list->sets.memory > TS_QUERY_BYTES_MAX)
        r = ts_query_fail(walk->error, TS_QUERY_TOO_LARGE, "", "the label sets alone are more than %llu MiB",
                          (unsigned long long)(TS_QUERY_BYTES_MAX >> 20));
    return r ? r : ts_query_map_put(&walk->list->numbers, id, number);
}

static int on_profile(void *data, const struct ts_profile_row *row)
{
    struct ts_query_list *list = data;
    uint32_t number;
    if (!ts_query_map_get(&list->numbers, row->labels, &number))
        return TS_ESTORE;
    list->profiles[number] += row->sums.profiles;
    return 0;
}

static int collect_labels(struct ts_query_list *list, struct ts_reader *reader, struct ts_query_error *error)
{
    struct set_walk walk = {.list = list, .error = error};
    ts_buf_init(&walk.value);
    int r = ts_reader_label_sets(reader, on_set, &walk);
    ts_buf_deinit(&walk.value);
    if (r)
        return r;
    list->seen = calloc(list->sets.n + 1, sizeof(*list->seen));
    list->profiles = calloc(list->sets.n + 1, sizeof(*list->profiles));
    list->order = sorted(&list->sets);
    if (!list->seen || !list->profiles || !list->order)
        return TS_ENOMEM;
    return ts_seen_find(reader, true, &list->numbers, list->seen, list->sets.n, on_profile, list);
}

/* column: something was written already. */
static bool put_set_piece(const struct ts_query_list *list, struct ts_cursor *cursor, struct ts_buf *out)
{
    size_t at = cursor->row++;
    if (at == 0)
        ts_buf_puts(out, "{\"labels\": [");
    if (at == list->sets.n) {
        ts_buf_puts(out, "]}");
        return false;
    }
    const struct ts_seen *seen = &list->seen[list->order[at]];
    const struct ts_str *json = &list->sets.items[list->order[at]].raw_name;
    if (!seen->seen)
        return true;
    ts_buf_puts(out, cursor->column ? ", {\"labels\": " : "{\"labels\": ");
    ts_buf_append(out, json->data, json->len);
    put_seen(list->query, seen, 0, out);
    put_seen(list->query, seen, 1, out);
    ts_buf_puts(out, ", \"profiles\": ");
    ts_query_put_number(out, list->profiles[list->order[at]]);
    ts_buf_putc(out, '}');
    cursor->column = 1;
    return true;
}

/* ---- Both ---- */

int ts_query_list_collect(const struct ts_query *query, struct ts_reader *reader, struct ts_query_list *list,
                          struct ts_query_error *ret_error)
{
    *list = (struct ts_query_list){.query = query};
    ts_query_names_init(&list->names);
    ts_intern_init(&list->sets);
    int r = query->kind == TS_QUERY_FUNCTIONS ? collect_functions(list, reader, ret_error)
                                              : collect_labels(list, reader, ret_error);
    /* The reader's levels are those of its next state soon. */
    list->levels = *ts_reader_levels(reader);
    size_t n = query->kind == TS_QUERY_FUNCTIONS ? list->names.groups.n : list->sets.n;
    for (size_t i = 0; i < n && !r; i++) {
        for (int end = 0; end < 2 && list->seen[i].seen; end++)
            list->seen[i].level[end] = &list->levels.items[list->seen[i].level[end] - ts_reader_levels(reader)->items];
    }
    return r;
}

void ts_query_list_deinit(struct ts_query_list *list)
{
    if (!list->query)
        return;
    ts_query_names_deinit(&list->names);
    ts_intern_deinit(&list->sets);
    free(list->numbers.ids);
    free(list->numbers.groups);
    free(list->seen);
    free(list->profiles);
    free(list->order);
    *list = (struct ts_query_list){0};
}

bool ts_query_list_piece(const struct ts_query_list *list, struct ts_cursor *cursor, struct ts_buf *out)
{
    return list->query->kind == TS_QUERY_FUNCTIONS ? put_function_piece(list, cursor, out)
                                                   : put_set_piece(list, cursor, out);
}
