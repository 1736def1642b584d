#include "daemon/write/maintenance.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "lib/base/units.h"
#include "lib/store/maintain.h"

#define MS INT64_C(1000000)
#define IDLE_NS (1000 * MS)
#define SCANNING_NS (50 * MS)
#define SAVE_TIMES_NS (3600000 * MS)
#define STEP_LONG_NS (4 * MS)
#define STEP_SHORT_NS (2 * MS)
enum { ROWS_MIN = 64, ROWS_MAX = 8192, ROWS_FIRST = 512, SHARE = 3 /* a step takes 1 / SHARE of the time */ };

void tsd_maintenance_init(struct tsd_maintenance *maintenance, struct ts_store *store, struct tsd_state *state,
                          struct tsd_pending *pending)
{
    int64_t now = tsd_clock_mono();
    *maintenance =
        (struct tsd_maintenance){.store = store, .state = state, .due = now, .rows = ROWS_FIRST, .times_saved = now};
    tsd_sweep_init(&maintenance->sweep, store, state, pending);
}

void tsd_maintenance_deinit(struct tsd_maintenance *maintenance)
{
    tsd_sweep_deinit(&maintenance->sweep);
}

/* The begin of each level's oldest bucket, for the status. */
static void publish(struct tsd_maintenance *maintenance)
{
    struct tsd_state *state = maintenance->state;
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

/* Retries after a pause, unless the error is fatal. */
static int step_failed(struct tsd_maintenance *maintenance, int rc, const char *message)
{
    if (rc == TS_ESYNC) {
        tsd_log_error("%s", message);
        return rc;
    }
    if (!maintenance->failing)
        tsd_log_warning("%s; retrying", message);
    maintenance->failing = true;
    maintenance->due = tsd_clock_mono() + IDLE_NS;
    return 0;
}

static void adapt_rows(struct tsd_maintenance *maintenance, int64_t took)
{
    if (took > STEP_LONG_NS && maintenance->rows > ROWS_MIN)
        maintenance->rows /= 2;
    else if (took < STEP_SHORT_NS && maintenance->rows < ROWS_MAX)
        maintenance->rows *= 2;
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
                                          .save_times = began - maintenance->times_saved >= SAVE_TIMES_NS};
    int rc = ts_store_maintain(maintenance->store, &options, &result, &error);
    if (rc)
        return step_failed(maintenance, rc, error.message);
    if (options.save_times)
        maintenance->times_saved = began;
    if (result.longest_pruned)
        tsd_sweep_request(&maintenance->sweep);
    tsd_add(&maintenance->state->writer.rows_pruned, result.rows_pruned);
    tsd_add(&maintenance->state->writer.rows_built, result.rows_built);
    if (result.completed_width)
        tsd_log_info("built buckets of %s", ts_format_duration(result.completed_width, width));
    bool more = result.more;
    if (!more)
        rc = tsd_sweep_step(&maintenance->sweep, &more, &error);
    if (rc)
        return step_failed(maintenance, rc, error.message);
    if (result.more)
        adapt_rows(maintenance, tsd_clock_mono() - began);
    if (!more)
        publish(maintenance);
    maintenance->failing = false;
    *ret_more = more;
    return 0;
}

void tsd_maintenance_save_times(struct tsd_maintenance *maintenance, int64_t horizon, int64_t uptime)
{
    struct ts_store_error error;
    struct ts_maintain_result result;
    struct ts_maintain_options options = {.horizon = horizon, .uptime = uptime, .rows = ROWS_MIN, .save_times = true};
    /* If it fails nothing is lost: at the next start the horizon is a little behind. */
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
        more = true; /* perhaps of maintenance */
        rc = status == TS_ESYNC ? status : 0;
    } else {
        rc = maintain(maintenance, horizon, uptime, &more);
    }
    int64_t now = tsd_clock_mono();
    int64_t pause = IDLE_NS;
    if (more)
        pause = (now - began) * (SHARE - 1);
    else if (maintenance->sweep.state == TSD_SWEEP_SCANNING)
        pause = SCANNING_NS;
    if (maintenance->due < now + pause)
        maintenance->due = now + pause;
    return rc;
}
