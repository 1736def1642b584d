#include "lib/query/delete.h"

#include "lib/base/text.h"
#include "lib/base/units.h"
#include "lib/query/error.h"
#include "lib/query/names.h"
#include "lib/query/write.h"

#include <stdlib.h>

static int fail_end(const struct ts_query *query, const struct ts_level *level, int64_t position, const char *name,
                    struct ts_query_error *error)
{
    char width[32];
    struct ts_buf begin;
    struct ts_buf end;
    ts_buf_init(&begin);
    ts_buf_init(&end);
    int64_t bucket = ts_level_bucket(level, position);
    ts_put_seconds(&begin, ts_grid_begin(&query->grid, ts_level_position(level, bucket)));
    ts_put_seconds(&end, ts_grid_begin(&query->grid, ts_level_position(level, bucket + 1)));
    ts_query_fail(error, TS_QUERY_NOT_KEPT, name,
                  "it lies within a bucket of %s, the finest kept there; use %.*s or %.*s",
                  ts_format_duration(level->width, width), (int)begin.len, begin.data ? begin.data : "", (int)end.len,
                  end.data ? end.data : "");
    ts_buf_deinit(&begin);
    ts_buf_deinit(&end);
    return TS_EINVAL;
}

/*
 * Checks one end of the range and sets its position. It must be an end of the first or last bucket to delete; the
 * bucket after `to` may be wider or narrower.
 */
static int check_end(const struct ts_query *query, const struct ts_levels *levels, ts_i128 ns, bool last,
                     int64_t *ret_position, struct ts_query_error *error)
{
    int64_t position = ts_query_position(&query->grid, ns);
    bool cut = ts_grid_begin(&query->grid, position) != ns;
    int64_t within = last && !cut ? position - 1 : position;
    const struct ts_level *level = ts_plan_finest(levels, within);
    *ret_position = position;
    if (level && (cut || position % level->ratio))
        return fail_end(query, level, within, last ? "to" : "from", error);
    return 0;
}

static int select_range(const struct ts_query *query, const struct ts_levels *levels,
                        struct ts_deletion_selection *selection, struct ts_query_error *error)
{
    int64_t begin;
    int r = 0;
    if (!ts_deletion_possible(levels))
        return ts_query_fail(error, TS_QUERY_STORE_UNAVAILABLE, "",
                             "retention levels are being rebuilt; try again later");
    ts_plan_axis(levels, &begin, &selection->to);
    selection->from = begin;
    if (query->span.has_from)
        r = check_end(query, levels, query->span.from, false, &selection->from, error);
    if (!r && query->span.has_to)
        r = check_end(query, levels, query->span.to, true, &selection->to, error);
    if (selection->from < begin)
        selection->from = begin;
    return r;
}

/* Moves the ids that have a group to the front and returns how many there are. */
static size_t keep_selected(struct ts_id_map *map)
{
    size_t n = 0;
    for (size_t i = 0; i < map->n; i++) {
        if (map->groups[i] == TS_NO_GROUP)
            continue;
        map->ids[n] = map->ids[i];
        map->groups[n++] = map->groups[i];
    }
    return n;
}

int ts_query_deletion(const struct ts_query *query, struct ts_reader *reader, struct ts_deletion **ret_deletion,
                      struct ts_query_error *ret_error)
{
    /* If functions are given, profiles are kept: only some of their functions are deleted. */
    struct ts_deletion_selection selection = {.profiles = query->n_globs == 0, .dry_run = query->dry_run};
    struct ts_query_names names;
    ts_query_names_init(&names);
    int r = ts_reader_begin(reader);
    if (!r)
        r = ts_query_names_read(query, reader, &names, ret_error);
    if (!r)
        r = select_range(query, ts_reader_levels(reader), &selection, ret_error);
    ts_reader_end(reader);
    if (!r) {
        selection.n_locations = keep_selected(&names.locations);
        selection.n_label_sets = keep_selected(&names.label_sets);
        selection.locations = names.locations.ids;
        selection.functions = names.locations.groups;
        selection.n_functions = names.groups.n;
        selection.label_sets = names.label_sets.ids;
        r = ts_deletion_new(&selection, ret_deletion);
    }
    ts_query_names_deinit(&names);
    return r ? ts_query_fail_with(ret_error, r) : 0;
}

void ts_query_put_deletion(const struct ts_query *query, const struct ts_deletion *deletion, struct ts_buf *out)
{
    const struct ts_deletion_counts *counts = ts_deletion_result(deletion);
    const ts_i128 totals[TS_METRICS] = {[TS_CUMTIME] = counts->cumtime,
                                        [TS_TOTTIME] = counts->tottime,
                                        [TS_NCALLS] = counts->ncalls,
                                        [TS_PCALLS] = counts->pcalls};
    ts_buf_printf(out, "{\"dry_run\": %s, \"from\": ", query->dry_run ? "true" : "false");
    ts_query_put_seconds_or_null(out, query->span.has_from, query->span.from);
    ts_buf_puts(out, ", \"to\": ");
    ts_query_put_seconds_or_null(out, query->span.has_to, query->span.to);
    ts_buf_printf(out, ", \"functions\": %llu, \"label_sets\": %llu, \"buckets\": %llu, \"rows\": %llu, \"profiles\": ",
                  (unsigned long long)counts->functions, (unsigned long long)counts->label_sets,
                  (unsigned long long)counts->buckets, (unsigned long long)counts->rows);
    ts_query_put_integer(out, counts->profiles);
    ts_buf_puts(out, ", ");
    ts_query_put_totals(out, totals);
    ts_buf_puts(out, "}\n");
}
