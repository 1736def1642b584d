/*
 * Stored names. At its start the daemon loads only the locations that level 0 may still have, so that its bounded
 * table is not filled with names that are no longer in use; it looks up others with ts_store_find_location().
 *
 * Which ones these are follows from the fewest rows: of the time before level 0 begins to be kept, complete buckets of
 * wider levels are read.
 */
#include "lib/store/names.h"

#include "lib/aggregate/plan.h"

/* ---- Loading ---- */

struct loading {
    struct ts_counters last; /* by location: the last position it was found at, as cumtime; ncalls: 1 */
    ts_recent_location_cb cb;
    void *data;
    uint32_t largest;
    uint64_t not_loaded;
    bool all; /* the sums cannot be read: load all locations, and let those who read the sums report it */
};

static int note_last(struct loading *loading, sqlite3_stmt *stmt, const struct ts_level *level)
{
    int64_t last = ts_level_position(level, sqlite3_column_int64(stmt, 0) + 1) - 1;
    if (ts_counters_reserve(&loading->last, 1))
        return TS_ENOMEM;
    struct ts_sums sums = {0};
    uint32_t location = (uint32_t)sqlite3_column_int64(stmt, 1);
    ts_counters_add(&loading->last, 0, 0, location, &sums);
    struct ts_sums *noted = ts_counters_find(&loading->last, 0, 0, location);
    if (noted->ncalls == 0 || last > noted->cumtime)
        noted->cumtime = last;
    noted->ncalls = 1;
    return 0;
}

/* A plan that covers what level 0 may still have; it begins with a bucket of the widest level. */
static int plan_recent(const struct ts_store *store, struct ts_plan *plan)
{
    const struct ts_levels *levels = &store->levels;
    int64_t begin;
    int64_t end;
    int64_t gap;
    int64_t widest = 1;
    int64_t from = ts_level_first_kept(levels, &levels->items[0], store->horizon);
    ts_plan_axis(levels, &begin, &end);
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *level = &levels->items[i];
        widest = level->kind != TS_LEVEL_DEAD && level->ratio > widest ? level->ratio : widest;
    }
    if (from <= begin || levels->items[0].since == INT64_MIN)
        from = begin;
    else
        from = ts_floor_div(from < end ? from : end, widest) * widest;
    return ts_plan_make(levels, from > begin ? from : begin, end, (struct ts_plan_rule){0}, plan, &gap);
}

