#include "daemon/write/pending.h"

#include "daemon/ingest/memory.h"
#include "lib/base/array.h"

#include <assert.h>
#include <stdlib.h>

void tsd_pending_init(struct tsd_pending *pending, uint32_t max_locations, uint32_t max_label_sets)
{
    tsd_names_init(&pending->locations, max_locations, TS_OVERFLOW_NAME);
    tsd_names_init(&pending->label_sets, max_label_sets, TS_OVERFLOW_LABELS);
    ts_intern_init(&pending->functions);
    pending->functions.views = true;
    pending->counted = 0;
    ts_counters_init(&pending->counters);
    pending->marks = NULL;
    pending->rows = NULL;
    pending->n_marks = pending->cap_marks = pending->cap_rows = 0;
    pending->messages = 0;
    pending->names_stored = 0;
}

void tsd_pending_deinit(struct tsd_pending *pending)
{
    tsd_names_deinit(&pending->locations);
    tsd_names_deinit(&pending->label_sets);
    ts_intern_deinit(&pending->functions);
    ts_counters_deinit(&pending->counters);
    free(pending->marks);
    free(pending->rows);
}

void tsd_source_init(struct tsd_source *source)
{
    *source = (struct tsd_source){.full = false};
    tsd_batch_init(&source->batch);
}

void tsd_source_deinit(struct tsd_source *source)
{
    tsd_batch_deinit(&source->batch);
    free(source->locations.numbers);
    free(source->label_sets.numbers);
    source->locations = source->label_sets = (struct tsd_translation){.n = 0};
}

/* Adds the functions of new locations. Their names are views of the bytes in the table of locations. */
static int count_functions(struct tsd_pending *pending)
{
    const struct ts_intern *known = &pending->locations.known.table;
    for (; pending->counted < known->n; pending->counted++) {
        struct ts_str name = ts_function_name(known->items[pending->counted].raw_name);
        struct ts_location key = {.raw_name = name, .line_number = -1};
        uint32_t ignored;
        int rc = ts_intern_add(&pending->functions, &key, &ignored);
        if (rc)
            return rc;
    }
    return 0;
}

static int load_location(void *data, uint32_t id, const struct ts_location *location, int64_t last)
{
    struct tsd_pending *pending = data;
    int rc = tsd_names_load(&pending->locations, id, location, last);
    return rc ? rc : count_functions(pending);
}

static int load_labels(void *data, uint32_t id, const char *canonical_json, size_t len)
{
    struct tsd_pending *pending = data;
    struct ts_location key = {.raw_name = {canonical_json, len}, .line_number = -1};
    return tsd_names_load(&pending->label_sets, id, &key, INT64_MAX);
}

/* Names that are stored no longer wait. */
static void names_are_stored(struct tsd_pending *pending)
{
    pending->names_stored = tsd_memory_of_names(&pending->locations.known, &pending->label_sets.known);
}

int tsd_pending_load(struct tsd_pending *pending, struct ts_store *store)
{
    struct ts_store_names names = {0};
    int rc = ts_store_load_names(store, load_location, load_labels, pending, &names);
    if (names.largest_location >= pending->locations.next)
        pending->locations.next = names.largest_location + 1;
    pending->locations.not_held = names.not_loaded;
    names_are_stored(pending);
    return rc;
}

static int translate_locations(struct tsd_pending *pending, struct tsd_source *source)
{
    struct tsd_translation *to = &source->locations;
    const struct tsd_batch *batch = &source->batch;
    uint32_t end = batch->first_location + batch->n_locations;
    assert(to->n >= batch->first_location && to->n <= end);
    int rc = TS_ARRAY_RESERVE(&to->numbers, &to->cap, end);
    /* Continues where an attempt that ran out of memory stopped. */
    for (uint32_t i = to->n - batch->first_location; !rc && i < batch->n_locations; i++) {
        rc = tsd_names_number(&pending->locations, &batch->locations[i], false, &to->numbers[to->n]);
        if (!rc)
            to->n++;
    }
    return rc ? rc : count_functions(pending);
}

static int translate_label_sets(struct tsd_pending *pending, struct tsd_source *source)
{
    struct tsd_translation *to = &source->label_sets;
    const struct tsd_batch *batch = &source->batch;
    uint32_t end = batch->first_label_set + batch->n_label_sets;
    assert(to->n >= batch->first_label_set && to->n <= end);
    int rc = TS_ARRAY_RESERVE(&to->numbers, &to->cap, end);
    for (uint32_t i = to->n - batch->first_label_set; !rc && i < batch->n_label_sets; i++) {
        const struct ts_location *key = &batch->label_sets[i];
        bool none = key->raw_name.len == 2; /* "{}": the bound is for label sets that senders make up */
        rc = tsd_names_number(&pending->label_sets, key, none, &to->numbers[to->n]);
        if (!rc)
            to->n++;
    }
    return rc;
}

