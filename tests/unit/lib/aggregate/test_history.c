/*
 * Levels against a naive model, over random histories: late data, time that passes, interrupted building, pruning and
 * restarts with another retention.
 *
 * The model is a list of everything committed. The levels have rows in memory, which the smallest possible store below
 * writes, builds and prunes as lib/store does. After each step every complete bucket of every level has the sum of the
 * list, and so has the view.
 */
#include "lib/aggregate/retention.h"

#include "tests/unit/failing_alloc.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define S TS_NS_PER_S
#define SLICE (10 * S)
#define START (-35 * S) /* the origin is no multiple of anything */
#define NOW (INT64_C(1700000000) * S)

enum { HISTORIES = 2000, STEPS = 30, MAX_DELTAS = 200, MAX_ROWS = 4000 };

struct delta {
    int64_t position;
    uint32_t location;
    int64_t calls;
};

struct row {
    int64_t level;
    struct ts_level_key key;
    int64_t calls;
};

struct table {
    struct row rows[MAX_ROWS];
    size_t n;
};

enum { SUMS, PROFILES, TABLES };

struct history {
    unsigned long long random;
    unsigned long long seed;
    struct ts_levels levels;
    struct ts_retention retention[TS_RETENTION_MAX];
    size_t n_retention;
    int64_t horizon;
    struct table tables[TABLES];
    struct delta deltas[MAX_DELTAS];
    size_t n_deltas;
    struct ts_retention always[TS_RETENTION_MAX]; /* configured since the beginning, with their shortest keep */
    size_t n_always;
    char log[8192]; /* what happened, for a failure */
};

static void note(struct history *h, const char *format, ...) TS_PRINTF(2, 3);

static void note(struct history *h, const char *format, ...)
{
    size_t len = strlen(h->log);
    va_list args;
    va_start(args, format);
    vsnprintf(h->log + len, sizeof(h->log) - len, format, args);
    va_end(args);
}

static unsigned below(struct history *h, unsigned n)
{
    return (unsigned)(next_random(&h->random) % n);
}

static void fail_history(struct history *h, const char *what)
{
    note(h, "horizon %lld (position %lld)\n", (long long)(h->horizon / S), (long long)((h->horizon - START) / SLICE));
    for (size_t i = 0; i < h->levels.n; i++) {
        const struct ts_level *l = &h->levels.items[i];
        note(
            h,
            "level %lld kind %d ratio %lld keep %lld since %lld live %lld source %lld built %lld, %lld, view %lld to %lld\n",
            (long long)l->id, l->kind, (long long)l->ratio, (long long)(l->keep / S), (long long)l->since,
            (long long)l->live, (long long)l->source, (long long)l->built.bucket, (long long)l->built_profiles.bucket,
            (long long)l->view_from, (long long)l->view_to);
    }
    fprintf(stderr, "# seed %llu: %s\n%s", h->seed, what, h->log);
    fail();
}

/* ---- The store ---- */

static void add_row(struct table *table, int64_t level, const struct ts_level_key *key, int64_t calls)
{
    for (size_t i = 0; i < table->n; i++) {
        struct row *row = &table->rows[i];
        if (row->level == level && ts_level_key_compare(&row->key, key) == 0) {
            row->calls += calls;
            return;
        }
    }
    assert_true(table->n < MAX_ROWS);
    table->rows[table->n++] = (struct row){level, *key, calls};
}

/* Deletes up to max rows of the level before the bucket. True: there were some. */
static bool delete_rows(struct table *table, int64_t level, int64_t bucket, size_t max)
{
    size_t kept = 0;
    size_t deleted = 0;
    for (size_t i = 0; i < table->n; i++) {
        const struct row *row = &table->rows[i];
        if (row->level == level && row->key.bucket < bucket && deleted < max)
            deleted++;
        else
            table->rows[kept++] = *row;
    }
    table->n = kept;
    return deleted > 0;
}

static bool has_rows_before(const struct history *h, int64_t level, int64_t bucket)
{
    for (int t = 0; t < TABLES; t++) {
        for (size_t i = 0; i < h->tables[t].n; i++) {
            if (h->tables[t].rows[i].level == level && h->tables[t].rows[i].key.bucket < bucket)
                return true;
        }
    }
    return false;
}

