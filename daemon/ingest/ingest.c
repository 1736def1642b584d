#include "daemon/ingest/ingest.h"

#include "lib/aggregate/labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int tsd_ingest_init(struct tsd_ingest *ingest, struct tsd_limits *limits, struct tsd_rejects *rejects)
{
    memset(ingest, 0, sizeof(*ingest));
    ingest->limits = limits;
    ingest->rejects = rejects;
    ts_bounded_init(&ingest->locations, atomic_load(&limits->max_locations), TS_OVERFLOW_NAME);
    ts_bounded_init(&ingest->label_sets, atomic_load(&limits->max_label_sets), TS_OVERFLOW_LABELS);
    ts_counters_init(&ingest->counters);
    ts_buf_init(&ingest->labels_text);
    ingest->decoder = ts_decoder_new();
    return ingest->decoder ? ts_decoder_recall_from(ingest->decoder, &ingest->locations.table) : TS_ENOMEM;
}

void tsd_ingest_deinit(struct tsd_ingest *ingest)
{
    ingest->decoder = ts_decoder_free(ingest->decoder);
    ts_bounded_deinit(&ingest->locations);
    ts_bounded_deinit(&ingest->label_sets);
    ts_counters_deinit(&ingest->counters);
    ts_buf_deinit(&ingest->labels_text);
    free(ingest->marks);
    free(ingest->ids);
    ingest->marks = NULL;
    ingest->n_marks = ingest->cap_marks = 0;
    ingest->ids = NULL;
    ingest->cap_ids = 0;
}

void tsd_ingest_reject(struct tsd_ingest *ingest, int code, const char *bytes, size_t len, const struct tsd_peer *peer,
                       const struct ts_fault *fault)
{
    tsd_add(&ingest->stats.received, code != TS_SEQUENCE); /* that one was not taken */
    tsd_add(&ingest->stats.rejected[code], 1);
    tsd_add(&ingest->stats.bytes, len);
    char words[TSD_PEER_MAX];
    tsd_peer_describe(peer, words, sizeof(words));
    tsd_rejects_add(ingest->rejects, code, words, fault->message, bytes, len);
}

/* too_new by the later clock, too_old by the horizon: a jump either way rejects nothing that was good before. */
static int judge_time(const struct tsd_limits *limits, int64_t timestamp, struct ts_fault *ret_fault)
{
    int64_t max_future = atomic_load_explicit(&limits->max_future, memory_order_relaxed);
    if (max_future >= 0) {
        ts_i128 ahead = (ts_i128)timestamp - tsd_clock_latest(&limits->clock);
        if (ahead > max_future) {
            ret_fault->offset = 0;
            snprintf(ret_fault->message, sizeof(ret_fault->message),
                     "timestamp is %.3f s ahead of the clock, aggregation.max_future allows %.3f s",
                     (double)ahead / 1e9, (double)max_future / 1e9);
            return TS_TOO_NEW;
        }
    }
    ts_i128 age = (ts_i128)tsd_clock_horizon(&limits->clock) - timestamp;
    if (age > limits->longest_keep) {
        ret_fault->offset = 0;
        snprintf(ret_fault->message, sizeof(ret_fault->message),
                 "timestamp is %.0f s old, the longest level of aggregation.retention keeps %.0f s", (double)age / 1e9,
                 (double)limits->longest_keep / 1e9);
        return TS_TOO_OLD;
    }
    return 0;
}

/* The number of the profile's label set. Canonical: keys ascending, as the decoder gives them. */
static int intern_labels(struct tsd_ingest *ingest, const struct tsd_labels *labels, uint32_t *ret_id)
{
    struct ts_buf *text = &ingest->labels_text;
    ts_buf_reset(text);
    ts_labels_write(labels->labels, labels->n, text);
    if (ts_buf_failed(text))
        return TS_ENOMEM;
    struct ts_location key = {.raw_name = {text->data, text->len}, .line_number = -1};
    /* No labels is no label set that somebody could have too many of. */
    if (labels->n == 0)
        return ts_bounded_load(&ingest->label_sets, &key, ret_id);
    return ts_bounded_add(&ingest->label_sets, &key, ret_id);
}

