/*
 * See lib/aggregate/retention.h. Adapting has five steps, each over all levels:
 *
 *     1. keep       levels that are still configured; the others retire
 *     2. add        new levels, to be built from an existing one
 *     3. retire     delete retiring levels that nothing is built from
 *     4. extend     the longest level, if it must now reach further back than it is complete (extend.c)
 *     5. internal   rebuild the planner's levels if the longest level changed
 *
 * A pointer to a level is valid until the next add() or sort().
 */
#include "lib/aggregate/retention.h"

#include "lib/base/units.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Widths of the internal levels, rounded up to multiples of the next narrower level. With them a range of a year is
   some dozens of buckets; without the four days there would be up to sixty days at its two ends. */
static const int64_t internal_widths[] = {
    INT64_C(3600) * TS_NS_PER_S,
    INT64_C(86400) * TS_NS_PER_S,
    INT64_C(4) * 86400 * TS_NS_PER_S,
    INT64_C(32) * 86400 * TS_NS_PER_S,
};
enum { N_INTERNAL = sizeof(internal_widths) / sizeof(internal_widths[0]), DURATION_LEN = 32 };

static void sort(struct ts_levels *levels)
{
    for (size_t i = 1; i < levels->n; i++) {
        for (size_t j = i; j > 0; j--) {
            struct ts_level *a = &levels->items[j - 1];
            struct ts_level *b = &levels->items[j];
            bool dead_a = a->kind == TS_LEVEL_DEAD;
            bool dead_b = b->kind == TS_LEVEL_DEAD;
            if (dead_a < dead_b || (dead_a == dead_b && a->width <= b->width))
                break;
            struct ts_level swap = *a;
            *a = *b;
            *b = swap;
        }
    }
}

static int64_t free_id(const struct ts_levels *levels)
{
    int64_t id = 0;
    for (size_t i = 0; i < levels->n; i++)
        id = levels->items[i].id >= id ? levels->items[i].id + 1 : id;
    return id;
}

static struct ts_level *find_alive(struct ts_levels *levels, int64_t width)
{
    for (size_t i = 0; i < levels->n; i++) {
        if (levels->items[i].width == width && levels->items[i].kind != TS_LEVEL_DEAD)
            return &levels->items[i];
    }
    return NULL;
}

/* NULL: there are TS_LEVELS_MAX already. */
static struct ts_level *add(struct ts_levels *levels, enum ts_level_kind kind, int64_t width, int64_t keep)
{
    assert(width % levels->grid.time_slice == 0);
    if (levels->n == TS_LEVELS_MAX)
        return NULL;
    struct ts_level *level = &levels->items[levels->n];
    *level = (struct ts_level){
        .id = free_id(levels),
        .kind = kind,
        .width = width,
        .keep = keep,
        .ratio = width / levels->grid.time_slice,
        .since = INT64_MIN,
        .live = INT64_MIN,
        .source = -1,
    };
    levels->n++;
    return level;
}

static void log_change(const struct ts_levels_callbacks *callbacks, const char *format, ...) TS_PRINTF(2, 3);

static void log_change(const struct ts_levels_callbacks *callbacks, const char *format, ...)
{
    char message[256] = "retention: ";
    size_t len = strlen(message);
    va_list args;
    va_start(args, format);
    vsnprintf(message + len, sizeof(message) - len, format, args);
    va_end(args);
    callbacks->on_log(callbacks->data, message);
}

static void log_kept(const struct ts_levels_callbacks *callbacks, const struct ts_level *level)
{
    char width[DURATION_LEN];
    char keep[DURATION_LEN];
    log_change(callbacks, "buckets of %s are now kept for %s", ts_format_duration(level->width, width),
               ts_format_duration(level->keep, keep));
}

/* ---- 1. Keep ---- */

static const struct ts_retention *find_wanted(const struct ts_retention *retention, size_t n, int64_t width)
{
    for (size_t i = 0; i < n; i++) {
        if (retention[i].width == width)
            return &retention[i];
    }
    return NULL;
}