/* A level that is too fine for data of this age no longer claims its time (lib/store/deltas.c). */
static void pass_old(struct history *h, int64_t position)
{
    for (size_t i = 0; i < h->levels.n; i++) {
        struct ts_level *level = &h->levels.items[i];
        if (level->kind != TS_LEVEL_CONFIGURED || ts_level_is_longest(&h->levels, level))
            continue;
        int64_t bound = ts_level_bound(&h->levels, level, h->horizon);
        int64_t bucket = ts_level_bucket(level, position);
        if (bucket >= level->since && bucket < bound)
            ts_level_advance(&h->levels, level, bound);
    }
    ts_levels_set_view(&h->levels);
}

static void commit(struct history *h, int64_t position, uint32_t location, int64_t calls)
{
    pass_old(h, position);
    for (size_t i = 0; i < h->levels.n; i++) {
        const struct ts_level *level = &h->levels.items[i];
        for (int t = 0; t < TABLES; t++) {
            struct ts_level_key key = {position, 0, t == SUMS ? location : 0};
            if (ts_level_takes(&h->levels, level, &key, t == PROFILES)) {
                key.bucket = ts_level_bucket(level, position);
                add_row(&h->tables[t], level->id, &key, calls);
            }
        }
    }
    assert_true(h->n_deltas < MAX_DELTAS);
    h->deltas[h->n_deltas++] = (struct delta){position, location, calls};
}

static int64_t build_limit(const struct history *h, const struct ts_level *level, const struct ts_level *source,
                           const struct ts_level_key *built)
{
    int64_t from = built->bucket > source->since ? built->bucket : source->since;
    int64_t complete = ts_level_complete_until(&h->levels, source, from);
    int64_t limit = level->kind == TS_LEVEL_INTERNAL ? ts_floor_div((ts_i128)h->horizon - START, source->width)
                                                     : ts_floor_div((ts_i128)level->live * level->ratio, source->ratio);
    return complete < limit ? complete : limit;
}

/* Adds the source's next row to the level, and moves `built` past it; past the limit if there is none. */
static void build_row(struct history *h, int t, struct ts_level *level, const struct ts_level *source, int64_t limit)
{
    struct ts_level_key *built = t == SUMS ? &level->built : &level->built_profiles;
    const struct row *next = NULL;
    for (size_t i = 0; i < h->tables[t].n; i++) {
        const struct row *row = &h->tables[t].rows[i];
        if (row->level == source->id && ts_level_key_compare(&row->key, built) >= 0 && row->key.bucket < limit &&
            (!next || ts_level_key_compare(&row->key, &next->key) < 0))
            next = row;
    }
    if (!next) {
        *built = (struct ts_level_key){.bucket = limit};
        return;
    }
    struct ts_level_key key = next->key;
    key.bucket = ts_floor_div((ts_i128)next->key.bucket * source->ratio, level->ratio);
    *built = next->key;
    if (t == SUMS)
        built->location++;
    else
        built->labels++;
    if (key.bucket >= level->since)
        add_row(&h->tables[t], level->id, &key, next->calls);
}

/* The level no longer needs its source. A retiring source that no other level needs is dead. */
static void end_building(struct history *h, struct ts_level *level)
{
    int64_t id = level->source;
    bool needed = false;
    level->source = -1;
    for (size_t i = 0; i < h->levels.n; i++)
        needed = needed || (h->levels.items[i].kind != TS_LEVEL_DEAD && h->levels.items[i].source == id);
    struct ts_level *source = ts_levels_find(&h->levels, id);
    if (source && source->kind == TS_LEVEL_RETIRING && !needed) {
        struct ts_level dead = *source;
        dead.kind = TS_LEVEL_DEAD;
        size_t at = (size_t)(source - h->levels.items);
        memmove(source, source + 1, (h->levels.n - at - 1) * sizeof(*source));
        h->levels.items[h->levels.n - 1] = dead;
    }
    ts_levels_set_view(&h->levels);
}

