/*
 * A naive model of the store: all deltas in a list, here a table in memory, and sums over it by plain SQL. Numbers of
 * locations and label sets are those of the store; values do not saturate.
 */
#ifndef STORE_MODEL_H
#define STORE_MODEL_H

#include "lib/store/maintain.h"
#include "tests/unit/lib/store/store_fixture.h"

enum { MODEL_LOCATIONS = 4, MODEL_LABEL_SETS = 3 };

struct model {
    struct fixture *f;
    sqlite3 *db;
    struct ts_store *store;
    int64_t horizon;
    bool named; /* the names are committed */
    uint64_t random;
};

static inline uint64_t model_random(struct model *m, uint64_t below)
{
    m->random = m->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (m->random >> 33) % below;
}

/* retention: pairs of a width and a time to keep, s; 0 ends them. */
static inline void model_open(struct model *m, const int *retention)
{
    static struct ts_retention levels[TS_RETENTION_MAX];
    size_t n = 0;
    for (; retention[2 * n]; n++)
        levels[n] = (struct ts_retention){retention[2 * n] * S, retention[2 * n + 1] * S};
    m->f->config.retention = levels;
    m->f->config.n_retention = n;
    m->f->config.sync_each_commit = false;
    m->f->config.now = m->horizon;
    m->store = open_ok(m->f);
}

static inline void model_execute(struct model *m, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *sql = sqlite3_vmprintf(format, args);
    va_end(args);
    execute(m->db, sql);
    sqlite3_free(sql);
}

static inline int64_t model_count(struct model *m, const char *format, ...)
{
    sqlite3_stmt *stmt;
    va_list args;
    va_start(args, format);
    char *sql = sqlite3_vmprintf(format, args);
    va_end(args);
    if (sqlite3_prepare_v2(m->db, sql, -1, &stmt, NULL))
        fail_msg("%s: %s", sql, sqlite3_errmsg(m->db));
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_free(sql);
    return n;
}

static inline void model_start(struct model *m, struct fixture *f, const int *retention, int64_t horizon, uint64_t seed)
{
    *m = (struct model){.f = f, .horizon = horizon, .random = seed};
    assert_int_equal(sqlite3_open(":memory:", &m->db), SQLITE_OK);
    execute(m->db, "CREATE TABLE deltas(position, labels, location, cumtime, tottime, ncalls, pcalls);"
                   "CREATE TABLE heads(position, labels, profiles, exact_profiles, total_tt, parts_expected,"
                   " parts_received)");
    model_open(m, retention);
    model_execute(m, "ATTACH '%q' AS s", f->path);
}

static inline void model_end(struct model *m)
{
    sqlite3_close(m->db);
    m->store = ts_store_close(m->store);
    expect_intact(m->f);
}

/* To be committed; at a position of level 0. */
static inline void model_add(struct model *m, int64_t position, uint32_t labels, uint32_t location, int64_t value)
{
    add(m->f, position, labels, location, value, value / 2, 2, 1);
    add_profile(m->f, position, labels, (struct ts_profile_sums){1, 0, value, 3, 2});
    model_execute(m, "INSERT INTO deltas VALUES(%lld, %u, %u, %lld, %lld, 2, 1)", position, labels, location, value,
                  value / 2);
    model_execute(m, "INSERT INTO heads VALUES(%lld, %u, 1, 0, %lld, 3, 2)", position, labels, value);
}

