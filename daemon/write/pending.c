#include "daemon/write/pending.h"

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
    pending->n_marks = pending->cap_marks = 0;
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

/* Of the locations that are new; their names stay where the table of locations has them. */
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

static size_t names_memory(const struct tsd_pending *pending)
{
    return ts_bounded_memory(&pending->locations.known) + ts_bounded_memory(&pending->label_sets.known);
}

int tsd_pending_load(struct tsd_pending *pending, struct ts_store *store)
{
    struct ts_store_names names = {0};
    int rc = ts_store_load_names(store, load_location, load_labels, pending, &names);
    if (names.largest_location >= pending->locations.next)
        pending->locations.next = names.largest_location + 1;
    pending->locations.not_held = names.not_loaded;
    pending->names_stored = names_memory(pending);
    return rc;
}

/* Room for n more. */
static int reserve(struct tsd_translation *translation, uint32_t n)
{
    if (n <= translation->cap - translation->n)
        return 0;
    uint32_t cap = translation->cap ? translation->cap : 128;
    while (cap - translation->n < n)
        cap *= 2;
    uint32_t *numbers = realloc(translation->numbers, cap * sizeof(*numbers));
    if (!numbers)
        return TS_ENOMEM;
    translation->numbers = numbers;
    translation->cap = cap;
    return 0;
}

static int translate_locations(struct tsd_pending *pending, struct tsd_source *source)
{
    struct tsd_translation *to = &source->locations;
    const struct tsd_batch *batch = &source->batch;
    int rc = reserve(to, batch->first_location + batch->n_locations - to->n);
    /* Begins where an attempt that ran out of memory ended. */
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
    int rc = reserve(to, batch->first_label_set + batch->n_label_sets - to->n);
    for (uint32_t i = to->n - batch->first_label_set; !rc && i < batch->n_label_sets; i++) {
        const struct ts_location *key = &batch->label_sets[i];
        bool none = key->raw_name.len == 2; /* "{}": no labels is no label set that somebody could have too many of */
        rc = tsd_names_number(&pending->label_sets, key, none, &to->numbers[to->n]);
        if (!rc)
            to->n++;
    }
    return rc;
}

int tsd_pending_reserve_marks(struct tsd_pending *pending, size_t n)
{
    if (pending->n_marks + n <= pending->cap_marks)
        return 0;
    size_t cap = pending->cap_marks * 2 + n;
    struct tsd_mark *marks = realloc(pending->marks, cap * sizeof(*marks));
    if (marks)
        pending->marks = marks;
    struct ts_client_row *rows = realloc(pending->rows, cap * sizeof(*rows));
    if (rows)
        pending->rows = rows;
    if (!marks || !rows)
        return TS_ENOMEM;
    pending->cap_marks = cap;
    return 0;
}

void tsd_pending_mark(struct tsd_pending *pending, const struct tsd_mark *mark)
{
    struct tsd_client *client = mark->client;
    if (client->pending_mark) { /* the later one says it all */
        pending->marks[client->pending_mark - 1] = *mark;
        atomic_fetch_sub(&client->marks, 1);
        return;
    }
    pending->marks[pending->n_marks++] = *mark;
    client->pending_mark = pending->n_marks;
}

int tsd_pending_merge(struct tsd_pending *pending, struct tsd_source *source)
{
    struct tsd_batch *batch = &source->batch;
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
    return names_memory(pending) - pending->names_stored + ts_counters_used(&pending->counters);
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
    int rc = tsd_names_renew(&pending->locations, keep, data, true);
    if (rc)
        return rc;
    ts_intern_deinit(&pending->functions);
    ts_intern_init(&pending->functions);
    pending->functions.views = true;
    pending->counted = 0;
    /* A count that memory is short for goes on with the next new names. */
    (void)!count_functions(pending);
    pending->names_stored = names_memory(pending);
    return 0;
}

void tsd_pending_committed(struct tsd_pending *pending, uint64_t commit)
{
    const struct ts_counters *counters = &pending->counters;
    for (uint32_t i = 0; i < counters->n_rows; i++)
        tsd_names_used(&pending->locations, counters->rows[i].location, counters->rows[i].bucket, commit);
    for (uint32_t i = 0; i < counters->n_profiles; i++)
        tsd_names_used(&pending->label_sets, counters->profiles[i].labels, INT64_MAX, commit);
    tsd_names_committed(&pending->locations);
    tsd_names_committed(&pending->label_sets);
    ts_counters_clear(&pending->counters);
    pending->n_marks = 0;
    pending->names_stored = names_memory(pending);
    pending->messages = 0;
}