static int find_recent(struct ts_store *store, struct loading *loading)
{
    struct ts_plan plan;
    sqlite3_stmt *stmt = NULL;
    int rc = SQLITE_OK;
    ts_plan_init(&plan);
    int r = plan_recent(store, &plan);
    if (r >= 0)
        rc = sqlite3_prepare_v2(store->db,
                                "SELECT bucket, location FROM sums WHERE level = ?1 AND bucket >= ?2 AND bucket < ?3",
                                -1, &stmt, NULL);
    for (size_t i = 0; !rc && r >= 0 && i < plan.n; i++) {
        sqlite3_bind_int64(stmt, 1, plan.items[i].level->id);
        sqlite3_bind_int64(stmt, 2, plan.items[i].from);
        sqlite3_bind_int64(stmt, 3, plan.items[i].to);
        while (r >= 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
            r = note_last(loading, stmt, plan.items[i].level);
        rc = rc == SQLITE_DONE || r < 0 ? SQLITE_OK : rc;
        sqlite3_reset(stmt);
    }
    sqlite3_finalize(stmt);
    ts_plan_deinit(&plan);
    return r < 0 ? r : ts_sql_code(rc);
}

static int on_location(void *data, uint32_t id, const struct ts_location *location)
{
    struct loading *loading = data;
    const struct ts_sums *last = ts_counters_find(&loading->last, 0, 0, id);
    loading->largest = id;
    if (loading->all)
        return loading->cb(loading->data, id, location, INT64_MAX);
    if (last)
        return loading->cb(loading->data, id, location, last->cumtime);
    loading->not_loaded++;
    return 0;
}

struct labels_loading {
    ts_labels_cb cb;
    void *data;
    uint32_t largest;
};

static int on_label_set(void *data, uint32_t id, const char *canonical_json, size_t len)
{
    struct labels_loading *loading = data;
    loading->largest = id;
    return loading->cb(loading->data, id, canonical_json, len);
}

int ts_store_load_names(struct ts_store *store, ts_recent_location_cb on_recent, ts_labels_cb on_labels, void *data,
                        struct ts_store_names *ret_names)
{
    struct loading loading = {.cb = on_recent, .data = data};
    struct labels_loading labels = {.cb = on_labels, .data = data};
    ts_counters_init(&loading.last);
    int r = find_recent(store, &loading);
    loading.all = r && r != TS_ENOMEM;
    if (r != TS_ENOMEM)
        r = ts_sql_walk_locations(store->stmts[TS_GET_LOCATIONS], NULL, on_location, &loading);
    if (!r)
        r = ts_sql_walk_label_sets(store->stmts[TS_GET_LABEL_SETS], NULL, on_label_set, &labels);
    ts_counters_deinit(&loading.last);
    if (!r) {
        *ret_names = (struct ts_store_names){.largest_location = loading.largest, .not_loaded = loading.not_loaded};
        store->last_location = loading.largest > store->last_location ? loading.largest : store->last_location;
        store->last_label_set = labels.largest > store->last_label_set ? labels.largest : store->last_label_set;
    }
    /* Damage does not go away at the next try. */
    return r == TS_ESTORE && ts_sql_damaged(sqlite3_extended_errcode(store->db)) ? TS_EREFUSED : r;
}

/* ---- Single names ---- */

/* Binds raw name, file and line as the parameters first, first + 1 and first + 2. */
static int bind_location(sqlite3_stmt *stmt, int first, const struct ts_location *location)
{
    int rc = ts_sql_bind_text(stmt, first, &location->raw_name);
    if (!rc)
        rc = ts_sql_bind_text(stmt, first + 1, &location->file_name);
    if (!rc)
        rc = location->line_number < 0 ? sqlite3_bind_null(stmt, first + 2)
                                       : sqlite3_bind_int(stmt, first + 2, location->line_number);
    return rc;
}

int ts_store_find_location(struct ts_store *store, const struct ts_location *key, uint32_t *ret_id)
{
    sqlite3_stmt *stmt = store->stmts[TS_FIND_LOCATION];
    int rc = bind_location(stmt, 1, key);
    if (!rc) {
        rc = sqlite3_step(stmt);
        *ret_id = rc == SQLITE_ROW ? (uint32_t)sqlite3_column_int64(stmt, 0) : 0;
        sqlite3_reset(stmt);
    }
    sqlite3_clear_bindings(stmt); /* the texts are the caller's */
    return ts_sql_code(rc);
}

int ts_store_put_names(struct ts_store *store, const struct ts_store_batch *batch)
{
    int rc = SQLITE_OK;
    sqlite3_stmt *stmt = store->stmts[TS_PUT_LABEL_SET];
    for (uint32_t i = 0; !rc && i < batch->n_label_sets; i++) {
        sqlite3_bind_int64(stmt, 1, (int64_t)batch->first_label_set + i);
        rc = ts_sql_bind_text(stmt, 2, &batch->label_sets[i].raw_name);
        if (!rc)
            rc = ts_sql_run(stmt);
    }
    sqlite3_clear_bindings(stmt);
    stmt = store->stmts[TS_PUT_LOCATION];
    for (uint32_t i = 0; !rc && i < batch->n_locations; i++) {
        sqlite3_bind_int64(stmt, 1, (int64_t)batch->first_location + i);
        rc = bind_location(stmt, 2, &batch->locations[i]);
        if (!rc)
            rc = ts_sql_run(stmt);
    }
    sqlite3_clear_bindings(stmt); /* the texts are the caller's */
    return rc;
}

/* ---- Deleting ---- */

static int delete_ids(sqlite3_stmt *stmt, const uint32_t *ids, size_t n)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; !rc && i < n; i++) {
        sqlite3_bind_int64(stmt, 1, ids[i]);
        rc = ts_sql_run(stmt);
    }
    return rc;
}

int ts_store_delete_names(struct ts_store *store, const uint32_t *locations, size_t n_locations,
                          const uint32_t *label_sets, size_t n_label_sets, struct ts_store_error *ret_error)
{
    enum { CHECKPOINT_PAGES = 500 };
    int r = ts_store_ready(store, ret_error);
    if (r)
        return r;
    int rc = ts_store_begin(store);
    if (!rc)
        rc = delete_ids(store->stmts[TS_DELETE_LOCATION], locations, n_locations);
    if (!rc)
        rc = delete_ids(store->stmts[TS_DELETE_LABEL_SET], label_sets, n_label_sets);
    if (!rc)
        rc = ts_store_end(store);
    if (rc)
        return ts_store_fail(store, rc, "cannot delete unreferenced names", ret_error);
    return ts_store_checkpoint(store, CHECKPOINT_PAGES, ret_error);
}
