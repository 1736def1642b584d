#include "lib/query/names.h"

#include "lib/aggregate/labels.h"
#include "lib/query/error.h"

#include <stdlib.h>
#include <string.h>

void ts_query_names_init(struct ts_query_names *names)
{
    *names = (struct ts_query_names){0};
    ts_intern_init(&names->groups);
}

void ts_query_names_deinit(struct ts_query_names *names)
{
    ts_intern_deinit(&names->groups);
    ts_id_map_deinit(&names->locations);
    ts_id_map_deinit(&names->label_sets);
}

/* ---- Order ---- */

static int compare_bytes(struct ts_str a, struct ts_str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int r = len ? memcmp(a.data, b.data, len) : 0;
    if (r == 0)
        r = (a.len > b.len) - (a.len < b.len);
    return r ? r : (a.data != NULL) - (b.data != NULL);
}

int ts_query_compare_names(const struct ts_location *a, const struct ts_location *b)
{
    int r = compare_bytes(ts_function_name(a->raw_name), ts_function_name(b->raw_name));
    if (r == 0)
        r = compare_bytes(a->raw_name, b->raw_name);
    if (r == 0)
        r = compare_bytes(a->file_name, b->file_name);
    return r ? r : (a->line_number > b->line_number) - (a->line_number < b->line_number);
}

static int compare_items(const void *a, const void *b, void *data)
{
    const struct ts_location *items = data;
    return ts_query_compare_names(&items[*(const uint32_t *)a], &items[*(const uint32_t *)b]);
}

uint32_t *ts_query_sort_names(struct ts_intern *table)
{
    uint32_t *order = calloc(table->n + 1, sizeof(*order));
    if (!order)
        return NULL;
    for (uint32_t i = 0; i < table->n; i++)
        order[i] = i;
    qsort_r(order, table->n, sizeof(*order), compare_items, table->items);
    return order;
}

/* ---- Reading ---- */

struct walk {
    const struct ts_query *query;
    struct ts_query_names *names;
    struct ts_buf value;     /* of the current label, decoded */
    struct ts_buf group_key; /* the value of query->by_key */
    struct ts_query_error *error;
};

static bool matches_globs(const struct ts_query *query, struct ts_str function)
{
    for (size_t i = 0; i < query->n_globs; i++) {
        if (ts_glob_match(&query->globs[i], function))
            return true;
    }
    return query->n_globs == 0;
}

static int add_group(struct walk *walk, const struct ts_location *key, uint32_t *ret_group)
{
    int r = ts_intern_add(&walk->names->groups, key, ret_group);
    if (!r && walk->names->groups.memory > TS_QUERY_BYTES_MAX)
        return ts_query_fail(walk->error, TS_QUERY_TOO_LARGE, "",
                             "the names take more than %llu MiB; select fewer with function",
                             (unsigned long long)(TS_QUERY_BYTES_MAX >> 20));
    return r;
}

static int on_location(void *data, uint32_t id, const struct ts_location *location)
{
    struct walk *walk = data;
    struct ts_str function = ts_function_name(location->raw_name);
    uint32_t group = TS_NO_GROUP;
    int r = 0;
    if (matches_globs(walk->query, function)) {
        if (walk->query->by == TS_BY_LOCATION)
            r = add_group(walk, location, &group);
        else if (walk->query->by == TS_BY_FUNCTION)
            r = add_group(walk, &(struct ts_location){.raw_name = function, .line_number = -1}, &group);
        else
            group = 0;
    }
    return r ? r : ts_id_map_put(&walk->names->locations, id, group);
}

static bool equal(const char *text, const char *bytes, size_t len)
{
    return strlen(text) == len && (len == 0 || memcmp(text, bytes, len) == 0);
}

/* Does the set have all requested labels? Copies the value of by_key, if the set has it, to walk->group_key. */
static int match_label_set(struct walk *walk, const char *json, size_t len, bool *ret_matches, bool *ret_has_key)
{
    const struct ts_query *query = walk->query;
    const struct ts_buf *value = &walk->value;
    struct ts_labels_reader reader;
    struct ts_str key;
    size_t n_matches = 0;
    int r;
    ts_labels_reader_init(&reader, json, len);
    *ret_has_key = false;
    while ((r = ts_labels_next(&reader, &key, &walk->value)) > 0) {
        for (size_t i = 0; i < query->n_labels; i++) {
            const struct ts_label_filter *label = &query->labels[i];
            n_matches += equal(label->key, key.data, key.len) && equal(label->value, value->data, value->len);
        }
        if (query->by == TS_BY_LABEL && equal(query->by_key, key.data, key.len)) {
            ts_buf_reset(&walk->group_key);
            ts_buf_append(&walk->group_key, value->data, value->len);
            if (ts_buf_failed(&walk->group_key))
                return TS_ENOMEM;
            *ret_has_key = true;
        }
    }
    *ret_matches = n_matches == query->n_labels;
    return r == TS_EINVAL ? TS_ESTORE : r;
}

static int on_label_set(void *data, uint32_t id, const char *json, size_t len)
{
    struct walk *walk = data;
    bool matches = false;
    bool has_key = false;
    uint32_t group = TS_NO_GROUP;
    int r = match_label_set(walk, json, len, &matches, &has_key);
    if (!r && matches && walk->query->by == TS_BY_LABEL) {
        struct ts_location key = {.line_number = -1};
        if (has_key)
            key.raw_name = (struct ts_str){walk->group_key.len ? walk->group_key.data : "", walk->group_key.len};
        r = add_group(walk, &key, &group);
    } else if (matches) {
        group = 0;
    }
    return r ? r : ts_id_map_put(&walk->names->label_sets, id, group);
}

int ts_query_names_read(const struct ts_query *query, struct ts_reader *reader, struct ts_query_names *names,
                        struct ts_query_error *ret_error)
{
    struct walk walk = {.query = query, .names = names, .error = ret_error};
    ts_buf_init(&walk.value);
    ts_buf_init(&walk.group_key);
    names->has_locations = query->by != TS_BY_LABEL || query->n_globs > 0;
    int r = ts_reader_label_sets(reader, on_label_set, &walk);
    if (!r && names->has_locations)
        r = ts_reader_locations(reader, on_location, &walk);
    ts_buf_deinit(&walk.value);
    ts_buf_deinit(&walk.group_key);
    return r;
}
