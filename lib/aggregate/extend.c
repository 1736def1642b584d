#include "lib/aggregate/extend.h"

#include <assert.h>

/* A run of buckets that a level has completely. */
struct run {
    const struct ts_level *level;
    int64_t from; /* positions */
    int64_t to;
};

/* Can rows of this level be added to those of the longest one? */
static bool fits(const struct ts_level *level, const struct ts_level *longest)
{
    return ts_level_is_visible(level) && level->ratio < longest->ratio && longest->ratio % level->ratio == 0;
}

/* The first position after `at` at which a level that fits begins; `to` if there is none before that. */
static int64_t next_begin(const struct ts_levels *levels, const struct ts_level *longest, int64_t at, int64_t to)
{
    for (size_t i = 0; i < levels->n; i++) {
        int64_t begin = ts_level_position(&levels->items[i], levels->items[i].since);
        if (fits(&levels->items[i], longest) && begin > at && begin < to)
            to = begin;
    }
    return to;
}

/* The run of complete buckets, of any level that fits, that contains `at` and begins at or before it. */
static bool find_run(const struct ts_levels *levels, const struct ts_level *longest, int64_t at, int64_t to,
                     struct run *ret_run)
{
    bool found = false;
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *level = &levels->items[i];
        int64_t bucket = ts_level_bucket(level, at);
        bool begins = at == INT64_MIN ? level->since == INT64_MIN : ts_level_position(level, bucket) == at;
        if (!fits(level, longest) || !begins || !ts_level_complete(levels, level, bucket))
            continue;
        int64_t until = ts_level_position(level, ts_level_complete_until(levels, level, bucket));
        until = until < to ? until : to;
        if (!found || until >= ret_run->to)
            *ret_run = (struct run){level, at, until};
        found = true;
    }
    return found;
}

/* Runs without a gap between them, as far back as possible from `to`. Returns their number. */
static size_t find_runs(const struct ts_levels *levels, const struct ts_level *longest, int64_t to,
                        struct run ret_runs[TS_LEVELS_MAX])
{
    size_t n = 0;
    int64_t at = INT64_MIN;
    while (at < to) {
        if (n < TS_LEVELS_MAX && find_run(levels, longest, at, to, &ret_runs[n])) {
            at = ret_runs[n++].to;
        } else {
            n = 0;
            at = next_begin(levels, longest, at, to);
        }
    }
    return n;
}

/* Rows before `since` were copied: they must not be built once more. */
static void build_from_since(struct ts_levels *levels, struct ts_level *level)
{
    const struct ts_level *source = level->source < 0 ? NULL : ts_levels_find(levels, level->source);
    if (!source)
        return;
    struct ts_level_key since = {.bucket = ts_level_first_bucket(level, level->since, source)};
    if (ts_level_key_compare(&level->built, &since) < 0)
        level->built = since;
    if (ts_level_key_compare(&level->built_profiles, &since) < 0)
        level->built_profiles = since;
}

void ts_levels_extend_longest(struct ts_levels *levels, int64_t horizon, const struct ts_levels_callbacks *callbacks)
{
    struct ts_level *longest = ts_levels_longest(levels);
    assert(longest);
    if (longest->since == INT64_MIN || ts_level_first_kept(levels, longest, horizon) >= longest->since)
        return;
    int64_t begin = ts_level_position(longest, longest->since);
    struct run runs[TS_LEVELS_MAX];
    size_t n = find_runs(levels, longest, begin, runs);
    callbacks->purge(callbacks->data, longest);
    for (size_t i = 0; i < n; i++) {
        const struct ts_level *level = runs[i].level;
        int64_t from = runs[i].from == INT64_MIN ? INT64_MIN : ts_level_bucket(level, runs[i].from);
        callbacks->copy(callbacks->data, longest, level, from, ts_level_bucket(level, runs[i].to));
    }
    build_from_since(levels, longest);
    begin = n ? runs[0].from : begin;
    for (size_t i = 0; i < levels->n; i++) {
        struct ts_level *other = &levels->items[i];
        int64_t since = ts_level_bucket_from(&levels->items[0], begin, other);
        if (other != longest && other->since < since)
            other->since = since;
    }
    longest->since = INT64_MIN;
}