static inline void model_commit(struct model *m)
{
    const struct ts_location locations[MODEL_LOCATIONS] = {name("a", NULL, -1), name("_a", NULL, -1),
                                                           name("b", "b.py", 1), name("c", "c.py", 2)};
    const struct ts_location label_sets[MODEL_LABEL_SETS] = {name("{}", NULL, -1), name("{\"a\": \"1\"}", NULL, -1),
                                                             name("{\"b\": \"2\"}", NULL, -1)};
    struct ts_store_batch batch = {.counters = &m->f->counters, .horizon = m->horizon};
    uint64_t saturated;
    if (!m->named) {
        batch.locations = locations;
        batch.n_locations = MODEL_LOCATIONS;
        batch.first_location = 1;
        batch.label_sets = label_sets;
        batch.n_label_sets = MODEL_LABEL_SETS;
        batch.first_label_set = 1;
        m->named = true;
    }
    if (ts_store_commit(m->store, &batch, &saturated, &m->f->error))
        fail_msg("%s", m->f->error.message);
    ts_counters_clear(&m->f->counters);
}

static inline struct ts_maintain_result model_maintain(struct model *m, uint32_t rows)
{
    struct ts_maintain_options options = {.horizon = m->horizon, .rows = rows};
    struct ts_maintain_result result = {0};
    if (ts_store_maintain(m->store, &options, &result, &m->f->error))
        fail_msg("%s", m->f->error.message);
    return result;
}

/* The deltas before the first position that any level still has are no longer expected. */
static inline void model_forget_pruned(struct model *m)
{
    const struct ts_levels *levels = ts_store_levels(m->store);
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *level = &levels->items[i];
        if (level->kind != TS_LEVEL_CONFIGURED)
            continue;
        int64_t since = ts_level_position(level, level->since);
        first = since < first ? since : first;
    }
    model_execute(m, "DELETE FROM deltas WHERE position < %lld; DELETE FROM heads WHERE position < %lld", first, first);
}

#define FLOOR_DIV "(position - (position < 0) * (%lld - 1)) / %lld"
#define COMPLETE " AND bucket >= %lld AND (bucket < %lld OR bucket >= %lld)"

/* Rows of one table that only the model or only the store has, of the complete buckets of a level. */
static inline int64_t model_differences(struct model *m, const struct ts_level *level, const char *list,
                                        const char *table, const char *key, const char *sums, const char *columns)
{
    long long ratio = level->ratio, since = level->since, live = level->live;
    long long built_to = ts_level_built_to(ts_store_levels(m->store), level);
    char *expected = sqlite3_mprintf("SELECT " FLOOR_DIV " AS bucket, %s, %s FROM %s GROUP BY 1, %s HAVING 1" COMPLETE,
                                     ratio, ratio, key, sums, list, key, since, built_to, live);
    char *stored = sqlite3_mprintf("SELECT bucket, %s, %s FROM s.%s WHERE level = %lld" COMPLETE, key, columns, table,
                                   level->id, since, built_to, live);
    int64_t n = model_count(m,
                            "SELECT (SELECT count(*) FROM (%s EXCEPT %s)) + (SELECT count(*) FROM (%s EXCEPT %s))"
                            " + abs((SELECT count(*) FROM (%s)) - (SELECT count(*) FROM (%s)))",
                            expected, stored, stored, expected, expected, stored);
    sqlite3_free(expected);
    sqlite3_free(stored);
    return n;
}

/* Every complete bucket of every level has exactly the sums of the list. */
static inline void model_expect_equal(struct model *m)
{
    const struct ts_levels *levels = ts_store_levels(m->store);
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *level = &levels->items[i];
        if (level->kind == TS_LEVEL_DEAD)
            continue;
        int64_t sums = model_differences(m, level, "deltas", "sums", "labels, location",
                                         "sum(cumtime), sum(tottime), sum(ncalls), sum(pcalls)",
                                         "cumtime, tottime, ncalls, pcalls");
        int64_t profiles = model_differences(
            m, level, "heads", "profiles", "labels",
            "sum(profiles), sum(exact_profiles), sum(total_tt), sum(parts_expected), sum(parts_received)",
            "profiles, exact_profiles, total_tt, parts_expected, parts_received");
        if (sums || profiles)
            fail_msg("level %lld of %lld s: %lld rows of sums and %lld of profiles differ", (long long)level->id,
                     (long long)(level->width / S), (long long)sums, (long long)profiles);
    }
}

#endif
