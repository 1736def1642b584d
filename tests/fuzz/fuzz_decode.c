/*
 * libFuzzer target: the message decoder. Any bytes are decoded to a profile within the documented bounds, or rejected
 * with an offset inside the input and a UTF-8 message. All variants of the fast path and the general path give the same
 * result, also in a decoder that has seen other messages and recalls their locations.
 */
#include "lib/aggregate/grid.h"
#include "lib/aggregate/intern.h"
#include "lib/base/json.h"
#include "lib/profile/decoder.h"
#include "tests/fuzz/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOCATIONS_MAX = 1000 };

static struct ts_decoder *used; /* shared by all inputs; recalls locations of earlier ones */
static struct ts_intern table;

static void check_utf8(const char *text, size_t len)
{
    for (const char *p = text; p < text + len;) {
        size_t n = ts_utf8_len(p, text + len);
        CHECK(n > 0);
        p += n;
    }
}

static void check_fault(int rc, const struct ts_fault *fault, size_t size)
{
    CHECK(rc == TS_HELLO || (rc > 0 && rc < TS_TOO_NEW && rc != TS_TOO_LARGE));
    CHECK(fault->offset <= size);
    size_t len = strnlen(fault->message, sizeof(fault->message));
    CHECK(len > 0 && len < sizeof(fault->message));
    check_utf8(fault->message, len);
}

static void check_time(int64_t ns)
{
    CHECK(ns >= -TS_TIME_MAX_NS && ns <= TS_TIME_MAX_NS);
}

static void check_profile(const struct ts_profile *profile)
{
    CHECK(profile->timestamp >= -TS_TIMESTAMP_MAX_NS && profile->timestamp <= TS_TIMESTAMP_MAX_NS);
    check_time(profile->total_tt);
    CHECK(profile->part_count == 0 ? profile->part_index == 0
                                   : profile->part_index >= 0 && profile->part_index < profile->part_count);
    CHECK(!profile->has_seq || profile->seq > 0);
    CHECK(profile->n_labels <= TS_LABELS_MAX);
    for (size_t i = 0; i < profile->n_labels; i++) {
        const struct ts_label *label = &profile->labels[i];
        CHECK(label->key.len > 0 && label->key.len <= TS_LABEL_KEY_MAX && label->value.len <= TS_LABEL_VALUE_MAX);
        check_utf8(label->value.data, label->value.len);
        CHECK(!memchr(label->value.data, '\0', label->value.len));
    }
    for (size_t i = 0; i < profile->n_entries; i++) {
        const struct ts_entry *entry = &profile->entries[i];
        CHECK(entry->raw_name.data && entry->raw_name.len <= TS_NAME_MAX);
        check_utf8(entry->raw_name.data, entry->raw_name.len);
        CHECK(!memchr(entry->raw_name.data, '\0', entry->raw_name.len));
        CHECK(entry->file_name.len <= TS_FILE_NAME_MAX);
        if (entry->file_name.data)
            check_utf8(entry->file_name.data, entry->file_name.len);
        CHECK(entry->line_number >= -1);
        check_time(entry->cumtime);
        check_time(entry->tottime);
        CHECK(entry->pcalls >= 0 && entry->pcalls <= entry->ncalls && entry->ncalls <= TS_CALLS_MAX);
    }
}

static void check_same_str(struct ts_str a, struct ts_str b)
{
    CHECK(a.len == b.len && !a.data == !b.data && (!a.len || memcmp(a.data, b.data, a.len) == 0));
}

static void check_same(const struct ts_profile *a, const struct ts_profile *b)
{
    CHECK(a->timestamp == b->timestamp && a->total_tt == b->total_tt && a->exact == b->exact);
    CHECK(a->part_index == b->part_index && a->part_count == b->part_count);
    CHECK(a->has_seq == b->has_seq && a->seq == b->seq);
    CHECK(a->n_labels == b->n_labels && a->n_entries == b->n_entries);
    for (size_t i = 0; i < a->n_labels; i++) {
        check_same_str(a->labels[i].key, b->labels[i].key);
        check_same_str(a->labels[i].value, b->labels[i].value);
    }
    for (size_t i = 0; i < a->n_entries; i++) {
        const struct ts_entry *x = &a->entries[i];
        const struct ts_entry *y = &b->entries[i];
        check_same_str(x->raw_name, y->raw_name);
        check_same_str(x->file_name, y->file_name);
        CHECK(x->line_number == y->line_number && x->cumtime == y->cumtime && x->tottime == y->tottime);
        CHECK(x->ncalls == y->ncalls && x->pcalls == y->pcalls);
    }
}

/* A recalled location must be the one in the message. Others are learned, to be recalled in later inputs. */
static void check_recalled(const struct ts_profile *profile)
{
    for (size_t i = 0; i < profile->n_entries; i++) {
        const struct ts_entry *entry = &profile->entries[i];
        struct ts_location key = {entry->raw_name, entry->file_name, entry->line_number, 0};
        uint32_t number;
        if (entry->recalled) {
            CHECK(ts_intern_find(&table, &key, &number) && number == entry->recalled - 1);
            continue;
        }
        if (ts_intern_add(&table, &key, &number))
            abort();
        ts_decoder_learn(used, entry, number);
    }
}

/* Uses another variant of the fast path for each size of the input. */
static void choose_variant(size_t size)
{
    ts_fast_run variants[4] = {ts_fast_run_plain, ts_fast_run_native};
    size_t n = 2;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
        variants[n++] = ts_fast_run_avx2;
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("bmi2"))
        variants[n++] = ts_fast_run_avx512;
#endif
    used->fast = variants[size % n];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!used) {
        used = ts_decoder_new();
        ts_intern_init(&table);
    }
    if (used && table.n > LOCATIONS_MAX)
        ts_intern_deinit(&table);
    if (used && !table.n && ts_decoder_recall_from(used, &table))
        abort();
    struct ts_decoder *fresh = ts_decoder_new();
    char *copy = malloc(size ? size : 1); /* of the same length, so that reads beyond the end are detected */
    if (!used || !fresh || !copy)
        abort();
    if (size % 2) /* the general path alone; otherwise the default variant, with nothing allocated yet */
        fresh->fast = NULL;
    choose_variant(size / 2);
    if (size)
        memcpy(copy, data, size);
    const struct ts_profile *first = NULL;
    const struct ts_profile *second = NULL;
    struct ts_fault first_fault = {0};
    struct ts_fault second_fault = {0};
    int rc = ts_decode(used, copy, size, &first, &first_fault);
    CHECK(ts_decode(fresh, copy, size, &second, &second_fault) == rc);
    CHECK(rc >= 0 && !first == (rc != 0) && !second == (rc != 0));
    if (rc) {
        check_fault(rc, &first_fault, size);
        CHECK(first_fault.offset == second_fault.offset && strcmp(first_fault.message, second_fault.message) == 0);
    } else {
        check_profile(first);
        check_same(first, second);
        check_recalled(first);
        size_t memory = used->cap_entries + used->arena_cap;
        CHECK(ts_decode(used, copy, size, &second, &second_fault) == 0 && second == first);
        CHECK(used->cap_entries + used->arena_cap == memory);
    }
    free(copy);
    ts_decoder_free(fresh);
    return 0;
}
