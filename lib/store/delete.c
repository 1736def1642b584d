#include "lib/store/delete.h"

#include "lib/base/text.h"
#include "lib/base/units.h"
#include "lib/query/internal.h"
#include "lib/store/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { N_SUMS = 4, N_PROFILES = 5 };

struct ts_deletion {
    const struct ts_query *query;
    struct ts_query_names names;
    uint8_t *functions;  /* [group]: something of it goes */
    uint8_t *label_sets; /* [place in names.label_sets] */
    int64_t at;          /* position of the next unit */
    int64_t to;
    bool inside;             /* the unit at `at` is counted; what finer levels have of it goes first, */
    int64_t inner_at;        /* from this position on */
    struct ts_sum_row *rows; /* of one bucket */
    size_t n_rows;
    size_t cap_rows;
    struct ts_profile_row *profiles;
    size_t n_profiles;
    size_t cap_profiles;
    struct ts_deletion_counts deleted;
};

/* ---- What is to go ---- */

static int refuse_end(const struct ts_query *query, const struct ts_level *level, int64_t position, const char *name,
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
    ts_query_fail(error, 400, "not_kept", name,
                  "it lies within a bucket of %s, the finest that is kept there; give %.*s or %.*s",
                  ts_format_duration(level->width, width), (int)begin.len, begin.data ? begin.data : "", (int)end.len,
                  end.data ? end.data : "");
    ts_buf_deinit(&begin);
    ts_buf_deinit(&end);
    return TS_EINVAL;
}

/* An end has to be one of a bucket: half a bucket cannot be told from the other half. What counts is the bucket that
   goes: the first one of the range, and the last one, which need not be as narrow as the one after it. */
static int take_end(const struct ts_query *query, const struct ts_levels *levels, ts_i128 ns, bool last,
                    int64_t *ret_position, struct ts_query_error *error)
{
    int64_t position = ts_query_position(&query->grid, ns);
    bool cut = ts_grid_begin(&query->grid, position) != ns;
    int64_t within = last && !cut ? position - 1 : position;
    const struct ts_level *level = ts_plan_finest(levels, within);
    *ret_position = position;
    if (level && (cut || position % level->ratio))
        return refuse_end(query, level, within, last ? "to" : "from", error);
    return 0;
}

/* While a level leaves that does not divide those that came, what one has of a bucket of the other is not known. */
static int judge_levels(const struct ts_levels *levels, struct ts_query_error *error)
{
    for (size_t i = 0; i < levels->n; i++) {
        for (size_t j = 0; j < i; j++) {
            if (levels->items[i].kind != TS_LEVEL_DEAD && levels->items[i].ratio % levels->items[j].ratio)
                return ts_query_fail(error, 503, "store_unavailable", "",
                                     "levels of retention are being rebuilt; try again later");
        }
    }
    return 0;
}

static int take_range(struct ts_deletion *deletion, struct ts_reader *reader, struct ts_query_error *error)
{
    const struct ts_query *query = deletion->query;
    const struct ts_levels *levels = ts_reader_levels(reader);
    int64_t begin;
    int64_t end;
    ts_plan_axis(levels, &begin, &end);
    deletion->at = begin;
    deletion->to = end;
    int r = judge_levels(levels, error);
    if (!r && query->span.has_from)
        r = take_end(query, levels, query->span.from, false, &deletion->at, error);
    if (!r && query->span.has_to)
        r = take_end(query, levels, query->span.to, true, &deletion->to, error);
    if (deletion->at < begin)
        deletion->at = begin;
    return r;
}

int ts_deletion_new(const struct ts_query *query, struct ts_reader *reader, struct ts_deletion **ret_deletion,
                    struct ts_query_error *ret_error)
{
    struct ts_deletion *deletion = calloc(1, sizeof(*deletion));
    if (!deletion)
        return ts_query_explain(ret_error, TS_ENOMEM);
    deletion->query = query;
    ts_query_names_init(&deletion->names);
    int r = ts_reader_begin(reader);
    if (!r)
        r = ts_query_names_read(query, reader, &deletion->names, ret_error);
    if (!r)
        r = take_range(deletion, reader, ret_error);
    ts_reader_end(reader);
    if (!r) {
        deletion->functions = calloc(deletion->names.groups.n + 1, 1);
        deletion->label_sets = calloc(deletion->names.label_sets.n + 1, 1);
        r = deletion->functions && deletion->label_sets ? 0 : TS_ENOMEM;
    }
    if (r) {
        ts_deletion_free(deletion);
        return ts_query_explain(ret_error, r);
    }
    *ret_deletion = deletion;
    return 0;
}