static bool build(struct history *h)
{
    for (size_t i = 0; i < h->levels.n; i++) {
        struct ts_level *level = &h->levels.items[i];
        const struct ts_level *source = ts_levels_find(&h->levels, level->source);
        if (level->kind == TS_LEVEL_DEAD || !source)
            continue;
        int64_t limits[TABLES] = {build_limit(h, level, source, &level->built),
                                  build_limit(h, level, source, &level->built_profiles)};
        if (level->built.bucket < limits[SUMS]) {
            build_row(h, SUMS, level, source, limits[SUMS]);
            return true;
        }
        if (level->built_profiles.bucket < limits[PROFILES]) {
            build_row(h, PROFILES, level, source, limits[PROFILES]);
            return true;
        }
        if (level->kind != TS_LEVEL_INTERNAL && ts_level_built_to(&h->levels, level) >= level->live) {
            end_building(h, level);
            return true;
        }
    }
    return false;
}

static bool prune(struct history *h)
{
    for (size_t i = 0; i < h->levels.n; i++) {
        struct ts_level *level = &h->levels.items[i];
        bool dead = level->kind == TS_LEVEL_DEAD;
        int64_t bound = dead ? INT64_MAX : level->since;
        if (level->kind == TS_LEVEL_CONFIGURED || level->kind == TS_LEVEL_INTERNAL) {
            int64_t young = ts_level_bound(&h->levels, level, h->horizon);
            bound = young > bound ? young : bound;
        }
        if (has_rows_before(h, level->id, bound)) {
            if (!dead)
                ts_level_advance(&h->levels, level, bound);
            ts_levels_set_view(&h->levels);
            if (!delete_rows(&h->tables[SUMS], level->id, bound, 1))
                delete_rows(&h->tables[PROFILES], level->id, bound, 1);
            return true;
        }
        if (dead) {
            memmove(level, level + 1, (h->levels.n - i - 1) * sizeof(*level));
            h->levels.n--;
            return true;
        }
    }
    return false;
}

/* ---- Callbacks of ts_levels_adapt() ---- */

static int64_t last_bucket(void *data, const struct ts_level *level)
{
    const struct history *h = data;
    int64_t last = INT64_MIN;
    for (int t = 0; t < TABLES; t++) {
        for (size_t i = 0; i < h->tables[t].n; i++) {
            const struct row *row = &h->tables[t].rows[i];
            if (row->level == level->id && row->key.bucket > last)
                last = row->key.bucket;
        }
    }
    return last;
}

static void on_log(void *data, const char *message)
{
    note(data, "    %s\n", message);
}

static void purge(void *data, const struct ts_level *level)
{
    struct history *h = data;
    for (int t = 0; t < TABLES; t++)
        delete_rows(&h->tables[t], level->id, level->since, MAX_ROWS);
}

static void copy(void *data, const struct ts_level *level, const struct ts_level *source, int64_t from, int64_t to)
{
    struct history *h = data;
    for (int t = 0; t < TABLES; t++) {
        size_t n = h->tables[t].n;
        for (size_t i = 0; i < n; i++) {
            const struct row row = h->tables[t].rows[i];
            struct ts_level_key key = row.key;
            key.bucket = ts_floor_div((ts_i128)row.key.bucket * source->ratio, level->ratio);
            if (row.level == source->id && row.key.bucket >= from && row.key.bucket < to)
                add_row(&h->tables[t], level->id, &key, row.calls);
        }
    }
}

/* ---- What happens ---- */

static void choose_retention(struct history *h)
{
    static const int64_t factors[] = {2, 3, 6};
    int64_t width = SLICE;
    int64_t keep = 0;
    h->n_retention = 1 + below(h, 4);
    note(h, "retention");
    for (size_t i = 0; i < h->n_retention; i++) {
        width = i ? width * factors[below(h, 3)] : SLICE;
        int64_t least = width * (1 + below(h, 12));
        keep = least > keep ? least : keep;
        h->retention[i] = (struct ts_retention){width, keep};
        note(h, " %llds:%llds", (long long)(width / S), (long long)(keep / S));
    }
    note(h, "\n");
}

