#include "daemon/ingest/batch.h"

#include "daemon/ingest/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void tsd_batch_init(struct tsd_batch *batch)
{
    memset(batch, 0, sizeof(*batch));
    ts_counters_init(&batch->counters);
}

void tsd_batch_clear(struct tsd_batch *batch)
{
    ts_counters_clear(&batch->counters);
    batch->n_marks = 0;
    free(batch->locations);
    free(batch->label_sets);
    batch->locations = NULL;
    batch->label_sets = NULL;
    batch->n_locations = batch->n_label_sets = 0;
    if (batch->retired) {
        ts_bounded_deinit(&batch->old_locations);
        ts_bounded_deinit(&batch->old_label_sets);
        batch->retired = false;
    }
    batch->renew = false;
    batch->messages = 0;
}

void tsd_batch_deinit(struct tsd_batch *batch)
{
    tsd_batch_clear(batch);
    ts_counters_deinit(&batch->counters);
    free(batch->marks);
    batch->marks = NULL;
    batch->cap_marks = 0;
}

bool tsd_batch_is_cleared(const struct tsd_batch *batch)
{
    return !batch->counters.n_rows && !batch->counters.n_profiles && !batch->n_marks && !batch->messages &&
           !batch->locations && !batch->n_locations && !batch->label_sets && !batch->n_label_sets && !batch->retired;
}

/*
 * Copies the table's items from `first` on: the array may move while the writer reads, the bytes of the names do not.
 */
static int copy_new(const struct ts_intern *table, uint32_t first, struct ts_location **ret_items, uint32_t *ret_n)
{
    assert(first <= table->n);
    uint32_t n = table->n - first;
    struct ts_location *items = NULL;
    if (n) {
        items = malloc(n * sizeof(*items));
        if (!items)
            return TS_ENOMEM;
        memcpy(items, table->items + first, n * sizeof(*items));
    }
    *ret_items = items;
    *ret_n = n;
    return 0;
}

static int copy_names(struct tsd_batch *batch, const struct tsd_ingest *ingest)
{
    int rc = copy_new(&ingest->locations.table, ingest->locations_known, &batch->locations, &batch->n_locations);
    if (rc)
        return rc;
    rc = copy_new(&ingest->label_sets.table, ingest->label_sets_known, &batch->label_sets, &batch->n_label_sets);
    if (rc) {
        free(batch->locations);
        batch->locations = NULL;
        batch->n_locations = 0;
        return rc;
    }
    batch->first_location = ingest->locations_known;
    batch->first_label_set = ingest->label_sets_known;
    return 0;
}

static void swap_marks(struct tsd_batch *batch, struct tsd_ingest *ingest)
{
    struct tsd_mark *empty = batch->marks;
    size_t cap = batch->cap_marks;
    batch->marks = ingest->marks;
    batch->n_marks = ingest->n_marks;
    batch->cap_marks = ingest->cap_marks;
    ingest->marks = empty;
    ingest->n_marks = 0;
    ingest->cap_marks = cap;
    ingest->ack_requested = false;
}

static void swap_counters(struct tsd_batch *batch, struct tsd_ingest *ingest)
{
    struct ts_counters empty = batch->counters;
    batch->counters = ingest->counters;
    ingest->counters = empty;
    tsd_add(&ingest->stats.saturated, batch->counters.saturated);
    batch->counters.saturated = 0; /* already counted: the merge must not count it again */
}

/* The thread starts empty tables if the old ones are full, or if the writer asks for it. */
static void retire_names(struct tsd_batch *batch, struct tsd_ingest *ingest)
{
    uint32_t max_locations = atomic_load(&ingest->limits->max_locations);
    uint32_t max_label_sets = atomic_load(&ingest->limits->max_label_sets);
    batch->retired = batch->renew || ts_bounded_full(&ingest->locations) || ts_bounded_full(&ingest->label_sets);
    if (batch->retired) {
        batch->old_locations = ingest->locations;
        batch->old_label_sets = ingest->label_sets;
        ts_bounded_init(&ingest->locations, max_locations, TS_OVERFLOW_NAME);
        ts_bounded_init(&ingest->label_sets, max_label_sets, TS_OVERFLOW_LABELS);
        /* The numbers start at 0 again. The recall cache is already allocated and large enough: this cannot fail. */
        (void)!ts_decoder_recall_from(ingest->decoder, &ingest->locations.table);
    }
    ingest->locations.max = max_locations;
    ingest->label_sets.max = max_label_sets;
}

int tsd_batch_fill(struct tsd_batch *batch, struct tsd_ingest *ingest)
{
    assert(tsd_batch_is_cleared(batch));
    int rc = copy_names(batch, ingest);
    if (rc)
        return rc;
    swap_marks(batch, ingest);
    swap_counters(batch, ingest);
    batch->messages = ingest->messages;
    ingest->messages = 0;
    ingest->hand_overs++;
    retire_names(batch, ingest);
    ingest->locations_known = ingest->locations.table.n;
    ingest->label_sets_known = ingest->label_sets.table.n;
    ingest->names_passed_on = tsd_memory_of_names(&ingest->locations, &ingest->label_sets);
    assert(tsd_ingest_waiting(ingest) == 0);
    return 0;
}