struct ts_deletion *ts_deletion_free(struct ts_deletion *deletion)
{
    if (!deletion)
        return NULL;
    ts_query_names_deinit(&deletion->names);
    free(deletion->functions);
    free(deletion->label_sets);
    free(deletion->rows);
    free(deletion->profiles);
    free(deletion);
    return NULL;
}

/* ---- One bucket ---- */

/* Names that came since the question are not meant. */
static bool wanted_set(const struct ts_deletion *deletion, uint32_t labels)
{
    uint32_t group;
    return ts_query_map_get(&deletion->names.label_sets, labels, &group) && group != TS_NO_GROUP;
}

static bool wanted_location(const struct ts_deletion *deletion, uint32_t location, uint32_t *ret_group)
{
    return ts_query_map_get(&deletion->names.locations, location, ret_group) && *ret_group != TS_NO_GROUP;
}

static int grow(void **array, size_t *cap, size_t n, size_t size)
{
    if (n < *cap)
        return SQLITE_OK;
    size_t to = *cap ? *cap * 2 : 256;
    void *grown = realloc(*array, to * size);
    if (!grown)
        return SQLITE_NOMEM;
    *array = grown;
    *cap = to;
    return SQLITE_OK;
}

/* Begins TS_SUMS_FROM or TS_PROFILES_FROM for one bucket. */
static sqlite3_stmt *rows_of(struct ts_store *store, bool profiles, int64_t level, int64_t bucket)
{
    sqlite3_stmt *stmt = store->stmts[profiles ? TS_PROFILES_FROM : TS_SUMS_FROM];
    int i = 1;
    sqlite3_bind_int64(stmt, i++, level);
    sqlite3_bind_int64(stmt, i++, bucket);
    sqlite3_bind_int64(stmt, i++, 0);
    if (!profiles)
        sqlite3_bind_int64(stmt, i++, 0);
    sqlite3_bind_int64(stmt, i++, bucket + 1);
    sqlite3_bind_int64(stmt, i, INT64_MAX);
    return stmt;
}

static int read_sums(struct ts_deletion *deletion, struct ts_store *store, const struct ts_level *level, int64_t bucket,
                     uint32_t *ret_read)
{
    sqlite3_stmt *stmt = rows_of(store, false, level->id, bucket);
    int rc;
    deletion->n_rows = 0;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        uint32_t group;
        struct ts_sum_row row = {.bucket = bucket,
                                 .labels = (uint32_t)sqlite3_column_int64(stmt, 1),
                                 .location = (uint32_t)sqlite3_column_int64(stmt, 2),
                                 .sums = {sqlite3_column_int64(stmt, 3), sqlite3_column_int64(stmt, 4),
                                          sqlite3_column_int64(stmt, 5), sqlite3_column_int64(stmt, 6)}};
        ++*ret_read;
        if (!wanted_set(deletion, row.labels) || !wanted_location(deletion, row.location, &group))
            continue;
        void *array = deletion->rows;
        rc = grow(&array, &deletion->cap_rows, deletion->n_rows, sizeof(*deletion->rows));
        deletion->rows = array;
        if (rc)
            break;
        deletion->rows[deletion->n_rows++] = row;
    }
    sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int read_profiles(struct ts_deletion *deletion, struct ts_store *store, const struct ts_level *level,
                         int64_t bucket)
{
    int rc = SQLITE_DONE;
    deletion->n_profiles = 0;
    if (deletion->query->n_globs) /* the profiles stay, some of their functions go */
        return SQLITE_OK;
    sqlite3_stmt *stmt = rows_of(store, true, level->id, bucket);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct ts_profile_row row = {.bucket = bucket,
                                     .labels = (uint32_t)sqlite3_column_int64(stmt, 1),
                                     .sums = {sqlite3_column_int64(stmt, 2), sqlite3_column_int64(stmt, 3),
                                              sqlite3_column_int64(stmt, 4), sqlite3_column_int64(stmt, 5),
                                              sqlite3_column_int64(stmt, 6)}};
        if (!wanted_set(deletion, row.labels))
            continue;
        void *array = deletion->profiles;
        rc = grow(&array, &deletion->cap_profiles, deletion->n_profiles, sizeof(*deletion->profiles));
        deletion->profiles = array;
        if (rc)
            break;
        deletion->profiles[deletion->n_profiles++] = row;
    }
    sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static void count(struct ts_deletion *deletion)
{
    struct ts_deletion_counts *deleted = &deletion->deleted;
    for (size_t i = 0; i < deletion->n_rows; i++) {
        const struct ts_sum_row *row = &deletion->rows[i];
        uint32_t group = 0;
        (void)wanted_location(deletion, row->location, &group);
        deleted->functions += !deletion->functions[group];
        deletion->functions[group] = 1;
        deleted->sums[TS_CUMTIME] += row->sums.cumtime;
        deleted->sums[TS_TOTTIME] += row->sums.tottime;
        deleted->sums[TS_NCALLS] += row->sums.ncalls;
        deleted->sums[TS_PCALLS] += row->sums.pcalls;
    }
    const struct ts_query_map *sets = &deletion->names.label_sets;
    for (size_t set = 0; set < sets->n; set++) {
        bool goes = deletion->label_sets[set];
        for (size_t i = 0; i < deletion->n_rows && !goes; i++)
            goes = deletion->rows[i].labels == sets->ids[set];
        for (size_t i = 0; i < deletion->n_profiles && !goes; i++)
            goes = deletion->profiles[i].labels == sets->ids[set];
        deleted->label_sets += goes && !deletion->label_sets[set];
        deletion->label_sets[set] = goes;
    }
    for (size_t i = 0; i < deletion->n_profiles; i++)
        deleted->profiles += deletion->profiles[i].sums.profiles;
    deleted->rows += deletion->n_rows;
    deleted->buckets += deletion->n_rows || deletion->n_profiles;
}