/* The position before which nothing is kept. */
static int64_t begin_of_data(const struct history *h)
{
    int64_t begin = INT64_MAX;
    for (size_t i = 0; i < h->levels.n; i++) {
        const struct ts_level *level = &h->levels.items[i];
        if (ts_level_is_visible(level) && ts_level_complete(&h->levels, level, level->since) &&
            ts_level_position(level, level->since) < begin)
            begin = ts_level_position(level, level->since);
    }
    return begin;
}

/* Removes what no level keeps any more from the list. Nothing may be missing that was always young enough. */
static void forget(struct history *h)
{
    int64_t begin = begin_of_data(h);
    int64_t longest = h->retention[h->n_retention - 1].keep;
    bool promised = false;
    for (size_t i = 0; i < h->n_always; i++)
        promised = promised || h->always[i].keep >= longest;
    size_t kept = 0;
    for (size_t i = 0; i < h->n_deltas; i++) {
        const struct delta *delta = &h->deltas[i];
        if (delta->position >= begin)
            h->deltas[kept++] = *delta;
        else if (promised && h->horizon - (delta->position + 1) * SLICE - START < longest)
            fail_history(h, "lost data that is young enough");
    }
    h->n_deltas = kept;
}

/* A level that is dead after the restart may have been the only one that had some data. */
static void forget_retired(struct history *h, const struct ts_levels *before)
{
    size_t kept = 0;
    for (size_t i = 0; i < h->n_deltas; i++) {
        bool stays = false;
        for (size_t j = 0; j < before->n; j++) {
            const struct ts_level *level = &before->items[j];
            const struct ts_level *now = ts_levels_find(&h->levels, level->id);
            stays = stays || (ts_level_is_visible(level) && now && ts_level_is_visible(now) &&
                              ts_level_complete(before, level, ts_level_bucket(level, h->deltas[i].position)));
        }
        if (stays)
            h->deltas[kept++] = h->deltas[i];
    }
    h->n_deltas = kept;
}

static void restart(struct history *h)
{
    const struct ts_levels_callbacks callbacks = {last_bucket, on_log, purge, copy, h};
    struct ts_levels before = h->levels;
    bool changed;
    choose_retention(h);
    if (ts_levels_adapt(&h->levels, h->retention, h->n_retention, h->horizon, &callbacks, &changed))
        fail_history(h, "too many levels");
    size_t kept = 0;
    for (size_t i = 0; i < h->n_always; i++) {
        for (size_t j = 0; j < h->n_retention; j++) {
            if (h->always[i].width == h->retention[j].width) {
                int64_t keep = h->always[i].keep < h->retention[j].keep ? h->always[i].keep : h->retention[j].keep;
                h->always[kept++] = (struct ts_retention){h->always[i].width, keep};
            }
        }
    }
    h->n_always = kept;
    forget_retired(h, &before);
    forget(h);
}

static void receive(struct history *h)
{
    for (unsigned n = 1 + below(h, 4); n > 0 && h->n_deltas < MAX_DELTAS; n--) {
        int64_t age = below(h, 2) ? (int64_t)below(h, 9) - 3 : below(h, 200);
        int64_t moment = h->horizon - age * SLICE;
        if (age * SLICE > h->retention[h->n_retention - 1].keep)
            continue; /* too_old */
        int64_t position = ts_floor_div((ts_i128)moment - START, SLICE);
        note(h, "delta at %lld\n", (long long)position);
        commit(h, position, below(h, 3), 1 + below(h, 1000));
    }
    forget(h);
}

static void maintain(struct history *h, unsigned steps)
{
    note(h, "%u steps of maintenance\n", steps);
    while (steps-- > 0 && (build(h) || prune(h)))
        ;
    forget(h);
}

/* ---- Checks ---- */

static int64_t list_sum(const struct history *h, const struct ts_level *level, int64_t bucket, int location)
{
    int64_t sum = 0;
    for (size_t i = 0; i < h->n_deltas; i++) {
        const struct delta *delta = &h->deltas[i];
        if (ts_floor_div(delta->position, level->ratio) == bucket &&
            (location < 0 || delta->location == (uint32_t)location))
            sum += delta->calls;
    }
    return sum;
}

