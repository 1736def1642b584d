#include "daemon/ingest/ingest.h"

#include "daemon/ingest/memory.h"
#include "lib/aggregate/labels.h"
#include "lib/base/array.h"

#include <assert.h>
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
    tsd_add(&ingest->stats.received, code != TS_SEQUENCE); /* the sender repeats that one */
    tsd_add(&ingest->stats.rejected[code], 1);
    tsd_add(&ingest->stats.bytes, len);
    char sender[TSD_PEER_MAX];
    tsd_peer_describe(peer, sender, sizeof(sender));
    tsd_rejects_add(ingest->rejects, code, sender, fault->message, bytes, len);
}

/* too_new uses the later clock and too_old the horizon: a clock jump in either direction rejects nothing that was
 * accepted before. */
static int check_time(const struct tsd_limits *limits, int64_t timestamp, struct ts_fault *ret_fault)
{
    int64_t max_future = atomic_load_explicit(&limits->max_future, memory_order_relaxed);
    if (max_future >= 0) {
        ts_i128 ahead = (ts_i128)timestamp - tsd_clock_latest(&limits->clock);
        if (ahead > max_future) {
            ret_fault->offset = 0;
            snprintf(ret_fault->message, sizeof(ret_fault->message),
                     "timestamp is %.3f s ahead of the clock; aggregation.max_future is %.3f s", (double)ahead / 1e9,
                     (double)max_future / 1e9);
            return TS_TOO_NEW;
        }
    }
    ts_i128 age = (ts_i128)tsd_clock_horizon(&limits->clock) - timestamp;
    if (age > limits->longest_keep) {
        ret_fault->offset = 0;
        snprintf(ret_fault->message, sizeof(ret_fault->message),
                 "timestamp is %.0f s old; the longest retention in aggregation.retention is %.0f s", (double)age / 1e9,
                 (double)limits->longest_keep / 1e9);
        return TS_TOO_OLD;
    }
    return 0;
}

/* The number of the profile's label set. The text is canonical because the decoder sorts the keys. */
static int intern_labels(struct tsd_ingest *ingest, const struct tsd_labels *labels, uint32_t *ret_id)
{
    struct ts_buf *text = &ingest->labels_text;
    ts_buf_reset(text);
    ts_labels_write(labels->labels, labels->n, text);
    if (ts_buf_failed(text))
        return TS_ENOMEM;
    struct ts_location key = {.raw_name = {text->data, text->len}, .line_number = -1};
    /* The bound is for label sets that senders make up; the empty one is always there. */
    if (labels->n == 0)
        return ts_bounded_load(&ingest->label_sets, &key, ret_id);
    return ts_bounded_add(&ingest->label_sets, &key, ret_id);
}

static int intern_entries(struct tsd_ingest *ingest, const struct ts_profile *profile)
{
    if (TS_ARRAY_RESERVE(&ingest->ids, &ingest->cap_ids, profile->n_entries))
        return TS_ENOMEM;
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
        rc = check_time(ingest->limits, profile->timestamp, ret_fault);
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
    return TS_ARRAY_RESERVE(&ingest->marks, &ingest->cap_marks, ingest->n_marks + 1);
}

void tsd_ingest_mark(struct tsd_ingest *ingest, struct tsd_mark_place *place, const struct tsd_mark *mark)
{
    if (place->hand_over != ingest->hand_overs + 1) {
        assert(ingest->n_marks < ingest->cap_marks); /* reserved */
        place->hand_over = ingest->hand_overs + 1;
        place->index = ingest->n_marks++;
        atomic_fetch_add(&mark->client->marks, 1);
    } else {
        assert(place->index < ingest->n_marks && ingest->marks[place->index].client == mark->client);
        assert(ingest->marks[place->index].seq <= mark->seq);
    }
    ingest->marks[place->index] = *mark;
}

size_t tsd_ingest_waiting(const struct tsd_ingest *ingest)
{
    return tsd_memory_waiting(&(struct tsd_memory){.counters = &ingest->counters,
                                                   .locations = &ingest->locations,
                                                   .label_sets = &ingest->label_sets,
                                                   .names_passed_on = ingest->names_passed_on});
}
