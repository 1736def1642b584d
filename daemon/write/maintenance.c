#include "daemon/write/maintenance.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "lib/base/units.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define MS INT64_C(1000000)
#define IDLE_NS (1000 * MS)
#define NOTE_NS (3600000 * MS)
#define STEP_LONG_NS (4 * MS)
#define STEP_SHORT_NS (2 * MS)
#define LOOK_MIN_NS (1000 * MS)
#define LOOK_MAX_NS (3600000 * MS)
enum { ROWS_MIN = 64, ROWS_MAX = 8192, ROWS_FIRST = 512, DROP_ROWS = 500, SHARE = 3 /* a step takes 1 / SHARE */ };

/* ---- The thread that looks ---- */

struct tsd_sweep {
    uv_thread_t thread;
    struct ts_reader *reader;
    atomic_bool done;
    int rc;
    struct ts_unused unused;
};

static void run_sweep(void *data)
{
    struct tsd_sweep *sweep = data;
    sweep->rc = ts_reader_unused(sweep->reader, &sweep->unused);
    atomic_store(&sweep->done, true);
}

static struct tsd_sweep *sweep_start(const char *path)
{
    struct ts_store_error error;
    struct tsd_sweep *sweep = calloc(1, sizeof(*sweep));
    if (!sweep)
        return NULL;
    atomic_init(&sweep->done, false);
    if (!ts_reader_open(path, &sweep->reader, &error) && !uv_thread_create(&sweep->thread, run_sweep, sweep))
        return sweep;
    ts_reader_close(sweep->reader);
    free(sweep);
    return NULL;
}

static struct tsd_sweep *sweep_free(struct tsd_sweep *sweep)
{
    if (!sweep)
        return NULL;
    while (!atomic_load(&sweep->done)) { /* an interrupt before the reader has begun is lost */
        ts_reader_interrupt(sweep->reader);
        uv_sleep(1);
    }
    uv_thread_join(&sweep->thread);
    ts_reader_close(sweep->reader);
    ts_unused_deinit(&sweep->unused);
    free(sweep);
    return NULL;
}

/* ---- Start and end ---- */

/* A name that only the store has. One that was about to be dropped stays. */
static int find_location(void *data, const struct ts_location *key, uint32_t *ret_number)
{
    struct tsd_maintenance *maintenance = data;
    int rc = ts_store_find_location(maintenance->store, key, ret_number);
    size_t low = maintenance->dropped;
    size_t high = maintenance->n_locations;
    while (!rc && *ret_number && low < high) {
        size_t middle = low + (high - low) / 2;
        if (maintenance->locations[middle] == *ret_number) {
            /* The list stays ascending, so that the search still works. */
            memmove(maintenance->locations + middle, maintenance->locations + middle + 1,
                    (maintenance->n_locations - middle - 1) * sizeof(*maintenance->locations));
            maintenance->n_locations--;
            break;
        }
        if (maintenance->locations[middle] < *ret_number)
            low = middle + 1;
        else
            high = middle;
    }
    return rc;
}

void tsd_maintenance_init(struct tsd_maintenance *maintenance, struct ts_store *store, struct tsd_state *shared,
                          struct tsd_pending *pending)
{
    int64_t now = tsd_clock_mono();
    *maintenance = (struct tsd_maintenance){.store = store,
                                            .shared = shared,
                                            .pending = pending,
                                            .due = now,
                                            .rows = ROWS_FIRST,
                                            .noted = now,
                                            .names_wanted = true,
                                            .looked = now,
                                            .forgot = now};
    pending->locations.find = find_location;
    pending->locations.data = maintenance;
}

static void forget_lists(struct tsd_maintenance *maintenance)
{
    free(maintenance->locations);
    free(maintenance->label_sets);
    maintenance->locations = maintenance->label_sets = NULL;
    maintenance->n_locations = maintenance->n_label_sets = maintenance->dropped = 0;
}

void tsd_maintenance_deinit(struct tsd_maintenance *maintenance)
{
    maintenance->sweep = sweep_free(maintenance->sweep);
    forget_lists(maintenance);
}

/* ---- Names ---- */

/* Often enough for the shortest retention, and not more often than once an hour. */
static int64_t look_interval(const struct tsd_maintenance *maintenance)
{
    const struct ts_levels *levels = ts_store_levels(maintenance->store);
    int64_t keep = INT64_MAX;
    for (size_t i = 0; i < levels->n; i++) {
        if (ts_level_is_longest(levels, &levels->items[i]))
            keep = levels->items[i].keep;
    }
    keep /= 50;
    return keep < LOOK_MIN_NS ? LOOK_MIN_NS : keep > LOOK_MAX_NS ? LOOK_MAX_NS : keep;
}