static int intern_entries(struct tsd_ingest *ingest, const struct ts_profile *profile)
{
    if (profile->n_entries > ingest->cap_ids) {
        size_t cap = profile->n_entries * 2;
        uint32_t *ids = realloc(ingest->ids, cap * sizeof(*ids));
        if (!ids)
            return TS_ENOMEM;
        ingest->ids = ids;
        ingest->cap_ids = cap;
    }
    for (size_t i = 0; i < profile->n_entries; i++) {
        const struct ts_entry *entry = &profile->entries[i];
        if (entry->recalled) {
            ingest->ids[i] = entry->recalled - 1;
            continue;
        }
        struct ts_location key = {entry->raw_name, entry->file_name, entry->line_number, 0};
        int rc = ts_bounded_add(&ingest->locations, &key, &ingest->ids[i]);
        if (rc)
            return rc;
        ts_decoder_learn(ingest->decoder, entry, ingest->ids[i]);
    }
    return 0;
}

static int add_profile(struct tsd_ingest *ingest, const struct ts_profile *profile, const struct tsd_labels *defaults)
{
    struct tsd_labels own = {profile->labels, profile->n_labels};
    uint32_t labels;
    int rc = intern_labels(ingest, own.n || !defaults ? &own : defaults, &labels);
    if (!rc)
        rc = intern_entries(ingest, profile);
    if (!rc)
        rc = ts_counters_reserve(&ingest->counters, profile->n_entries);
    if (rc)
        return rc;

    int64_t bucket = ts_grid_bucket(&ingest->limits->grid, profile->timestamp);
    bool first = profile->part_index == 0;
    struct ts_profile_sums sums = {
        .profiles = first,
        .exact_profiles = first && profile->exact,
        .total_tt = first ? profile->total_tt : 0,
        .parts_expected = first ? profile->part_count : 0,
        .parts_received = profile->part_count > 0,
    };
    ts_counters_add_profile(&ingest->counters, bucket, labels, &sums);
    for (size_t i = 0; i < profile->n_entries; i++) {
        const struct ts_entry *entry = &profile->entries[i];
        struct ts_sums entry_sums = {entry->cumtime, entry->tottime, entry->ncalls, entry->pcalls};
        ts_counters_add(&ingest->counters, bucket, labels, ingest->ids[i], &entry_sums);
    }
    return 0;
}

int tsd_ingest_read(struct tsd_ingest *ingest, const char *bytes, size_t len, const struct ts_profile **ret_profile,
                    struct ts_fault *ret_fault)
{
    const struct ts_profile *profile = NULL;
    int rc = ts_decode(ingest->decoder, bytes, len, &profile, ret_fault);
    if (!rc)
        rc = judge_time(ingest->limits, profile->timestamp, ret_fault);
    if (!rc)
        *ret_profile = profile;
    return rc;
}

int tsd_ingest_add(struct tsd_ingest *ingest, const struct ts_profile *profile, const struct tsd_labels *defaults,
                   size_t len)
{
    int rc = add_profile(ingest, profile, defaults);
    if (rc)
        return rc;
    tsd_add(&ingest->stats.bytes, len);
    tsd_add(&ingest->stats.received, 1);
    tsd_add(&ingest->stats.accepted, 1);
    tsd_add(&ingest->stats.entries, profile->n_entries);
    ingest->messages++;
    return 0;
}

int tsd_ingest_message(struct tsd_ingest *ingest, const char *bytes, size_t len, const struct tsd_peer *peer,
                       struct ts_fault *ret_fault)
{
    const struct ts_profile *profile;
    int rc = tsd_ingest_read(ingest, bytes, len, &profile, ret_fault);
    if (!rc)
        return tsd_ingest_add(ingest, profile, NULL, len);
    if (rc > 0 && rc != TS_HELLO)
        tsd_ingest_reject(ingest, rc, bytes, len, peer, ret_fault);
    return rc;
}

void tsd_ingest_duplicate(struct tsd_ingest *ingest, size_t len)
{
    tsd_add(&ingest->stats.bytes, len);
    tsd_add(&ingest->stats.received, 1);
    tsd_add(&ingest->stats.duplicates, 1);
}

int tsd_ingest_reserve_mark(struct tsd_ingest *ingest)
{
    if (ingest->n_marks < ingest->cap_marks)
        return 0;
    size_t cap = ingest->cap_marks ? ingest->cap_marks * 2 : 64;
    struct tsd_mark *marks = realloc(ingest->marks, cap * sizeof(*marks));
    if (!marks)
        return TS_ENOMEM;
    ingest->marks = marks;
    ingest->cap_marks = cap;
    return 0;
}

