#include "lib/aggregate/levels.h"

#include "lib/base/units.h"

#include <stdio.h>
#include <string.h>

/* Widths of the planner's own levels, made multiples of the longest level's. A range of a year is then some dozens of
   buckets; without the four days it would be up to sixty days at its two ends. */
static const int64_t own_widths[] = {
    INT64_C(3600) * TS_NS_PER_S,
    INT64_C(86400) * TS_NS_PER_S,
    INT64_C(4) * 86400 * TS_NS_PER_S,
    INT64_C(32) * 86400 * TS_NS_PER_S,
};
enum { N_OWN = sizeof(own_widths) / sizeof(own_widths[0]) };

static int64_t clamp(ts_i128 value)
{
    return value > INT64_MAX ? INT64_MAX : value < INT64_MIN ? INT64_MIN : (int64_t)value;
}

/* The first bucket of `to` that begins at or after this one of `from`; the ends of 64 bits stay what they are. */
static int64_t ceil_bucket(const struct ts_level *from, int64_t bucket, const struct ts_level *to)
{
    if (bucket == INT64_MIN || bucket == INT64_MAX)
        return bucket;
    ts_i128 position = (ts_i128)bucket * from->ratio;
    int64_t floor = ts_floor_div(position, to->ratio);
    return (ts_i128)floor * to->ratio < position ? floor + 1 : floor;
}

int ts_level_key_compare(const struct ts_level_key *a, const struct ts_level_key *b)
{
    if (a->bucket != b->bucket)
        return a->bucket < b->bucket ? -1 : 1;
    if (a->labels != b->labels)
        return a->labels < b->labels ? -1 : 1;
    return a->location < b->location ? -1 : a->location > b->location;
}

struct ts_level *ts_levels_find(struct ts_levels *levels, int64_t id)
{
    for (size_t i = 0; i < levels->n; i++) {
        if (levels->items[i].id == id)
            return &levels->items[i];
    }
    return NULL;
}

static const struct ts_level *source_of(const struct ts_levels *levels, const struct ts_level *level)
{
    for (size_t i = 0; i < levels->n && level->source >= 0; i++) {
        if (levels->items[i].id == level->source)
            return &levels->items[i];
    }
    return NULL;
}

int64_t ts_level_bucket(const struct ts_level *level, int64_t position)
{
    return ts_floor_div(position, level->ratio);
}

int64_t ts_level_position(const struct ts_level *level, int64_t bucket)
{
    return clamp((ts_i128)bucket * level->ratio);
}

/* ---- Which buckets are whole ---- */

bool ts_level_takes(const struct ts_levels *levels, const struct ts_level *level, const struct ts_level_key *key,
                    bool profile)
{
    int64_t bucket = ts_level_bucket(level, key->bucket);
    if (level->kind == TS_LEVEL_DEAD || bucket < level->since)
        return false;
    const struct ts_level *source = source_of(levels, level);
    if (!source || bucket >= level->live)
        return true;
    struct ts_level_key there = *key;
    there.bucket = ts_level_bucket(source, key->bucket);
    return ts_level_key_compare(&there, profile ? &level->built_profiles : &level->built) < 0;
}

int64_t ts_level_built_to(const struct ts_levels *levels, const struct ts_level *level)
{
    const struct ts_level *source = source_of(levels, level);
    if (!source)
        return INT64_MAX;
    int64_t built = level->built.bucket;
    if (level->built_profiles.bucket < built)
        built = level->built_profiles.bucket;
    return built == INT64_MIN ? built : ts_floor_div((ts_i128)built * source->ratio, level->ratio);
}

int64_t ts_level_complete_until(const struct ts_levels *levels, const struct ts_level *level, int64_t bucket)
{
    int64_t built = ts_level_built_to(levels, level);
    if (level->kind == TS_LEVEL_DEAD || bucket < level->since)
        return bucket;
    if (built >= level->live || bucket >= level->live)
        return INT64_MAX;
    return bucket < built ? built : bucket;
}

bool ts_level_complete(const struct ts_levels *levels, const struct ts_level *level, int64_t bucket)
{
    return ts_level_complete_until(levels, level, bucket) > bucket;
}

int64_t ts_level_next_complete(const struct ts_levels *levels, const struct ts_level *level, int64_t bucket)
{
    if (level->kind == TS_LEVEL_DEAD)
        return INT64_MAX;
    if (bucket < level->since)
        bucket = level->since;
    return ts_level_complete(levels, level, bucket) ? bucket : level->live;
}