static void look(struct tsd_maintenance *maintenance)
{
    int64_t now = tsd_clock_mono();
    if (maintenance->state == TSD_MAINTENANCE_IDLE && maintenance->names_wanted &&
        now - maintenance->looked >= look_interval(maintenance)) {
        maintenance->looked = now;
        maintenance->looked_at_commit = tsd_get(&maintenance->shared->writer.commits);
        maintenance->sweep = sweep_start(maintenance->shared->store_path);
        maintenance->names_wanted = !maintenance->sweep;
        maintenance->state = maintenance->sweep ? TSD_MAINTENANCE_LOOKING : TSD_MAINTENANCE_IDLE;
    }
    if (maintenance->state != TSD_MAINTENANCE_LOOKING || !atomic_load(&maintenance->sweep->done))
        return;
    struct ts_unused *unused = &maintenance->sweep->unused;
    if (maintenance->sweep->rc == 0 && unused->n_locations + unused->n_label_sets > 0) {
        maintenance->locations = unused->locations;
        maintenance->n_locations = unused->n_locations;
        maintenance->label_sets = unused->label_sets;
        maintenance->n_label_sets = unused->n_label_sets;
        *unused = (struct ts_unused){0};
        maintenance->state = TSD_MAINTENANCE_RENEWING;
    } else {
        maintenance->names_wanted = maintenance->sweep->rc != 0;
        maintenance->state = TSD_MAINTENANCE_IDLE;
    }
    maintenance->sweep = sweep_free(maintenance->sweep);
}

/* The first bucket that level 0 still has. */
static int64_t kept_from(const struct tsd_maintenance *maintenance)
{
    return ts_store_levels(maintenance->store)->items[0].since;
}

bool tsd_maintenance_wants_renewal(struct tsd_maintenance *maintenance)
{
    int64_t now = tsd_clock_mono();
    if (maintenance->state == TSD_MAINTENANCE_RENEWING)
        return true;
    /* Not while it is looked for unused names: of one that is let go of it would not be known that it was used since.
     */
    if (maintenance->state == TSD_MAINTENANCE_LOOKING || now - maintenance->forgot < IDLE_NS)
        return false;
    /* A full table may have room again for what level 0 has. One that is not full yet must not become so by what level
       0 has no more; a few of these are not worth beginning anew. */
    const struct tsd_names *names = &maintenance->pending->locations;
    maintenance->forgot = now;
    uint32_t past = tsd_names_past(names, kept_from(maintenance));
    return past > (ts_bounded_full(&names->known) ? 0 : names->known.max / 8);
}

/* Of the numbers that had no row, those that have not been used since. */
static size_t unused_still(const struct tsd_maintenance *maintenance, const struct tsd_names *names, uint32_t *numbers,
                           size_t n)
{
    size_t left = 0;
    for (size_t i = 0; i < n; i++) {
        const struct tsd_name *name = tsd_names_held(names, numbers[i]);
        if (!name || name->used_at <= maintenance->looked_at_commit)
            numbers[left++] = numbers[i];
    }
    return left;
}

static bool is_listed(const uint32_t *numbers, size_t n, uint32_t number)
{
    size_t low = 0;
    while (low < n) {
        size_t middle = low + (n - low) / 2;
        if (numbers[middle] == number)
            return true;
        if (numbers[middle] < number)
            low = middle + 1;
        else
            n = middle;
    }
    return false;
}

static bool keep_location(void *data, const struct tsd_name *name)
{
    const struct tsd_maintenance *maintenance = data;
    return name->last >= kept_from(maintenance) &&
           !is_listed(maintenance->locations, maintenance->n_locations, name->number);
}

static bool keep_label_set(void *data, const struct tsd_name *name)
{
    const struct tsd_maintenance *maintenance = data;
    return !is_listed(maintenance->label_sets, maintenance->n_label_sets, name->number);
}

void tsd_maintenance_renewed(struct tsd_maintenance *maintenance)
{
    struct tsd_pending *pending = maintenance->pending;
    struct ts_store_error error;
    if (maintenance->state == TSD_MAINTENANCE_RENEWING) {
        maintenance->n_locations =
            unused_still(maintenance, &pending->locations, maintenance->locations, maintenance->n_locations);
        maintenance->n_label_sets =
            unused_still(maintenance, &pending->label_sets, maintenance->label_sets, maintenance->n_label_sets);
    }
    /* Label sets are few, and all of them are held: they go from both at once, or from neither. */
    if (maintenance->n_label_sets && ts_store_delete_names(maintenance->store, NULL, 0, maintenance->label_sets,
                                                           maintenance->n_label_sets, &error)) {
        maintenance->names_wanted = true;
        maintenance->n_label_sets = 0;
    }
    bool renewed = !tsd_pending_renew_locations(pending, keep_location, maintenance);
    /* They are not in the store any more: without memory for the table, its next use of them would be lost. */
    while (maintenance->n_label_sets && tsd_names_renew(&pending->label_sets, keep_label_set, maintenance, false))
        uv_sleep(100);
    maintenance->n_label_sets = 0;
    if (maintenance->state == TSD_MAINTENANCE_RENEWING && !renewed) { /* no memory: not now */
        maintenance->names_wanted = true;
        forget_lists(maintenance);
        maintenance->state = TSD_MAINTENANCE_IDLE;
    } else if (maintenance->state == TSD_MAINTENANCE_RENEWING) {
        maintenance->state = TSD_MAINTENANCE_DROPPING;
    }
}