int tsd_pending_reserve_marks(struct tsd_pending *pending, size_t n)
{
    int rc = TS_ARRAY_RESERVE(&pending->marks, &pending->cap_marks, pending->n_marks + n);
    return rc ? rc : TS_ARRAY_RESERVE(&pending->rows, &pending->cap_rows, pending->n_marks + n);
}

void tsd_pending_mark(struct tsd_pending *pending, const struct tsd_mark *mark)
{
    struct tsd_client *client = mark->client;
    if (client->pending_mark) { /* the later mark includes the earlier one */
        struct tsd_mark *earlier = &pending->marks[client->pending_mark - 1];
        assert(client->pending_mark <= pending->n_marks && earlier->client == client);
        assert(earlier->seq <= mark->seq && !earlier->forget);
        *earlier = *mark;
        atomic_fetch_sub(&client->marks, 1);
        return;
    }
    assert(pending->n_marks < pending->cap_marks && pending->n_marks < pending->cap_rows); /* reserved */
    pending->marks[pending->n_marks++] = *mark;
    client->pending_mark = pending->n_marks;
}

int tsd_pending_merge(struct tsd_pending *pending, struct tsd_source *source)
{
    struct tsd_batch *batch = &source->batch;
    assert(source->full);
    int rc = translate_locations(pending, source);
    if (!rc)
        rc = translate_label_sets(pending, source);
    if (!rc)
        rc = tsd_pending_reserve_marks(pending, batch->n_marks);
    if (!rc)
        rc = ts_counters_merge(&pending->counters, &batch->counters, source->locations.numbers,
                               source->label_sets.numbers);
    if (rc)
        return rc;
    if (batch->retired)
        source->locations.n = source->label_sets.n = 0;
    for (size_t i = 0; i < batch->n_marks; i++)
        tsd_pending_mark(pending, &batch->marks[i]);
    pending->messages += batch->messages;
    tsd_batch_clear(batch);
    source->full = false;
    return 0;
}

bool tsd_pending_is_empty(const struct tsd_pending *pending)
{
    return !pending->counters.n_rows && !pending->counters.n_profiles && !pending->n_marks;
}

size_t tsd_pending_bytes(const struct tsd_pending *pending)
{
    return tsd_memory_waiting(&(struct tsd_memory){.counters = &pending->counters,
                                                   .locations = &pending->locations.known,
                                                   .label_sets = &pending->label_sets.known,
                                                   .names_passed_on = pending->names_stored});
}

struct ts_store_batch tsd_pending_batch(struct tsd_pending *pending)
{
    struct ts_store_batch batch = {
        .counters = &pending->counters, .clients = pending->rows, .n_clients = pending->n_marks};
    for (size_t i = 0; i < pending->n_marks; i++) {
        const struct tsd_mark *mark = &pending->marks[i];
        pending->rows[i] = (struct ts_client_row){mark->client->id, mark->seq, mark->forget};
    }
    batch.locations = tsd_names_fresh(&pending->locations, &batch.n_locations, &batch.first_location);
    batch.label_sets = tsd_names_fresh(&pending->label_sets, &batch.n_label_sets, &batch.first_label_set);
    return batch;
}

int tsd_pending_renew_locations(struct tsd_pending *pending, tsd_names_keep_fn keep, void *data)
{
    assert(tsd_pending_is_empty(pending));
    int rc = tsd_names_renew(&pending->locations, keep, data, true);
    if (rc)
        return rc;
    ts_intern_deinit(&pending->functions);
    ts_intern_init(&pending->functions);
    pending->functions.views = true;
    pending->counted = 0;
    /* Without memory the count continues with the next new names. */
    (void)!count_functions(pending);
    names_are_stored(pending);
    return 0;
}

static void release_marks(struct tsd_pending *pending, struct tsd_clients *clients)
{
    int64_t uptime = tsd_clients_uptime(clients);
    for (size_t i = 0; i < pending->n_marks; i++) {
        pending->marks[i].client->pending_mark = 0;
        tsd_clients_committed(clients, &pending->marks[i], uptime); /* may free the client */
    }
    pending->n_marks = 0;
}

void tsd_pending_committed(struct tsd_pending *pending, uint64_t commit, struct tsd_clients *clients)
{
    const struct ts_counters *counters = &pending->counters;
    for (uint32_t i = 0; i < counters->n_rows; i++)
        tsd_names_used(&pending->locations, counters->rows[i].location, counters->rows[i].bucket, commit);
    for (uint32_t i = 0; i < counters->n_profiles; i++)
        tsd_names_used(&pending->label_sets, counters->profiles[i].labels, INT64_MAX, commit);
    tsd_names_committed(&pending->locations);
    tsd_names_committed(&pending->label_sets);
    ts_counters_clear(&pending->counters);
    release_marks(pending, clients);
    names_are_stored(pending);
    pending->messages = 0;
}