void tsd_ingest_mark(struct tsd_ingest *ingest, struct tsd_mark_place *place, const struct tsd_mark *mark)
{
    if (place->hand_over != ingest->hand_overs + 1) {
        place->hand_over = ingest->hand_overs + 1;
        place->index = ingest->n_marks++;
        atomic_fetch_add(&mark->client->marks, 1);
    }
    ingest->marks[place->index] = *mark;
}

static size_t names_memory(const struct tsd_ingest *ingest)
{
    return ts_bounded_memory(&ingest->locations) + ts_bounded_memory(&ingest->label_sets);
}

size_t tsd_ingest_waiting(const struct tsd_ingest *ingest)
{
    const struct ts_counters *c = &ingest->counters;
    return names_memory(ingest) - ingest->names_given + c->n_rows * (sizeof(*c->rows) + 2 * sizeof(*c->slots)) +
           c->n_profiles * (sizeof(*c->profiles) + 2 * sizeof(*c->slots));
}

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

/* A copy of the table's items from `first` on: the array itself may move while the writer reads. */
static int copy_new(const struct ts_intern *table, uint32_t first, struct ts_location **ret_items, uint32_t *ret_n)
{
    uint32_t n = table->n - first;
    *ret_items = NULL;
    *ret_n = n;
    if (!n)
        return 0;
    *ret_items = malloc(n * sizeof(**ret_items));
    if (!*ret_items)
        return TS_ENOMEM;
    memcpy(*ret_items, table->items + first, n * sizeof(**ret_items));
    return 0;
}

int tsd_ingest_hand_over(struct tsd_ingest *ingest, struct tsd_batch *batch)
{
    int rc = copy_new(&ingest->locations.table, ingest->locations_given, &batch->locations, &batch->n_locations);
    if (rc)
        return rc;
    rc = copy_new(&ingest->label_sets.table, ingest->label_sets_given, &batch->label_sets, &batch->n_label_sets);
    if (rc) {
        free(batch->locations);
        batch->locations = NULL;
        return rc;
    }
    batch->first_location = ingest->locations_given;
    batch->first_label_set = ingest->label_sets_given;
    ingest->locations_given = ingest->locations.table.n;
    ingest->label_sets_given = ingest->label_sets.table.n;
    batch->messages = ingest->messages;
    ingest->messages = 0;

    struct tsd_mark *no_marks = batch->marks;
    size_t cap_marks = batch->cap_marks;
    batch->marks = ingest->marks;
    batch->n_marks = ingest->n_marks;
    batch->cap_marks = ingest->cap_marks;
    ingest->marks = no_marks;
    ingest->n_marks = 0;
    ingest->cap_marks = cap_marks;
    ingest->hand_overs++;
    ingest->ack_asked = false;

    struct ts_counters empty = batch->counters;
    batch->counters = ingest->counters;
    ingest->counters = empty;
    tsd_add(&ingest->stats.saturated, batch->counters.saturated);
    batch->counters.saturated = 0; /* counted; a merge must not count it again */

    uint32_t max_locations = atomic_load(&ingest->limits->max_locations);
    uint32_t max_label_sets = atomic_load(&ingest->limits->max_label_sets);
    batch->retired = batch->renew || ts_bounded_full(&ingest->locations) || ts_bounded_full(&ingest->label_sets);
    if (batch->retired) {
        batch->old_locations = ingest->locations;
        batch->old_label_sets = ingest->label_sets;
        ts_bounded_init(&ingest->locations, max_locations, TS_OVERFLOW_NAME);
        ts_bounded_init(&ingest->label_sets, max_label_sets, TS_OVERFLOW_LABELS);
        /* The numbers begin anew. Its table of recent ones is there and large enough, so this needs no memory. */
        (void)!ts_decoder_recall_from(ingest->decoder, &ingest->locations.table);
        ingest->locations_given = 0;
        ingest->label_sets_given = 0;
    }
    ingest->locations.max = max_locations;
    ingest->label_sets.max = max_label_sets;
    ingest->names_given = names_memory(ingest);
    return 0;
}
