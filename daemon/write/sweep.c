#include "daemon/write/sweep.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "lib/store/unused.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define MS INT64_C(1000000)
#define RENEW_NS (1000 * MS)
#define SCAN_MIN_NS (1000 * MS)
#define SCAN_MAX_NS (3600000 * MS)
enum { DELETE_ROWS = 500 };

/* ---- The scan ---- */

struct tsd_scan {
    uv_thread_t thread;
    struct ts_reader *reader;
    atomic_bool done;
    int rc;
    struct ts_unused unused;
};

static void run_scan(void *data)
{
    struct tsd_scan *scan = data;
    scan->rc = ts_reader_unused(scan->reader, &scan->unused);
    atomic_store(&scan->done, true);
}

static struct tsd_scan *scan_start(const char *path)
{
    struct ts_store_error error;
    struct tsd_scan *scan = calloc(1, sizeof(*scan));
    if (!scan)
        return NULL;
    atomic_init(&scan->done, false);
    if (!ts_reader_open(path, &scan->reader, &error) && !uv_thread_create(&scan->thread, run_scan, scan))
        return scan;
    ts_reader_close(scan->reader);
    free(scan);
    return NULL;
}

static struct tsd_scan *scan_free(struct tsd_scan *scan)
{
    if (!scan)
        return NULL;
    while (!atomic_load(&scan->done)) { /* an interrupt before the reader has begun has no effect: repeat it */
        ts_reader_interrupt(scan->reader);
        uv_sleep(1);
    }
    uv_thread_join(&scan->thread);
    ts_reader_close(scan->reader);
    ts_unused_deinit(&scan->unused);
    free(scan);
    return NULL;
}

/* ---- Start and end ---- */