/* ---- Age ---- */

int64_t ts_level_first_kept(const struct ts_levels *levels, const struct ts_level *level, int64_t horizon)
{
    struct ts_grid grid = {.start_time = levels->grid.start_time, .time_slice = level->width};
    return ts_grid_bucket(&grid, (ts_i128)horizon - level->keep);
}

bool ts_level_is_longest(const struct ts_levels *levels, const struct ts_level *level)
{
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *other = &levels->items[i];
        bool longer = other->keep > level->keep || (other->keep == level->keep && other->width > level->width);
        if (other->kind == TS_LEVEL_KEPT && longer)
            return false;
    }
    return level->kind == TS_LEVEL_KEPT;
}

int64_t ts_level_bound(const struct ts_levels *levels, const struct ts_level *level, int64_t horizon)
{
    int64_t bound = ts_level_first_kept(levels, level, horizon);
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *other = &levels->items[i];
        if (other->kind == TS_LEVEL_DEAD || other->source != level->id)
            continue;
        /* Whole buckets, so that there is no time that neither of the two has. */
        ts_i128 built = (ts_i128)ts_level_built_to(levels, other) * other->ratio / level->ratio;
        if (built < bound)
            bound = clamp(built);
    }
    return bound;
}

void ts_level_advance(struct ts_levels *levels, struct ts_level *level, int64_t since)
{
    if (since <= level->since)
        return;
    level->since = since;
    if (!ts_level_is_longest(levels, level))
        return;
    for (size_t i = 0; i < levels->n; i++) {
        struct ts_level *own = &levels->items[i];
        int64_t from = ceil_bucket(level, since, own);
        if (own->kind == TS_LEVEL_INTERNAL && own->since < from)
            own->since = from;
    }
}

/* ---- The view ---- */

/*
 * From the coarsest to the finest: each is joined to the coarser one at the first bucket of that one which the finer
 * one has whole. A coarser one that is left with nothing is taken out again. Levels that are still built are not in it:
 * what they will show is in their source.
 */
void ts_levels_set_view(struct ts_levels *levels)
{
    struct ts_level *stack[TS_LEVELS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < levels->n; i++)
        levels->items[i].view_from = levels->items[i].view_to = 0;
    for (size_t i = levels->n; i-- > 0;) {
        struct ts_level *level = &levels->items[i];
        bool used = level->kind == TS_LEVEL_KEPT || level->kind == TS_LEVEL_RETIRING;
        if (!used)
            continue;
        int64_t joined = level->since;
        bool fits = true; /* one that leaves need not divide those that came: what goes back further is taken */
        for (size_t j = 0; j < n; j++)
            fits = fits && (stack[j]->ratio % level->ratio == 0 ||
                            (ts_i128)stack[j]->since * stack[j]->ratio >= (ts_i128)level->since * level->ratio);
        if (!fits)
            continue;
        while (n) {
            struct ts_level *coarser = stack[n - 1];
            int64_t join = ceil_bucket(level, level->since, coarser);
            if (coarser->ratio % level->ratio == 0 && join > coarser->view_from &&
                join <= ts_level_built_to(levels, coarser)) {
                coarser->view_to = join;
                joined = join == INT64_MAX ? join : clamp((ts_i128)join * (coarser->ratio / level->ratio));
                break;
            }
            coarser->view_from = coarser->view_to = 0;
            n--;
        }
        level->view_from = joined;
        level->view_to = INT64_MAX;
        stack[n++] = level;
    }
}

/* ---- Making and adapting ---- */

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

