#include "lib/store/selection.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static TS_FOR_ASSERT bool is_ascending(const uint32_t *items, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if (items[i - 1] >= items[i])
            return false;
    }
    return true;
}

static uint32_t *copy_ids(const uint32_t *items, size_t n)
{
    uint32_t *copy = malloc((n + 1) * sizeof(*copy));
    if (copy && n)
        memcpy(copy, items, n * sizeof(*copy));
    return copy;
}

int ts_selection_init(struct ts_selection *selection, const struct ts_deletion_selection *from)
{
    assert(is_ascending(from->locations, from->n_locations));
    assert(is_ascending(from->label_sets, from->n_label_sets));
    *selection = (struct ts_selection){
        .locations = {.items = copy_ids(from->locations, from->n_locations),
                      .n = from->n_locations,
                      .found = calloc(from->n_functions + 1, sizeof(bool))},
        .label_sets = {.items = copy_ids(from->label_sets, from->n_label_sets),
                       .n = from->n_label_sets,
                       .found = calloc(from->n_label_sets + 1, sizeof(bool))},
        .functions = copy_ids(from->functions, from->n_locations),
    };
    if (selection->locations.items && selection->locations.found && selection->label_sets.items &&
        selection->label_sets.found && selection->functions)
        return 0;
    ts_selection_deinit(selection);
    return TS_ENOMEM;
}

void ts_selection_deinit(struct ts_selection *selection)
{
    free(selection->locations.items);
    free(selection->locations.found);
    free(selection->label_sets.items);
    free(selection->label_sets.found);
    free(selection->functions);
    *selection = (struct ts_selection){0};
}

static bool find(const struct ts_selected_ids *ids, uint32_t id, size_t *ret_index)
{
    size_t low = 0;
    size_t high = ids->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ids->items[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_index = low;
    return low < ids->n && ids->items[low] == id;
}

bool ts_selection_matches(const struct ts_selection *selection, enum ts_table table, const struct ts_row *row)
{
    size_t index;
    return find(&selection->label_sets, row->labels, &index) &&
           (table == TS_TABLE_PROFILES || find(&selection->locations, row->location, &index));
}

/* Gives 1 the first time. */
static unsigned mark(bool *found)
{
    bool first = !*found;
    *found = true;
    return first;
}

void ts_selection_count(struct ts_selection *selection, enum ts_table table, const struct ts_row *row,
                        struct ts_deletion_counts *counts)
{
    size_t index;
    bool found = find(&selection->label_sets, row->labels, &index);
    assert(found);
    if (found)
        counts->label_sets += mark(&selection->label_sets.found[index]);
    if (table == TS_TABLE_PROFILES) {
        counts->profiles += row->values[0];
        return;
    }
    found = find(&selection->locations, row->location, &index);
    assert(found);
    if (found)
        counts->functions += mark(&selection->locations.found[selection->functions[index]]);
    counts->rows++;
    counts->cumtime += row->values[0];
    counts->tottime += row->values[1];
    counts->ncalls += row->values[2];
    counts->pcalls += row->values[3];
}