/* True where some were dropped. */
static bool drop(struct tsd_maintenance *maintenance, int *ret_rc, struct ts_store_error *error)
{
    size_t n = maintenance->n_locations - maintenance->dropped;
    if (maintenance->state != TSD_MAINTENANCE_DROPPING)
        return false;
    n = n < DROP_ROWS ? n : DROP_ROWS;
    if (n) {
        *ret_rc =
            ts_store_delete_names(maintenance->store, maintenance->locations + maintenance->dropped, n, NULL, 0, error);
        if (*ret_rc)
            return false;
        maintenance->dropped += n;
        maintenance->pending->locations.not_held -= n;
    }
    if (maintenance->dropped < maintenance->n_locations)
        return true;
    if (maintenance->dropped)
        tsd_log_info("%zu names that nothing refers to any more are gone", maintenance->dropped);
    forget_lists(maintenance);
    maintenance->state = TSD_MAINTENANCE_IDLE;
    return n > 0;
}

/* ---- The step ---- */

static void publish(struct tsd_maintenance *maintenance)
{
    struct tsd_state *state = maintenance->shared;
    const struct ts_levels *levels = ts_store_levels(maintenance->store);
    for (size_t i = 0; i < state->n_levels; i++) {
        for (size_t j = 0; j < levels->n; j++) {
            const struct ts_level *level = &levels->items[j];
            int64_t oldest = INT64_MIN;
            if (level->kind == TS_LEVEL_CONFIGURED && level->width == state->levels[i].width &&
                !ts_store_oldest(maintenance->store, level, &oldest))
                tsd_set(&state->levels[i].oldest, (uint64_t)oldest);
        }
    }
}

static int trouble(struct tsd_maintenance *maintenance, int rc, const char *message)
{
    if (rc == TS_ESYNC)
        return rc;
    if (!maintenance->in_trouble)
        tsd_log_warning("%s; it is tried again", message);
    maintenance->in_trouble = true;
    maintenance->due = tsd_clock_mono() + IDLE_NS;
    return 0;
}

static int maintain(struct tsd_maintenance *maintenance, int64_t horizon, int64_t uptime, bool *ret_more)
{
    struct ts_store_error error;
    struct ts_maintain_result result;
    char width[32];
    int64_t began = tsd_clock_mono();
    struct ts_maintain_options options = {.horizon = horizon,
                                          .uptime = uptime,
                                          .rows = maintenance->rows,
                                          .save_times = began - maintenance->noted >= NOTE_NS};
    int rc = ts_store_maintain(maintenance->store, &options, &result, &error);
    if (rc)
        return trouble(maintenance, rc, error.message);
    if (options.save_times)
        maintenance->noted = began;
    maintenance->names_wanted = maintenance->names_wanted || result.longest_pruned;
    tsd_add(&maintenance->shared->writer.rows_pruned, result.rows_pruned);
    tsd_add(&maintenance->shared->writer.rows_built, result.rows_built);
    if (result.completed_width)
        tsd_log_info("buckets of %s are built", ts_format_duration(result.completed_width, width));
    bool more = result.more;
    if (!more) {
        look(maintenance);
        more = drop(maintenance, &rc, &error);
    }
    if (rc)
        return trouble(maintenance, rc, error.message);
    int64_t took = tsd_clock_mono() - began;
    if (result.more && took > STEP_LONG_NS && maintenance->rows > ROWS_MIN)
        maintenance->rows /= 2;
    else if (result.more && took < STEP_SHORT_NS && maintenance->rows < ROWS_MAX)
        maintenance->rows *= 2;
    if (!more)
        publish(maintenance);
    maintenance->in_trouble = false;
    *ret_more = more;
    return 0;
}

void tsd_maintenance_note(struct tsd_maintenance *maintenance, int64_t horizon, int64_t uptime)
{
    struct ts_store_error error;
    struct ts_maintain_result result;
    struct ts_maintain_options options = {.horizon = horizon, .uptime = uptime, .rows = ROWS_MIN, .save_times = true};
    /* Nothing is lost where it fails: the horizon is a little behind at the next start. */
    (void)!ts_store_maintain(maintenance->store, &options, &result, &error);
}

int tsd_maintenance_step(struct tsd_maintenance *maintenance, struct tsd_task *task, int64_t horizon, int64_t uptime,
                         bool *ret_task_done, int *ret_task_status)
{
    int64_t began = tsd_clock_mono();
    bool more = false;
    int rc = 0;
    *ret_task_done = false;
    if (task) {
        int status = task->step(task, maintenance->store, &more);
        *ret_task_done = status != 0 || !more;
        *ret_task_status = status;
        more = true;
        rc = status == TS_ESYNC ? status : 0;
    } else {
        rc = maintain(maintenance, horizon, uptime, &more);
    }
    int64_t now = tsd_clock_mono();
    int64_t pause = more                                            ? (now - began) * (SHARE - 1)
                    : maintenance->state == TSD_MAINTENANCE_LOOKING ? 50 * MS
                                                                    : IDLE_NS;
    if (maintenance->due < now + pause)
        maintenance->due = now + pause;
    return rc;
}
