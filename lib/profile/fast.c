/*
 * Chooses the variant of the fast path (lib/profile/fast_run.c) for this processor, and the spacing for this text.
 */
#include "lib/profile/decoder.h"

#include <string.h>

enum { LOOK = 2048 /* bytes in which to look for the first colon: more than a name and its quotes */ };

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

/* Is there a space after the first colon of an entry, as in `"ncalls": "` or `"func_name": "`? */
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
    /* After a fault the message is rejected anyway; the general path continues, to check the syntax. */
    if (json->end - json->at < TS_FAST_MARGIN || decoder->shape.code || decoder->range.code || !decoder->fast)
        return true;
    return decoder->fast(decoder, listed, looks_spaced(json));
}
