#include "lib/query/spec.h"

#include <assert.h>
#include <stdlib.h>

static struct ts_query *side_new(const struct ts_query *diff)
{
    struct ts_query *side = ts_query_new(TS_QUERY_TOP, &diff->grid);
    if (side) {
        free(side->globs);
        side->globs = diff->globs;
        side->shares_globs = true;
    }
    return side;
}

struct ts_query *ts_query_new(enum ts_query_kind kind, const struct ts_grid *grid)
{
    assert(grid->time_slice > 0);
    struct ts_query *query = calloc(1, sizeof(*query));
    if (!query)
        return NULL;
    *query = (struct ts_query){
        .kind = kind, .grid = *grid, .top = SIZE_MAX, .fresh = -1, .dry_run = kind == TS_QUERY_DELETE};
    query->globs = calloc(TS_QUERY_REPEATS_MAX, sizeof(*query->globs));
    query->labels = calloc(TS_QUERY_REPEATS_MAX, sizeof(*query->labels));
    bool complete = query->globs && query->labels;
    for (int i = 0; i < 2 && complete && kind == TS_QUERY_DIFF; i++) {
        query->sides[i] = side_new(query);
        complete = query->sides[i] != NULL;
    }
    return complete ? query : ts_query_free(query);
}

struct ts_query *ts_query_free(struct ts_query *query)
{
    if (!query)
        return NULL;
    ts_query_free(query->sides[0]);
    ts_query_free(query->sides[1]);
    if (!query->shares_globs) {
        for (size_t i = 0; i < query->n_globs; i++)
            ts_glob_deinit(&query->globs[i]);
        free(query->globs);
    }
    for (size_t i = 0; i < query->n_labels; i++) {
        free(query->labels[i].key);
        free(query->labels[i].value);
    }
    free(query->labels);
    free(query->by_key);
    free(query);
    return NULL;
}

bool ts_query_fresh(const struct ts_query *query, bool default_value)
{
    return query->fresh < 0 ? default_value : query->fresh;
}

bool ts_query_csv(const struct ts_query *query)
{
    return query->csv;
}

bool ts_query_dry_run(const struct ts_query *query)
{
    return query->dry_run;
}