/* ---- Taking off wider levels ---- */

struct target {
    struct ts_store *store;
    const struct ts_level *level; /* the wider one */
    int64_t bucket;               /* of it */
    uint32_t labels;
    uint32_t location;
    bool profiles;
};

/* The target's row of a level in one bucket. By its whole key: the rows of a bucket are many. */
static int read_row(const struct target *t, const struct ts_level *level, int64_t bucket, int64_t *ret_values,
                    bool *ret_found)
{
    sqlite3_stmt *stmt = t->store->stmts[t->profiles ? TS_PROFILE_AT : TS_SUM_AT];
    sqlite3_bind_int64(stmt, 1, level->id);
    sqlite3_bind_int64(stmt, 2, bucket);
    sqlite3_bind_int64(stmt, 3, t->labels);
    if (!t->profiles)
        sqlite3_bind_int64(stmt, 4, t->location);
    int rc = sqlite3_step(stmt);
    *ret_found = rc == SQLITE_ROW;
    for (int i = 0; *ret_found && i < (t->profiles ? N_PROFILES : N_SUMS); i++)
        ret_values[i] = sqlite3_column_int64(stmt, i);
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* What a bucket of the target's is in a narrower level: half-open. */
static void within(const struct target *t, const struct ts_level *narrower, int64_t *ret_from, int64_t *ret_to)
{
    int64_t n = t->level->ratio / narrower->ratio;
    *ret_from = t->bucket * n;
    *ret_to = *ret_from + n;
}

/* Have narrower levels, which have had it taken off already, a row left of the bucket? The widest of them that has the
   whole bucket knows; where there is none, each is asked. */
static int is_left(const struct target *t, bool *ret_left)
{
    const struct ts_levels *levels = &t->store->levels;
    int64_t values[N_PROFILES];
    bool asked_all = false;
    int rc = SQLITE_OK;
    *ret_left = false;
    for (ptrdiff_t i = t->level - levels->items; !rc && !*ret_left && !asked_all && i-- > 0;) {
        const struct ts_level *level = &levels->items[i];
        int64_t from, to;
        within(t, level, &from, &to);
        asked_all = ts_level_complete_until(levels, level, from) >= to;
        from = from > level->since ? from : level->since;
        for (int64_t bucket = from; !rc && !*ret_left && bucket < to; bucket++)
            rc = read_row(t, level, bucket, values, ret_left);
    }
    return rc;
}

/*
 * The level to add a bucket up anew from: one that has all of it; where it is still built, what it is built from, up to
 * the key that it is built to. NULL: none has it all any more.
 */
static const struct ts_level *whole_source(const struct target *t, int64_t *ret_from, int64_t *ret_to)
{
    struct ts_levels *levels = &t->store->levels;
    const struct ts_level *source = t->bucket < t->level->live ? ts_levels_find(levels, t->level->source) : NULL;
    if (source) {
        const struct ts_level_key *built = t->profiles ? &t->level->built_profiles : &t->level->built;
        within(t, source, ret_from, ret_to);
        if (built->bucket < *ret_to)
            *ret_to = built->bucket + (built->labels || built->location);
        return ts_level_complete_until(levels, source, *ret_from) >= *ret_to ? source : NULL;
    }
    for (size_t i = 0; &levels->items[i] < t->level; i++) {
        within(t, &levels->items[i], ret_from, ret_to);
        if (ts_level_complete_until(levels, &levels->items[i], *ret_from) >= *ret_to)
            return &levels->items[i];
    }
    return NULL;
}

/* The bucket as sums are added up, of what the source has put into it. */
static int add_up(const struct target *t, const struct ts_level *source, int64_t from, int64_t to, int64_t *ret_values,
                  int n)
{
    int64_t values[N_PROFILES];
    bool found = false;
    int rc = SQLITE_OK;
    memset(ret_values, 0, (size_t)n * sizeof(*ret_values));
    for (int64_t bucket = from; !rc && bucket < to; bucket++) {
        struct ts_level_key key = {ts_level_position(source, bucket), t->labels, t->location};
        rc = read_row(t, source, bucket, values, &found);
        found = found && ts_level_takes(&t->store->levels, t->level, &key, t->profiles);
        for (int i = 0; i < n && found; i++)
            ret_values[i] = ts_sat_add(ret_values[i], values[i]);
    }
    return rc;
}

static bool at_bound(int64_t value)
{
    return value == INT64_MAX || value == INT64_MIN;
}

/* values NULL: the row goes. */
static int write_row(const struct target *t, const int64_t *values, int n)
{
    static const int which[2][2] = {{TS_DROP_SUM, TS_SET_SUM}, {TS_DROP_PROFILE, TS_SET_PROFILE}};
    sqlite3_stmt *stmt = t->store->stmts[which[t->profiles][values != NULL]];
    int at = 1;
    sqlite3_bind_int64(stmt, at++, t->level->id);
    sqlite3_bind_int64(stmt, at++, t->bucket);
    sqlite3_bind_int64(stmt, at++, t->labels);
    if (!t->profiles)
        sqlite3_bind_int64(stmt, at++, t->location);
    for (int i = 0; values && i < n; i++)
        sqlite3_bind_int64(stmt, at++, values[i]);
    return ts_store_run(stmt);
}

static int take_off(const struct target *t, const int64_t *minus)
{
    int n = t->profiles ? N_PROFILES : N_SUMS;
    int64_t values[N_PROFILES] = {0};
    bool found;
    bool bound = false;
    bool nothing = true;
    int rc = read_row(t, t->level, t->bucket, values, &found);
    if (rc || !found)
        return rc;
    for (int i = 0; i < n; i++) {
        if (at_bound(values[i]) || at_bound(minus[i]))
            bound = true; /* what lies beyond the bound is not known: it stays there */
        else
            values[i] = (int64_t)((uint64_t)values[i] - (uint64_t)minus[i]);
    }
    int64_t from, to;
    const struct ts_level *source = bound ? whole_source(t, &from, &to) : NULL;
    if (source && (rc = add_up(t, source, from, to, values, n)))
        return rc;
    for (int i = 0; i < n; i++)
        nothing = nothing && values[i] == 0;
    /* Rows of zeros are rows too, and sums may cancel out: who has a name has it in every level. */
    bool left = false;
    rc = nothing ? is_left(t, &left) : SQLITE_OK;
    return rc ? rc : write_row(t, nothing && !left ? NULL : values, n);
}

/* One row of the finest level there, and what it has put into the wider ones, narrower ones first. */
static int delete_row(struct ts_store *store, const struct ts_level *finest, const struct ts_level_key *key,
                      bool profiles, const int64_t *values)
{
    struct target t = {store, finest, key->bucket, key->labels, key->location, profiles};
    int rc = write_row(&t, NULL, 0);
    struct ts_level_key at = *key;
    at.bucket = ts_level_position(finest, key->bucket);
    for (size_t i = 0; !rc && i < store->levels.n; i++) {
        t.level = &store->levels.items[i];
        t.bucket = ts_level_bucket(t.level, at.bucket);
        if (t.level->width > finest->width && ts_level_takes(&store->levels, t.level, &at, profiles))
            rc = take_off(&t, values);
    }
    return rc;
}

static int delete_bucket(struct ts_deletion *deletion, struct ts_store *store, const struct ts_level *level)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; !rc && i < deletion->n_rows; i++) {
        const struct ts_sum_row *row = &deletion->rows[i];
        struct ts_level_key key = {row->bucket, row->labels, row->location};
        const int64_t values[N_PROFILES] = {row->sums.cumtime, row->sums.tottime, row->sums.ncalls, row->sums.pcalls,
                                            0};
        rc = delete_row(store, level, &key, false, values);
    }
    for (size_t i = 0; !rc && i < deletion->n_profiles; i++) {
        const struct ts_profile_row *row = &deletion->profiles[i];
        struct ts_level_key key = {row->bucket, row->labels, 0};
        const int64_t values[N_PROFILES] = {row->sums.profiles, row->sums.exact_profiles, row->sums.total_tt,
                                            row->sums.parts_expected, row->sums.parts_received};
        rc = delete_row(store, level, &key, true, values);
    }
    return rc;
}

