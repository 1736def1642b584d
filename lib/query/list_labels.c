#include "lib/query/list_labels.h"

#include "lib/aggregate/labels.h"
#include "lib/query/error.h"
#include "lib/query/names.h"

#include <stdlib.h>

struct walk {
    struct ts_label_list *list;
    struct ts_buf value; /* of the current label */
    struct ts_query_error *error;
};

/* The response contains the stored text unchanged, so it must be valid. */
static int check_set(struct walk *walk, const char *json, size_t len)
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
    struct walk *walk = data;
    struct ts_label_list *list = walk->list;
    struct ts_location key = {.raw_name = {json, len}, .line_number = -1};
    uint32_t item = 0;
    int r = check_set(walk, json, len);
    if (!r)
        r = ts_intern_add(&list->sets, &key, &item);
    if (!r && list->sets.memory > TS_QUERY_BYTES_MAX)
        r = ts_query_fail(walk->error, TS_QUERY_TOO_LARGE, "", "the label sets take more than %llu MiB",
                          (unsigned long long)(TS_QUERY_BYTES_MAX >> 20));
    return r ? r : ts_id_map_put(&list->ids, id, item);
}

static int on_profile(void *data, const struct ts_profile_row *row)
{
    struct ts_label_list *list = data;
    uint32_t item;
    if (!ts_id_map_get(&list->ids, row->labels, &item))
        return TS_ESTORE;
    list->profiles[item] += row->sums.profiles;
    return 0;
}

int ts_label_list_collect(const struct ts_query *query, struct ts_reader *reader, struct ts_label_list *list,
                          struct ts_query_error *ret_error)
{
    *list = (struct ts_label_list){.query = query};
    ts_intern_init(&list->sets);
    struct walk walk = {.list = list, .error = ret_error};
    ts_buf_init(&walk.value);
    int r = ts_reader_label_sets(reader, on_set, &walk);
    ts_buf_deinit(&walk.value);
    if (r)
        return r;
    size_t n = list->sets.n;
    list->first_last = calloc(n + 1, sizeof(*list->first_last));
    list->profiles = calloc(n + 1, sizeof(*list->profiles));
    list->order = ts_query_sort_names(&list->sets);
    if (!list->first_last || !list->profiles || !list->order)
        return TS_ENOMEM;
    return ts_first_last_find(reader, true, &list->ids, n, list->first_last, on_profile, list);
}

void ts_label_list_deinit(struct ts_label_list *list)
{
    if (!list->query)
        return;
    ts_intern_deinit(&list->sets);
    ts_id_map_deinit(&list->ids);
    free(list->first_last);
    free(list->profiles);
    free(list->order);
    *list = (struct ts_label_list){0};
}

size_t ts_label_list_memory(const struct ts_label_list *list)
{
    return list->sets.memory +
           list->sets.n * (sizeof(*list->first_last) + sizeof(*list->profiles) + sizeof(*list->order));
}

/* cursor->column: 1 after the first set has been written. */
bool ts_label_list_piece(const struct ts_label_list *list, struct ts_cursor *cursor, struct ts_buf *out)
{
    size_t i = cursor->row++;
    if (i == 0)
        ts_buf_puts(out, "{\"labels\": [");
    if (i == list->sets.n) {
        ts_buf_puts(out, "]}");
        return false;
    }
    uint32_t item = list->order[i];
    const struct ts_str *json = &list->sets.items[item].raw_name;
    if (!list->first_last[item].found)
        return true;
    ts_buf_puts(out, cursor->column ? ", {\"labels\": " : "{\"labels\": ");
    ts_buf_append(out, json->data, json->len);
    ts_query_put_first_last(out, &list->query->grid, &list->first_last[item]);
    ts_buf_puts(out, ", \"profiles\": ");
    ts_query_put_integer(out, list->profiles[item]);
    ts_buf_putc(out, '}');
    cursor->column = 1;
    return true;
}