static void keep_levels(struct ts_levels *levels, const struct ts_retention *retention, size_t n,
                        const struct ts_levels_callbacks *callbacks)
{
    for (size_t i = 0; i < levels->n; i++) {
        struct ts_level *level = &levels->items[i];
        const struct ts_retention *wanted = find_wanted(retention, n, level->width);
        if (level->kind == TS_LEVEL_DEAD)
            continue;
        if (!wanted) {
            if (level->kind == TS_LEVEL_CONFIGURED)
                level->kind = TS_LEVEL_RETIRING;
            continue;
        }
        if (level->kind == TS_LEVEL_INTERNAL) { /* a configured level gets deltas directly: build it again */
            level->kind = TS_LEVEL_DEAD;
            continue;
        }
        level->kind = TS_LEVEL_CONFIGURED;
        if (level->keep != wanted->keep) {
            level->keep = wanted->keep;
            log_kept(callbacks, level);
        }
    }
}

/* ---- 2. Add ---- */

/* The level from which to build one of this width: of those that reach back furthest, the one with the fewest rows. */
static struct ts_level *choose_source(struct ts_levels *levels, int64_t width)
{
    struct ts_level *best = NULL;
    ts_i128 best_since = 0;
    for (size_t i = 0; i < levels->n; i++) {
        struct ts_level *level = &levels->items[i];
        if (!ts_level_is_visible(level) || level->source >= 0 || level->width >= width || width % level->width)
            continue;
        ts_i128 since = level->since == INT64_MIN ? -((ts_i128)1 << 100) : (ts_i128)level->since * level->width;
        if (!best || since <= best_since) {
            best = level;
            best_since = since;
        }
    }
    return best;
}

/*
 * Adds a level of the configuration that the database does not have yet. Its first complete bucket is the first one
 * that the source has completely. Data received from now on is added directly, even if the source has data of the
 * future.
 */
static int add_configured(struct ts_levels *levels, const struct ts_retention *wanted, int64_t horizon,
                          const struct ts_levels_callbacks *callbacks)
{
    const struct ts_level *source = choose_source(levels, wanted->width);
    struct ts_level *level = source ? add(levels, TS_LEVEL_CONFIGURED, wanted->width, wanted->keep) : NULL;
    if (!level)
        return TS_EINVAL;
    level->since = ts_level_bucket_from(source, source->since, level);
    int64_t last = callbacks->last_bucket(callbacks->data, source);
    if (last == INT64_MIN) { /* nothing to build from */
        log_kept(callbacks, level);
        return 0;
    }
    level->source = source->id;
    level->built = level->built_profiles =
        (struct ts_level_key){.bucket = ts_level_first_bucket(level, level->since, source)};
    struct ts_grid grid = {.start_time = levels->grid.start_time, .time_slice = level->width};
    level->live = ts_grid_bucket(&grid, horizon) + 1;
    int64_t after_last = ts_floor_div((ts_i128)last * source->ratio, level->ratio) + 1;
    level->live = after_last > level->live ? after_last : level->live;
    char width[DURATION_LEN];
    char keep[DURATION_LEN];
    char from[DURATION_LEN];
    log_change(callbacks, "building buckets of %s, kept for %s, from those of %s in the background",
               ts_format_duration(level->width, width), ts_format_duration(level->keep, keep),
               ts_format_duration(source->width, from));
    return 0;
}

/* ---- 3. Retire ---- */

/*
 * A retiring level is dead once nothing is built from it. From the widest down, since a source is always narrower.
 * Internal levels do not count: those of another longest level are rebuilt.
 */
static void delete_retired(struct ts_levels *levels, const struct ts_levels_callbacks *callbacks)
{
    for (size_t i = levels->n; i-- > 0;) {
        struct ts_level *level = &levels->items[i];
        char width[DURATION_LEN];
        bool source = false;
        if (level->kind != TS_LEVEL_RETIRING)
            continue;
        for (size_t j = 0; j < levels->n; j++)
            source = source || (ts_level_is_visible(&levels->items[j]) && levels->items[j].source == level->id);
        ts_format_duration(level->width, width);
        if (source) {
            log_change(callbacks, "buckets of %s will be deleted once other levels are built from them", width);
        } else {
            level->kind = TS_LEVEL_DEAD;
            log_change(callbacks, "deleting buckets of %s", width);
        }
    }
}

/* ---- 5. Internal levels ---- */