/* ---- Steps ---- */

/* The next bucket with data within [at, to), of the finest level that is whole there. *ret_level NULL: there is none.
 */
static int next_bucket(struct ts_store *store, int64_t at, int64_t to, const struct ts_level **ret_level,
                       int64_t *ret_bucket)
{
    const struct ts_levels *levels = &store->levels;
    int64_t best = to;
    *ret_level = NULL;
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *level = &levels->items[i];
        if (level->kind != TS_LEVEL_CONFIGURED && level->kind != TS_LEVEL_RETIRING)
            continue;
        int64_t bucket = ts_level_bucket(level, at);
        for (int which = TS_NEXT_SUM; which <= TS_NEXT_PROFILE; which++) {
            sqlite3_stmt *stmt = store->stmts[which];
            sqlite3_bind_int64(stmt, 1, level->id);
            sqlite3_bind_int64(stmt, 2, bucket > level->since ? bucket : level->since);
            int rc = sqlite3_step(stmt);
            int64_t found = sqlite3_column_int64(stmt, 0);
            bool none = rc != SQLITE_ROW || sqlite3_column_type(stmt, 0) == SQLITE_NULL;
            sqlite3_reset(stmt);
            if (rc != SQLITE_ROW)
                return rc;
            int64_t position = none ? to : ts_level_position(level, found);
            position = position < at ? at : position; /* a wider bucket around it: the finer ones in it decide */
            if (!none && position < best)
                best = position;
        }
    }
    if (best >= to)
        return SQLITE_OK;
    *ret_level = ts_plan_finest(levels, best);
    *ret_bucket = *ret_level ? ts_level_bucket(*ret_level, best) : 0;
    return SQLITE_OK;
}