/* The index of `number` in an ascending list; n: it is not in it. */
static size_t find_number(const uint32_t *numbers, size_t n, uint32_t number)
{
    size_t low = 0;
    size_t high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (numbers[middle] == number)
            return middle;
        if (numbers[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return n;
}

/* Looks up a location that only the store has. If it was about to be deleted, it is kept. */
static int find_location(void *data, const struct ts_location *key, uint32_t *ret_number)
{
    struct tsd_sweep *sweep = data;
    int rc = ts_store_find_location(sweep->store, key, ret_number);
    if (rc || !*ret_number || !sweep->locations)
        return rc;
    uint32_t *left = sweep->locations + sweep->n_deleted;
    size_t n = sweep->n_locations - sweep->n_deleted;
    size_t i = find_number(left, n, *ret_number);
    if (i < n) {
        memmove(left + i, left + i + 1, (n - i - 1) * sizeof(*left));
        sweep->n_locations--;
    }
    return 0;
}

void tsd_sweep_init(struct tsd_sweep *sweep, struct ts_store *store, struct tsd_state *shared,
                    struct tsd_pending *pending)
{
    int64_t now = tsd_clock_mono();
    *sweep = (struct tsd_sweep){
        .store = store, .shared = shared, .pending = pending, .requested = true, .scanned = now, .renewed = now};
    pending->locations.find = find_location;
    pending->locations.data = sweep;
}

static void free_lists(struct tsd_sweep *sweep)
{
    free(sweep->locations);
    free(sweep->label_sets);
    sweep->locations = sweep->label_sets = NULL;
    sweep->n_locations = sweep->n_label_sets = sweep->n_deleted = 0;
}

void tsd_sweep_deinit(struct tsd_sweep *sweep)
{
    sweep->scan = scan_free(sweep->scan);
    free_lists(sweep);
}

void tsd_sweep_request(struct tsd_sweep *sweep)
{
    sweep->requested = true;
}

/* ---- Scanning ---- */

/* A fiftieth of the longest retention, within a second and an hour. */
static int64_t scan_interval(const struct tsd_sweep *sweep)
{
    const struct ts_levels *levels = ts_store_levels(sweep->store);
    int64_t keep = INT64_MAX;
    for (size_t i = 0; i < levels->n; i++) {
        if (ts_level_is_longest(levels, &levels->items[i]))
            keep = levels->items[i].keep;
    }
    keep /= 50;
    return keep < SCAN_MIN_NS ? SCAN_MIN_NS : keep > SCAN_MAX_NS ? SCAN_MAX_NS : keep;
}

static void start_scan(struct tsd_sweep *sweep)
{
    int64_t now = tsd_clock_mono();
    assert(!sweep->scan && !sweep->locations && !sweep->label_sets);
    if (!sweep->requested || now - sweep->scanned < scan_interval(sweep))
        return;
    sweep->scanned = now;
    sweep->scan_commit = tsd_get(&sweep->shared->writer.commits);
    sweep->scan = scan_start(sweep->shared->store_path);
    if (sweep->scan) {
        sweep->requested = false;
        sweep->state = TSD_SWEEP_SCANNING;
    }
}

static void end_scan(struct tsd_sweep *sweep)
{
    if (!atomic_load(&sweep->scan->done))
        return;
    struct ts_unused *unused = &sweep->scan->unused;
    if (sweep->scan->rc == 0 && unused->n_locations + unused->n_label_sets > 0) {
        sweep->locations = unused->locations;
        sweep->n_locations = unused->n_locations;
        sweep->label_sets = unused->label_sets;
        sweep->n_label_sets = unused->n_label_sets;
        *unused = (struct ts_unused){0};
        sweep->state = TSD_SWEEP_RENEWING;
    } else {
        sweep->requested = sweep->scan->rc != 0;
        sweep->state = TSD_SWEEP_IDLE;
    }
    sweep->scan = scan_free(sweep->scan);
}

/* ---- Renewing ---- */

/* The first bucket that level 0 still has. */
static int64_t kept_from(const struct tsd_sweep *sweep)
{
    return ts_store_levels(sweep->store)->items[0].since;
}

bool tsd_sweep_wants_renewal(struct tsd_sweep *sweep)
{
    int64_t now = tsd_clock_mono();
    if (sweep->state == TSD_SWEEP_RENEWING)
        return true;
    /* Not during a scan: for a removed location it would not be known that it was used after the scan began. */
    if (sweep->state == TSD_SWEEP_SCANNING || now - sweep->renewed < RENEW_NS)
        return false;
    /* A full table may get room for what level 0 has. A table that is not full must not become full of locations that
       level 0 no longer has, but a few of them are not worth a renewal. */
    const struct tsd_names *names = &sweep->pending->locations;
    sweep->renewed = now;
    uint32_t past = tsd_names_count_before(names, kept_from(sweep));
    return past > (ts_bounded_full(&names->known) ? 0 : names->known.max / 8);
}

/* Removes from the list what was used after the scan began. Returns how many are left. */
static size_t keep_unused(const struct tsd_sweep *sweep, const struct tsd_names *names, uint32_t *numbers, size_t n)
{
    size_t left = 0;
    for (size_t i = 0; i < n; i++) {
        const struct tsd_name *name = tsd_names_held(names, numbers[i]);
        if (!name || name->used_at <= sweep->scan_commit)
            numbers[left++] = numbers[i];
    }
    return left;
}

static bool keep_location(void *data, const struct tsd_name *name)
{
    const struct tsd_sweep *sweep = data;
    return name->last >= kept_from(sweep) &&
           find_number(sweep->locations, sweep->n_locations, name->number) == sweep->n_locations;
}

static bool keep_label_set(void *data, const struct tsd_name *name)
{
    const struct tsd_sweep *sweep = data;
    return find_number(sweep->label_sets, sweep->n_label_sets, name->number) == sweep->n_label_sets;
}

/* Label sets are few, and memory holds all of them: they are deleted from the store and from memory together. */
static void delete_label_sets(struct tsd_sweep *sweep)
{
    struct ts_store_error error;
    if (!sweep->n_label_sets)
        return;
    if (ts_store_delete_names(sweep->store, NULL, 0, sweep->label_sets, sweep->n_label_sets, &error)) {
        sweep->requested = true;
    } else {
        /* The store no longer has them: if they stayed in memory, their next use would be lost. */
        while (tsd_names_renew(&sweep->pending->label_sets, keep_label_set, sweep, false))
            uv_sleep(100);
    }
    sweep->n_label_sets = 0;
}

void tsd_sweep_tables_renewed(struct tsd_sweep *sweep)
{
    struct tsd_pending *pending = sweep->pending;
    assert(sweep->state != TSD_SWEEP_SCANNING);
    if (sweep->state == TSD_SWEEP_RENEWING) {
        sweep->n_locations = keep_unused(sweep, &pending->locations, sweep->locations, sweep->n_locations);
        sweep->n_label_sets = keep_unused(sweep, &pending->label_sets, sweep->label_sets, sweep->n_label_sets);
    }
    delete_label_sets(sweep);
    bool renewed = tsd_pending_renew_locations(pending, keep_location, sweep) == 0;
    if (sweep->state == TSD_SWEEP_RENEWING && !renewed) { /* no memory: scan again later */
        sweep->requested = true;
        free_lists(sweep);
        sweep->state = TSD_SWEEP_IDLE;
    } else if (sweep->state == TSD_SWEEP_RENEWING) {
        sweep->state = TSD_SWEEP_DELETING;
    }
}

/* ---- Deleting ---- */

static int delete_some(struct tsd_sweep *sweep, bool *ret_more, struct ts_store_error *ret_error)
{
    size_t n = sweep->n_locations - sweep->n_deleted;
    n = n < DELETE_ROWS ? n : DELETE_ROWS;
    if (n) {
        int rc = ts_store_delete_names(sweep->store, sweep->locations + sweep->n_deleted, n, NULL, 0, ret_error);
        if (rc)
            return rc;
        assert(sweep->pending->locations.not_held >= n);
        sweep->n_deleted += n;
        sweep->pending->locations.not_held -= n;
    }
    *ret_more = n > 0;
    if (sweep->n_deleted < sweep->n_locations)
        return 0;
    if (sweep->n_deleted)
        tsd_log_info("deleted %zu unreferenced names", sweep->n_deleted);
    free_lists(sweep);
    sweep->state = TSD_SWEEP_IDLE;
    return 0;
}

int tsd_sweep_step(struct tsd_sweep *sweep, bool *ret_more, struct ts_store_error *ret_error)
{
    *ret_more = false;
    if (sweep->state == TSD_SWEEP_IDLE)
        start_scan(sweep);
    if (sweep->state == TSD_SWEEP_SCANNING)
        end_scan(sweep);
    return sweep->state == TSD_SWEEP_DELETING ? delete_some(sweep, ret_more, ret_error) : 0;
}
