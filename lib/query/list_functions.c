#include "lib/query/list_functions.h"

#include "lib/base/text.h"

#include <stdlib.h>

int ts_function_list_collect(const struct ts_query *query, struct ts_reader *reader, struct ts_function_list *list,
                             struct ts_query_error *ret_error)
{
    *list = (struct ts_function_list){.query = query};
    ts_query_names_init(&list->names);
    struct ts_query by_location = *query; /* the same filter */
    by_location.by = TS_BY_LOCATION;
    int r = ts_query_names_read(&by_location, reader, &list->names, ret_error);
    if (r)
        return r;
    size_t n = list->names.groups.n;
    list->first_last = calloc(n + 1, sizeof(*list->first_last));
    list->order = ts_query_sort_names(&list->names.groups);
    if (!list->first_last || !list->order)
        return TS_ENOMEM;
    return ts_first_last_find(reader, false, &list->names.locations, n, list->first_last, NULL, NULL);
}

void ts_function_list_deinit(struct ts_function_list *list)
{
    if (!list->query)
        return;
    ts_query_names_deinit(&list->names);
    free(list->first_last);
    free(list->order);
    *list = (struct ts_function_list){0};
}

size_t ts_function_list_memory(const struct ts_function_list *list)
{
    return list->names.groups.memory + list->names.groups.n * (sizeof(*list->first_last) + sizeof(*list->order));
}

static struct ts_str function_at(const struct ts_function_list *list, size_t i)
{
    return ts_function_name(list->names.groups.items[list->order[i]].raw_name);
}

/* Are the i-th and the j-th location of the same function? */
static bool same_function(const struct ts_function_list *list, size_t i, size_t j)
{
    struct ts_location a = {.raw_name = function_at(list, i)};
    struct ts_location b = {.raw_name = function_at(list, j)};
    return ts_query_compare_names(&a, &b) == 0;
}

/* Of all locations of the function that begins at index i. */
static struct ts_first_last of_function(const struct ts_function_list *list, size_t i)
{
    struct ts_first_last all = {0};
    for (size_t j = i; j < list->names.groups.n && same_function(list, i, j); j++) {
        const struct ts_first_last *one = &list->first_last[list->order[j]];
        if (!one->found)
            continue;
        if (!all.found || one->position[TS_FIRST] < all.position[TS_FIRST])
            all.position[TS_FIRST] = one->position[TS_FIRST];
        if (!all.found || one->position[TS_LAST] > all.position[TS_LAST])
            all.position[TS_LAST] = one->position[TS_LAST];
        all.found = true;
    }
    return all;
}

bool ts_function_list_piece(const struct ts_function_list *list, struct ts_cursor *cursor, struct ts_buf *out)
{
    size_t i = cursor->row++;
    const struct ts_grid *grid = &list->query->grid;
    if (i == 0)
        ts_buf_puts(out, "{\"functions\": [");
    if (i == list->names.groups.n) {
        ts_buf_puts(out, i ? "]}]}" : "]}");
        return false;
    }
    if (i == 0 || !same_function(list, i, i - 1)) {
        struct ts_str function = function_at(list, i);
        struct ts_first_last first_last = of_function(list, i);
        ts_buf_puts(out, i ? "]}, {\"function\": " : "{\"function\": ");
        ts_put_json_string(out, function.data, function.len);
        ts_query_put_first_last(out, grid, &first_last);
        ts_buf_puts(out, ", \"locations\": [{");
    } else {
        ts_buf_puts(out, ", {");
    }
    const struct ts_location *location = &list->names.groups.items[list->order[i]];
    ts_buf_puts(out, "\"raw_name\": ");
    ts_put_json_string(out, location->raw_name.data, location->raw_name.len);
    ts_query_put_file_and_line(out, location);
    ts_query_put_first_last(out, grid, &list->first_last[list->order[i]]);
    ts_buf_putc(out, '}');
    return true;
}
