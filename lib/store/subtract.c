#include "lib/store/subtract.h"

#include <assert.h>

static bool at_bound(int64_t value)
{
    return value == INT64_MAX || value == INT64_MIN;
}

/*
 * A wider level's value is the saturating sum of finer ones, so subtracting is exact unless one of both is at its
 * bound: what was added beyond the bound is not known. Then the value is set to the bound, for which it is summed again
 * later.
 */
static int subtract(struct ts_store *store, enum ts_table table, const struct ts_level *level, int64_t bucket,
                    const struct ts_row *minus)
{
    struct ts_row row = {.bucket = bucket, .labels = minus->labels, .location = minus->location};
    bool found;
    int rc = ts_row_read(store, table, level->id, &row, &found);
    if (rc || !found)
        return rc;
    for (int i = 0; i < ts_table_width(table); i++) {
        if (at_bound(minus->values[i]))
            row.values[i] = minus->values[i];
        else if (!at_bound(row.values[i]))
            row.values[i] = ts_sat_add(row.values[i], -minus->values[i]);
    }
    return ts_row_update(store, table, level->id, &row);
}

int ts_store_delete_row(struct ts_store *store, enum ts_table table, const struct ts_level *level,
                        const struct ts_row *row)
{
    const struct ts_levels *levels = &store->levels;
    const struct ts_level_key at = {ts_level_position(level, row->bucket), row->labels, row->location};
    assert(!sqlite3_get_autocommit(store->db));
    int rc = ts_row_delete(store, table, level->id, row);
    for (size_t i = 0; !rc && i < levels->n; i++) {
        const struct ts_level *wider = &levels->items[i];
        if (wider->width > level->width && ts_level_takes(levels, wider, &at, table == TS_TABLE_PROFILES))
            rc = subtract(store, table, wider, ts_level_bucket(wider, at.bucket), row);
    }
    return rc;
}