/* The widths for this longest level: at least two buckets of each must fit into the time it is kept. */
static size_t wanted_internal(const struct ts_level *longest, int64_t ret_widths[N_INTERNAL])
{
    size_t n = 0;
    int64_t below = longest->width;
    for (size_t i = 0; i < N_INTERNAL; i++) {
        int64_t width = internal_widths[i] <= below ? 0 : (internal_widths[i] + below - 1) / below * below;
        if (!width || width > longest->keep / 2)
            continue;
        ret_widths[n++] = width;
        below = width;
    }
    return n;
}

static bool contains(const int64_t *widths, size_t n, int64_t width)
{
    for (size_t i = 0; i < n; i++) {
        if (widths[i] == width)
            return true;
    }
    return false;
}

/* callbacks is NULL for a new database. */
static int adapt_internal(struct ts_levels *levels, int64_t horizon, const struct ts_levels_callbacks *callbacks)
{
    const struct ts_level *found = ts_levels_longest(levels);
    assert(found);
    const struct ts_level longest = *found; /* add() below must not change what is read from it */
    int64_t wanted[N_INTERNAL];
    size_t n_wanted = wanted_internal(&longest, wanted);
    for (size_t i = 0; i < levels->n; i++) {
        struct ts_level *level = &levels->items[i];
        if (level->kind == TS_LEVEL_INTERNAL && !contains(wanted, n_wanted, level->width))
            level->kind = TS_LEVEL_DEAD;
    }
    /* An empty database is built up to now, so that late data is added directly. */
    bool empty = longest.source < 0 && (!callbacks || callbacks->last_bucket(callbacks->data, &longest) == INT64_MIN);
    int64_t source_id = longest.id;
    bool rebuilt = false; /* a level is rebuilt together with its source */
    for (size_t i = 0; i < n_wanted; i++) {
        struct ts_level *level = find_alive(levels, wanted[i]);
        if (level && level->kind == TS_LEVEL_INTERNAL && (rebuilt || level->source != source_id)) {
            level->kind = TS_LEVEL_DEAD;
            level = NULL;
        }
        rebuilt = !level;
        if (!level) {
            level = add(levels, TS_LEVEL_INTERNAL, wanted[i], longest.keep);
            if (!level)
                return TS_EINVAL;
            const struct ts_level *source = ts_levels_find(levels, source_id);
            level->source = source_id;
            level->live = INT64_MAX;
            level->built.bucket =
                empty ? ts_floor_div((ts_i128)horizon - levels->grid.start_time, source->width) : source->since;
            level->built_profiles = level->built;
            level->since = ts_level_bucket_from(&longest, longest.since, level);
        }
        level->keep = longest.keep;
        source_id = level->id;
    }
    return 0;
}

/* ---- The complete adaptation ---- */

int ts_levels_make(struct ts_levels *levels, const struct ts_grid *grid, const struct ts_retention *retention, size_t n,
                   int64_t horizon)
{
    assert(n > 0 && retention[0].width == grid->time_slice);
    *levels = (struct ts_levels){.grid = *grid};
    for (size_t i = 0; i < n; i++) {
        if (!add(levels, TS_LEVEL_CONFIGURED, retention[i].width, retention[i].keep))
            return TS_EINVAL;
    }
    int rc = adapt_internal(levels, horizon, NULL);
    sort(levels);
    ts_levels_set_view(levels);
    assert(rc || ts_levels_consistent(levels));
    return rc;
}

int ts_levels_adapt(struct ts_levels *levels, const struct ts_retention *retention, size_t n, int64_t horizon,
                    const struct ts_levels_callbacks *callbacks, bool *ret_changed)
{
    assert(n > 0 && retention[0].width == levels->grid.time_slice);
    struct ts_levels before = *levels;
    int rc = 0;
    keep_levels(levels, retention, n, callbacks);
    for (size_t i = 0; i < n && !rc; i++) {
        if (!find_alive(levels, retention[i].width))
            rc = add_configured(levels, &retention[i], horizon, callbacks);
    }
    if (!rc) {
        sort(levels);
        delete_retired(levels, callbacks);
        ts_levels_extend_longest(levels, horizon, callbacks);
        rc = adapt_internal(levels, horizon, callbacks);
    }
    if (rc)
        return rc;
    sort(levels);
    ts_levels_set_view(levels);
    assert(ts_levels_consistent(levels));
    *ret_changed = memcmp(&before, levels, sizeof(before)) != 0;
    return 0;
}
