/*
 * Names to groups. What the sums refer to by number is looked up once per query: each label set is let in or not, each
 * location too, and each gets the number of the row of the answer that it is summed into.
 *
 * This reads every location of the store, about half a microsecond each, unless a query by label needs none.
 */
#include "lib/aggregate/labels.h"
#include "lib/query/internal.h"

#include <stdlib.h>
#include <string.h>

void ts_query_names_init(struct ts_query_names *names)
{
    *names = (struct ts_query_names){0};
    ts_intern_init(&names->groups);
}

static void map_deinit(struct ts_query_map *map)
{
    free(map->ids);
    free(map->groups);
    *map = (struct ts_query_map){0};
}

void ts_query_names_deinit(struct ts_query_names *names)
{
    ts_intern_deinit(&names->groups);
    map_deinit(&names->locations);
    map_deinit(&names->label_sets);
}

int ts_query_map_put(struct ts_query_map *map, uint32_t id, uint32_t group)
{
    if (map->n == map->cap) {
        size_t cap = map->cap ? map->cap * 2 : 256;
        uint32_t *ids = realloc(map->ids, cap * sizeof(*ids));
        if (!ids)
            return TS_ENOMEM;
        map->ids = ids;
        uint32_t *groups = realloc(map->groups, cap * sizeof(*groups));
        if (!groups)
            return TS_ENOMEM;
        map->groups = groups;
        map->cap = cap;
    }
    map->ids[map->n] = id;
    map->groups[map->n++] = group;
    return 0;
}

bool ts_query_map_get(const struct ts_query_map *map, uint32_t id, uint32_t *ret_group)
{
    if (!map->n || id < map->ids[0])
        return false;
    /* Numbers are dense, as long as nothing was deleted; then this is the place. Else it is further left. */
    size_t high = id - map->ids[0];
    high = high < map->n ? high : map->n - 1;
    size_t low = map->ids[high] == id ? high : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    if (map->ids[low] != id)
        return false;
    *ret_group = map->groups[low];
    return true;
}

bool ts_query_function_wanted(const struct ts_query *query, struct ts_str function)
{
    for (size_t i = 0; i < query->n_globs; i++) {
        if (ts_glob_match(&query->globs[i], function))
            return true;
    }
    return query->n_globs == 0;
}

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

struct walk {
    const struct ts_query *query;
    struct ts_query_names *names;
    struct ts_buf value;     /* a label's, decoded */
    struct ts_buf group_key; /* the value of query->by_key */
    struct ts_query_error *error;
};

static int add_group(struct walk *walk, const struct ts_location *key, uint32_t *ret_group)
{
    int r = ts_intern_add(&walk->names->groups, key, ret_group);
    if (!r && walk->names->groups.memory > TS_QUERY_BYTES_MAX)
        return ts_query_fail(walk->error, TS_QUERY_TOO_LARGE, "",
                             "the names alone are more than %llu MiB; ask for fewer with function",
                             (unsigned long long)(TS_QUERY_BYTES_MAX >> 20));
    return r;
}

static int on_location(void *data, uint32_t id, const struct ts_location *location)
{
    struct walk *walk = data;
    struct ts_str function = ts_function_name(location->raw_name);
    uint32_t group = TS_NO_GROUP;
    int r = 0;
    if (ts_query_function_wanted(walk->query, function)) {
        if (walk->query->by == TS_BY_LOCATION)
            r = add_group(walk, location, &group);
        else if (walk->query->by == TS_BY_FUNCTION)
            r = add_group(walk, &(struct ts_location){.raw_name = function, .line_number = -1}, &group);
        else
            group = 0; /* let in; the label says where to */
    }
    return r ? r : ts_query_map_put(&walk->names->locations, id, group);
}

/* Are all labels asked for in the set? Keeps the value of by_key, where there is one. */
static int judge_set(struct walk *walk, const char *json, size_t len, bool *ret_wanted, bool *ret_has_key)
{
    const struct ts_query *query = walk->query;
    struct ts_labels_reader reader;
    struct ts_str key;
    size_t found = 0;
    int r;
    ts_labels_reader_init(&reader, json, len);
    *ret_has_key = false;
    while ((r = ts_labels_next(&reader, &key, &walk->value)) > 0) {
        const struct ts_buf *value = &walk->value;
        for (size_t i = 0; i < query->n_labels; i++) {
            const struct ts_label_filter *label = &query->labels[i];
            found += strlen(label->key) == key.len && memcmp(label->key, key.data, key.len) == 0 &&
                     strlen(label->value) == value->len &&
                     (value->len == 0 || memcmp(label->value, value->data, value->len) == 0);
        }
        if (query->by == TS_BY_LABEL && strlen(query->by_key) == key.len &&
            memcmp(query->by_key, key.data, key.len) == 0) {
            ts_buf_reset(&walk->group_key);
            ts_buf_append(&walk->group_key, value->data, value->len);
            if (ts_buf_failed(&walk->group_key))
                return TS_ENOMEM;
            *ret_has_key = true;
        }
    }
    *ret_wanted = found == query->n_labels;
    return r == TS_EINVAL ? TS_ESTORE : r;
}

static int on_labels(void *data, uint32_t id, const char *json, size_t len)
{
    struct walk *walk = data;
    bool wanted = false;
    bool has_key = false;
    uint32_t group = TS_NO_GROUP;
    int r = judge_set(walk, json, len, &wanted, &has_key);
    if (!r && wanted && walk->query->by == TS_BY_LABEL) {
        struct ts_location key = {.line_number = -1};
        if (has_key)
            key.raw_name = (struct ts_str){walk->group_key.len ? walk->group_key.data : "", walk->group_key.len};
        r = add_group(walk, &key, &group);
    } else if (wanted) {
        group = 0; /* let in; the location says where to */
    }
    return r ? r : ts_query_map_put(&walk->names->label_sets, id, group);
}

int ts_query_names_read(const struct ts_query *query, struct ts_reader *reader, struct ts_query_names *names,
                        struct ts_query_error *ret_error)
{
    struct walk walk = {.query = query, .names = names, .error = ret_error};
    ts_buf_init(&walk.value);
    ts_buf_init(&walk.group_key);
    names->has_locations = query->by != TS_BY_LABEL || query->n_globs > 0;
    int r = ts_reader_label_sets(reader, on_labels, &walk);
    if (!r && names->has_locations)
        r = ts_reader_locations(reader, on_location, &walk);
    ts_buf_deinit(&walk.value);
    ts_buf_deinit(&walk.group_key);
    return r;
}