static int64_t stored_sum(const struct history *h, int t, const struct ts_level *level, int64_t bucket,
                          uint32_t location)
{
    int64_t sum = 0;
    for (size_t i = 0; i < h->tables[t].n; i++) {
        const struct row *row = &h->tables[t].rows[i];
        if (row->level == level->id && row->key.bucket == bucket && row->key.location == location)
            sum += row->calls;
    }
    return sum;
}

static void check_bucket(struct history *h, const struct ts_level *level, int64_t bucket)
{
    if (!ts_level_complete(&h->levels, level, bucket))
        return;
    for (uint32_t location = 0; location < 3; location++) {
        if (stored_sum(h, SUMS, level, bucket, location) != list_sum(h, level, bucket, (int)location)) {
            note(h, "level %lld, bucket %lld\n", (long long)level->id, (long long)bucket);
            fail_history(h, "a complete bucket differs from the list");
        }
    }
    if (stored_sum(h, PROFILES, level, bucket, 0) != list_sum(h, level, bucket, -1))
        fail_history(h, "a complete bucket of profiles differs from the list");
}

static void check_view(struct history *h)
{
    int64_t shown[TABLES] = {0};
    int64_t listed = 0;
    for (int t = 0; t < TABLES; t++) {
        for (size_t i = 0; i < h->tables[t].n; i++) {
            const struct row *row = &h->tables[t].rows[i];
            const struct ts_level *level = ts_levels_find(&h->levels, row->level);
            if (level && row->key.bucket >= level->view_from && row->key.bucket < level->view_to)
                shown[t] += row->calls;
        }
    }
    for (size_t i = 0; i < h->n_deltas; i++)
        listed += h->deltas[i].calls;
    if (shown[SUMS] != listed || shown[PROFILES] != listed)
        fail_history(h, "the view differs from the list");
}

static void check(struct history *h)
{
    if (!ts_levels_consistent(&h->levels))
        fail_history(h, "inconsistent levels");
    for (size_t i = 0; i < h->levels.n; i++) {
        const struct ts_level *level = &h->levels.items[i];
        if (level->kind == TS_LEVEL_DEAD)
            continue;
        for (size_t j = 0; j < h->n_deltas; j++)
            check_bucket(h, level, ts_level_bucket(level, h->deltas[j].position));
        for (size_t j = 0; j < h->tables[SUMS].n; j++) {
            if (h->tables[SUMS].rows[j].level == level->id)
                check_bucket(h, level, h->tables[SUMS].rows[j].key.bucket);
        }
        for (size_t j = 0; j < h->n_always; j++) {
            const struct ts_retention *always = &h->always[j];
            int64_t young = ts_floor_div((ts_i128)h->horizon - always->keep - START, always->width) + 1;
            if (level->kind == TS_LEVEL_CONFIGURED && level->width == always->width && level->since > young)
                fail_history(h, "a level that was always configured begins later than it keeps data");
        }
    }
    check_view(h);
}

static void every_complete_bucket_is_the_sum_of_the_list(void **state)
{
    (void)state;
    static const int64_t pauses[] = {1, 9, 10, 35, 120, 600, 5000};
    static const struct ts_grid grid = {.start_time = START, .time_slice = SLICE};
    struct history *h = malloc(sizeof(*h));
    assert_non_null(h);
    for (unsigned long long seed = 1; seed <= HISTORIES; seed++) {
        memset(h, 0, sizeof(*h));
        h->seed = h->random = seed;
        h->horizon = NOW;
        choose_retention(h);
        memcpy(h->always, h->retention, sizeof(h->retention));
        h->n_always = h->n_retention;
        assert_int_equal(ts_levels_make(&h->levels, &grid, h->retention, h->n_retention, h->horizon), 0);
        for (int step = 0; step < STEPS; step++) {
            unsigned what = below(h, 10);
            if (what < 4) {
                receive(h);
            } else if (what < 6) {
                int64_t pause = pauses[below(h, 7)];
                note(h, "%lld s pass\n", (long long)pause);
                h->horizon += pause * S;
            } else if (what < 8) {
                maintain(h, 1 + below(h, 6));
            } else if (what < 9) {
                maintain(h, 100000);
            } else {
                restart(h);
            }
            check(h);
        }
    }
    free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_complete_bucket_is_the_sum_of_the_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