/* Reads what matches in a bucket, and deletes it. */
static int run_unit(struct ts_deletion *deletion, struct ts_store *store, const struct ts_level *level, int64_t bucket,
                    bool counted, bool goes, uint32_t *ret_read)
{
    int rc = read_sums(deletion, store, level, bucket, ret_read);
    if (!rc)
        rc = read_profiles(deletion, store, level, bucket);
    if (!rc && goes)
        rc = delete_bucket(deletion, store, level);
    if (!rc && counted)
        count(deletion);
    *ret_read += 16; /* that was not for nothing */
    return rc;
}

/* From where on a narrower level has a part of the bucket; its end where none has. */
static int64_t finer_part(const struct ts_levels *levels, const struct ts_level *level, int64_t bucket)
{
    int64_t end = ts_level_position(level, bucket + 1);
    int64_t from = end;
    for (size_t i = 0; &levels->items[i] < level; i++) {
        int64_t since = ts_level_position(&levels->items[i], levels->items[i].since);
        from = since < from ? since : from;
    }
    int64_t begin = ts_level_position(level, bucket);
    return from < begin ? begin : from;
}

/*
 * A wide bucket, the finest that is kept at its begin, of which a narrower level has the later part: that part goes
 * first, by the narrower buckets, and then what is left in the wide one.
 */
