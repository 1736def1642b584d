/*
 * Chooses the variant of the fast path (lib/profile/fast_run.c) for this processor and this text, and keeps the
 * table of known locations that it looks into.
 */
#include "lib/profile/decoder.h"
#include "lib/profile/recall.h"

#include <stdlib.h>
#include <string.h>

enum {
    LOOK = 2048, /* bytes in which the first colon is looked for: a name and what stands around it */
    RECENT_MIN = 16 * 1024
};

static ts_fast_run best(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("bmi2"))
        return ts_fast_run_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
        return ts_fast_run_avx2;
#endif
    return ts_fast_run_native;
}

void ts_fast_init(struct ts_decoder *decoder)
{
    decoder->fast = best();
}

/* The spacing shows behind the first colon of an entry: `"ncalls": "` or `"func_name": "`. */
static bool looks_spaced(const struct ts_json *json)
{
    const char *p = json->at;
    if (!json->first)
        return p[1] == ' ';
    size_t left = (size_t)(json->end - p) - 1;
    const char *colon = memchr(p, ':', left < LOOK ? left : LOOK);
    return colon && colon[1] == ' ';
}

bool ts_fast_parse(struct ts_decoder *decoder, bool listed)
{
    const struct ts_json *json = &decoder->json;
    /* After a fault the message is rejected, and only the walk for syntax goes on: that is the general path's. */
    if (json->end - json->at < TS_FAST_MARGIN || decoder->shape.code || decoder->range.code || !decoder->fast)
        return true;
    return decoder->fast(decoder, listed, looks_spaced(json));
}

int ts_decoder_recall_from(struct ts_decoder *decoder, const struct ts_intern *table)
{
    struct ts_recall *recall = &decoder->recall;
    uint32_t n = RECENT_MIN;
    while (table && n / 2 < table->n)
        n *= 2;
    if (recall->recent && (!table || recall->mask + 1 >= n)) {
        memset(recall->recent, 0, (recall->mask + 1) * sizeof(*recall->recent));
    } else if (table) {
        uint32_t *recent = calloc(n, sizeof(*recent));
        if (!recent)
            return TS_ENOMEM; /* what was known before still is: the caller has not changed it */
        free(recall->recent);
        recall->recent = recent;
        recall->mask = n - 1;
    }
    recall->table = table;
    return 0;
}

void ts_decoder_learn(struct ts_decoder *decoder, const struct ts_entry *entry, uint32_t number)
{
    struct ts_recall *recall = &decoder->recall;
    if (!recall->table || !entry->key)
        return;
    /* Too many for the table: a larger one, where there is memory for it; else they only meet more often. */
    if (recall->table->n / 2 > recall->mask)
        (void)!ts_decoder_recall_from(decoder, recall->table);
    recall->recent[entry->key >> 1 & recall->mask] = number + 1;
}