static struct ts_level *add(struct ts_levels *levels, enum ts_level_kind kind, int64_t width, int64_t keep)
{
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

/* The level to build one of this width from: what goes back furthest, and of those the one with the fewest rows. */
static struct ts_level *choose_source(struct ts_levels *levels, int64_t width)
{
    struct ts_level *best = NULL;
    ts_i128 best_since = 0;
    for (size_t i = 0; i < levels->n; i++) {
        struct ts_level *level = &levels->items[i];
        bool usable = level->kind == TS_LEVEL_KEPT || level->kind == TS_LEVEL_RETIRING;
        if (!usable || level->source >= 0 || level->width >= width || width % level->width)
            continue;
        ts_i128 since = level->since == INT64_MIN ? -((ts_i128)1 << 100) : (ts_i128)level->since * level->width;
        if (!best || since <= best_since) {
            best = level;
            best_since = since;
        }
    }
    return best;
}

static void say(const struct ts_levels_callbacks *changes, const char *format, const struct ts_level *level,
                const struct ts_level *other)
{
    char words[256], width[32], keep[32], from[32] = "";
    ts_format_duration(level->width, width);
    ts_format_duration(level->keep, keep);
    if (other)
        ts_format_duration(other->width, from);
    snprintf(words, sizeof(words), "retention: ");
    size_t len = strlen(words);
    /* %W: the width, %K: how long it is kept, %F: the other one's width. */
    for (const char *p = format; *p && len < sizeof(words) - 1; p++) {
        const char *text = *p != '%' ? NULL : p[1] == 'W' ? width : p[1] == 'K' ? keep : from;
        if (text) {
            len += (size_t)snprintf(words + len, sizeof(words) - len, "%s", text);
            p++;
        } else {
            words[len++] = *p;
            words[len] = '\0';
        }
    }
    changes->on_log(changes->data, words);
}

/* A level of the configuration that the database does not have yet. */
static int add_kept(struct ts_levels *levels, const struct ts_retention *wanted, bool longest, int64_t horizon,
                    const struct ts_levels_callbacks *changes)
{
    struct ts_level *source = choose_source(levels, wanted->width);
    if (!source)
        return TS_EINVAL;
    int64_t source_id = source->id;
    int64_t last = changes->last(changes->data, source);
    struct ts_level *level = add(levels, TS_LEVEL_KEPT, wanted->width, wanted->keep);
    if (!level)
        return TS_EINVAL;
    source = ts_levels_find(levels, source_id);
    if (last == INT64_MIN) { /* nothing to build from; but what is gone there was once there */
        level->since = longest ? INT64_MIN : ceil_bucket(source, source->since, level);
        say(changes, "buckets of %W are kept for %K from now on", level, NULL);
        return 0;
    }
    level->source = source_id;
    level->since = longest ? INT64_MIN : ceil_bucket(source, source->since, level);
    /* What lies in the source before its first whole bucket of this level is copied at once (changes->begin). */
    int64_t first = ceil_bucket(source, source->since, level);
    int64_t built = first == INT64_MIN ? first : clamp((ts_i128)first * level->ratio / source->ratio);
    level->built = level->built_profiles = (struct ts_level_key){.bucket = built};
    if (longest && built > source->since)
        changes->begin(changes->data, level, source);
    struct ts_grid grid = {.start_time = levels->grid.start_time, .time_slice = level->width};
    level->live = ts_grid_bucket(&grid, horizon) + 1;
    int64_t after_last = ts_floor_div((ts_i128)last * source->ratio, level->ratio) + 1;
    if (level->live < after_last) /* the source has something of the future */
        level->live = after_last;
    say(changes, "buckets of %W, kept for %K, are built from those of %F in the background", level, source);
    return 0;
}

/* What the planner has of its own: multiples of the longest level's width, of which it has at least two. */
static int adapt_own(struct ts_levels *levels, int64_t horizon, const struct ts_levels_callbacks *changes)
{
    struct ts_level *longest = &levels->items[0]; /* there is one at least */
    for (size_t i = 0; i < levels->n; i++) {
        if (ts_level_is_longest(levels, &levels->items[i]))
            longest = &levels->items[i];
    }
    int64_t base = longest->width;
    int64_t keep = longest->keep;
    int64_t since = longest->since;
    int64_t source_id = longest->id;
    int64_t wanted[N_OWN];
    size_t n_wanted = 0;
    int64_t below = base;
    for (size_t i = 0; i < N_OWN; i++) {
        int64_t width = own_widths[i] <= below ? 0 : (own_widths[i] + below - 1) / below * below;
        if (!width || width > keep / 2)
            continue;
        wanted[n_wanted++] = width;
        below = width;
    }
    for (size_t i = 0; i < levels->n; i++) {
        struct ts_level *level = &levels->items[i];
        bool still = false;
        for (size_t j = 0; j < n_wanted && !still; j++)
            still = level->width == wanted[j];
        if (level->kind == TS_LEVEL_INTERNAL && !still)
            level->kind = TS_LEVEL_DEAD;
    }
    /* Of nothing, all is built that lies in the past, so late data goes in directly. */
    bool empty = longest->source < 0 && (!changes || changes->last(changes->data, longest) == INT64_MIN);
    bool anew = false; /* what is built from a level that begins anew begins anew */
    for (size_t i = 0; i < n_wanted; i++) {
        struct ts_level *own = find_alive(levels, wanted[i]);
        if (own && own->kind == TS_LEVEL_INTERNAL && (anew || own->source != source_id)) {
            own->kind = TS_LEVEL_DEAD;
            own = NULL;
        }
        anew = !own;
        if (!own) {
            own = add(levels, TS_LEVEL_INTERNAL, wanted[i], keep);
            if (!own)
                return TS_EINVAL;
            const struct ts_level *source = ts_levels_find(levels, source_id);
            own->source = source_id;
            own->live = INT64_MAX;
            own->built.bucket =
                empty ? ts_floor_div((ts_i128)horizon - levels->grid.start_time, source->width) : source->since;
            own->built_profiles = own->built;
            const struct ts_level base_level = {.ratio = base / levels->grid.time_slice};
            own->since = ceil_bucket(&base_level, since, own);
        }
        own->keep = keep;
        source_id = own->id;
    }
    return 0;
}

int ts_levels_make(struct ts_levels *levels, const struct ts_grid *grid, const struct ts_retention *retention, size_t n,
                   int64_t horizon)
{
    *levels = (struct ts_levels){.grid = *grid};
    for (size_t i = 0; i < n; i++) {
        if (!add(levels, TS_LEVEL_KEPT, retention[i].width, retention[i].keep))
            return TS_EINVAL;
    }
    int r = adapt_own(levels, horizon, NULL);
    sort(levels);
    ts_levels_set_view(levels);
    return r;
}

static const struct ts_retention *find_wanted(const struct ts_retention *retention, size_t n, int64_t width)
{
    for (size_t i = 0; i < n; i++) {
        if (retention[i].width == width)
            return &retention[i];
    }
    return NULL;
}

int ts_levels_adapt(struct ts_levels *levels, const struct ts_retention *retention, size_t n, int64_t horizon,
                    const struct ts_levels_callbacks *changes, bool *ret_changed)
{
    struct ts_levels before = *levels;
    int r = 0;
    for (size_t i = 0; i < levels->n; i++) {
        struct ts_level *level = &levels->items[i];
        const struct ts_retention *wanted = find_wanted(retention, n, level->width);
        if (level->kind == TS_LEVEL_DEAD)
            continue;
        if (!wanted) {
            if (level->kind == TS_LEVEL_KEPT)
                level->kind = TS_LEVEL_RETIRING;
            continue;
        }
        if (level->kind == TS_LEVEL_INTERNAL) { /* from now on it takes everything at once: begin anew */
            level->kind = TS_LEVEL_DEAD;
            continue;
        }
        level->kind = TS_LEVEL_KEPT;
        if (level->keep != wanted->keep) {
            level->keep = wanted->keep;
            say(changes, "buckets of %W are kept for %K from now on", level, NULL);
        }
    }
    for (size_t i = 0; i < n && !r; i++) {
        struct ts_level *level = find_alive(levels, retention[i].width);
        if (!level)
            r = add_kept(levels, &retention[i], i + 1 == n, horizon, changes);
    }
    for (size_t i = 0; i < levels->n && !r; i++) {
        struct ts_level *level = &levels->items[i];
        if (level->since == INT64_MIN || !ts_level_is_longest(levels, level) ||
            ts_level_first_kept(levels, level, horizon) >= level->since)
            continue;
        changes->purge(changes->data, level);
        /* What is gone there is gone everywhere, then it has all that there is. */
        for (size_t j = 0; j < levels->n; j++) {
            struct ts_level *other = &levels->items[j];
            int64_t since = ceil_bucket(level, level->since, other);
            if (other != level && other->since < since)
                other->since = since;
        }
        level->since = INT64_MIN;
    }
    if (!r)
        r = adapt_own(levels, horizon, changes);
    if (r)
        return r;
    sort(levels);
    for (size_t i = levels->n; i-- > 0;) { /* what nothing is built from; that is always wider */
        struct ts_level *level = &levels->items[i];
        bool source = false;
        for (size_t j = 0; j < levels->n; j++)
            source = source || (levels->items[j].kind != TS_LEVEL_DEAD && levels->items[j].source == level->id);
        if (level->kind != TS_LEVEL_RETIRING)
            continue;
        if (!source)
            level->kind = TS_LEVEL_DEAD;
        say(changes, source ? "buckets of %W go as soon as others are built from them" : "buckets of %W go", level,
            NULL);
    }
    sort(levels);
    ts_levels_set_view(levels);
    *ret_changed = memcmp(&before, levels, sizeof(before)) != 0;
    return 0;
}
