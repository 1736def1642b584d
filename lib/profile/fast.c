/*
 * Chooses the variant of the direct way (lib/profile/fast_run.c) for this processor and this text, and keeps the
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

static ts_direct_run best(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("bmi2"))
        return ts_direct_run_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
        return ts_direct_run_avx2;
#endif
    return ts_direct_run_native;
}

void ts_direct_init(struct ts_decoder *decoder)
{
    decoder->direct = best();
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

bool ts_take_direct(struct ts_decoder *decoder, bool listed)
{
    const struct ts_json *json = &decoder->json;
    /* After a fault the message is rejected, and only the walk for syntax goes on: that is the general way's. */
    if (json->end - json->at < TS_DIRECT_MARGIN || decoder->shape.code || decoder->range.code || !decoder->direct)
        return true;
    return decoder->direct(decoder, listed, looks_spaced(json));
}

int ts_decoder_know(struct ts_decoder *decoder, const struct ts_intern *table)
{
    struct ts_known *known = &decoder->known;
    uint32_t n = RECENT_MIN;
    while (table && n / 2 < table->n)
        n *= 2;
    if (known->recent && (!table || known->mask + 1 >= n)) {
        memset(known->recent, 0, (known->mask + 1) * sizeof(*known->recent));
    } else if (table) {
        uint32_t *recent = calloc(n, sizeof(*recent));
        if (!recent)
            return TS_ENOMEM; /* what was known before still is: the caller has not changed it */
        free(known->recent);
        known->recent = recent;
        known->mask = n - 1;
    }
    known->table = table;
    return 0;
}

void ts_decoder_learn(struct ts_decoder *decoder, const struct ts_entry *entry, uint32_t number)
{
    struct ts_known *known = &decoder->known;
    if (!known->table || !entry->key)
        return;
    /* Too many for the table: a larger one, where there is memory for it; else they only meet more often. */
    if (known->table->n / 2 > known->mask)
        (void)!ts_decoder_know(decoder, known->table);
    known->recent[entry->key >> 1 & known->mask] = number + 1;
}