static int run_inside(struct ts_deletion *deletion, struct ts_store *store, uint32_t rows, uint32_t *ret_read)
{
    const struct ts_level *wide = ts_plan_finest(&store->levels, deletion->at);
    if (!wide) /* pruned meanwhile, all of it */
        return SQLITE_OK;
    int64_t bucket = ts_level_bucket(wide, deletion->at);
    int64_t end = ts_level_position(wide, bucket + 1);
    int rc = SQLITE_OK;
    while (!rc && *ret_read < rows && deletion->inner_at < end) {
        const struct ts_level *level = NULL;
        int64_t inner = 0;
        rc = next_bucket(store, deletion->inner_at, end, &level, &inner);
        if (!rc && level && level->ratio < wide->ratio)
            rc = run_unit(deletion, store, level, inner, false, true, ret_read);
        deletion->inner_at = level ? ts_level_position(level, inner + 1) : end;
    }
    if (rc || deletion->inner_at < end)
        return rc;
    deletion->inside = false;
    deletion->at = end;
    return run_unit(deletion, store, wide, bucket, false, true, ret_read);
}

static int run_step(struct ts_deletion *deletion, struct ts_store *store, uint32_t rows, bool *ret_more)
{
    bool dry = deletion->query->dry_run;
    uint32_t read = 0;
    int rc = dry ? SQLITE_OK : ts_store_run(store->stmts[TS_BEGIN]);
    *ret_more = true;
    while (!rc && read < rows) {
        const struct ts_level *level = NULL;
        int64_t bucket = 0;
        if (deletion->inside) {
            rc = run_inside(deletion, store, rows, &read);
            continue;
        }
        rc = next_bucket(store, deletion->at, deletion->to, &level, &bucket);
        if (rc || !level) {
            *ret_more = false;
            break;
        }
        int64_t begin = ts_level_position(level, bucket);
        int64_t end = ts_level_position(level, bucket + 1);
        int64_t inner = finer_part(&store->levels, level, bucket);
        deletion->inside = !dry && inner < end;
        rc = run_unit(deletion, store, level, bucket, true, !dry && !deletion->inside, &read);
        deletion->inner_at = inner;
        deletion->at = deletion->inside ? begin : end;
    }
    if (!rc && !dry)
        rc = ts_store_run(store->stmts[TS_COMMIT]);
    return rc;
}

int ts_deletion_step(struct ts_deletion *deletion, struct ts_store *store, uint32_t rows, bool *ret_more,
                     struct ts_store_error *ret_error)
{
    const struct ts_deletion before = *deletion;
    errno = 0;
    ts_store_roll_back(store);
    int rc = store->dead ? SQLITE_IOERR_FSYNC : run_step(deletion, store, rows, ret_more);
    if (!rc)
        return deletion->query->dry_run ? 0 : ts_store_checkpoint(store, 1000, ret_error);
    deletion->deleted = before.deleted;
    deletion->at = before.at;
    deletion->inside = before.inside;
    deletion->inner_at = before.inner_at;
    ts_sql_message(ret_error, store->db, rc, "cannot delete");
    ts_store_roll_back(store);
    int r = ts_sql_code(rc);
    store->dead = store->dead || r == TS_ESYNC;
    return r;
}

const struct ts_deletion_counts *ts_deletion_result(const struct ts_deletion *deletion)
{
    return &deletion->deleted;
}

void ts_deletion_write(const struct ts_deletion *deletion, struct ts_buf *out)
{
    const struct ts_query *query = deletion->query;
    const struct ts_deletion_counts *deleted = &deletion->deleted;
    ts_buf_printf(out, "{\"dry_run\": %s, \"from\": ", query->dry_run ? "true" : "false");
    if (query->span.has_from)
        ts_put_seconds(out, query->span.from);
    else
        ts_buf_puts(out, "null");
    ts_buf_puts(out, ", \"to\": ");
    if (query->span.has_to)
        ts_put_seconds(out, query->span.to);
    else
        ts_buf_puts(out, "null");
    ts_buf_printf(out, ", \"functions\": %llu, \"label_sets\": %llu, \"buckets\": %llu, \"rows\": %llu, \"profiles\": ",
                  (unsigned long long)deleted->functions, (unsigned long long)deleted->label_sets,
                  (unsigned long long)deleted->buckets, (unsigned long long)deleted->rows);
    ts_query_put_number(out, deleted->profiles);
    for (int i = 0; i < TS_METRICS; i++) {
        ts_buf_printf(out, ", \"%s\": ", ts_metric_name((enum ts_metric)i));
        ts_query_put_value(out, deleted->sums[i], (enum ts_metric)i);
    }
    ts_buf_puts(out, "}\n");
}
