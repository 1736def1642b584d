/*
 * The decoder from outside: its memory, and the result of one message. The walk is in lib/profile/message.c.
 */
#include "lib/profile/decoder.h"

#include <stdlib.h>

struct ts_decoder *ts_decoder_new(void)
{
    struct ts_decoder *decoder = calloc(1, sizeof(*decoder));
    if (decoder)
        ts_fast_init(decoder);
    return decoder;
}

struct ts_decoder *ts_decoder_free(struct ts_decoder *decoder)
{
    if (decoder) {
        free(decoder->profile.entries);
        free(decoder->arena);
        free(decoder->recall.recent);
        free(decoder);
    }
    return NULL;
}

/* Forgets the previous message, but keeps the memory. */
static void start(struct ts_decoder *decoder, const char *bytes, size_t len)
{
    struct ts_profile *profile = &decoder->profile;
    ts_json_init(&decoder->json, len ? bytes : "", len, TS_DEPTH_MAX);
    *profile = (struct ts_profile){.entries = profile->entries};
    decoder->arena_len = 0;
    decoder->n_fast = 0;
    decoder->no_memory = false;
    decoder->hello = false;
    decoder->entry = 0;
    decoder->function = (struct ts_str){0};
    decoder->shape.code = 0;
    decoder->shape.entry = 0;
    decoder->range.code = 0;
    decoder->range.entry = 0;
}

static int give_fault(const struct ts_noted *noted, struct ts_fault *ret_fault)
{
    ts_fault_write(ret_fault, noted->offset, noted->function, noted->text);
    return noted->code;
}

int ts_decode(struct ts_decoder *decoder, const char *bytes, size_t len, const struct ts_profile **ret_profile,
              struct ts_fault *ret_fault)
{
    start(decoder, bytes, len);
    if (ts_parse_message(decoder))
        ts_json_end(&decoder->json);
    const struct ts_json *json = &decoder->json;
    if (decoder->no_memory)
        return TS_ENOMEM;
    if (json->error) {
        ts_fault_write(ret_fault, json->offset, decoder->function, json->why);
        return json->error;
    }
    if (decoder->hello) {
        ts_fault_write(ret_fault, decoder->hello_offset, (struct ts_str){0},
                       "a hello can only be the first line of a stream");
        return TS_HELLO;
    }
    if (decoder->shape.code)
        return give_fault(&decoder->shape, ret_fault);
    if (decoder->range.code)
        return give_fault(&decoder->range, ret_fault);
    *ret_profile = &decoder->profile;
    return 0;
}

bool ts_decoder_seq(const struct ts_decoder *decoder, uint64_t *ret_seq)
{
    if (decoder->json.error || !decoder->profile.has_seq)
        return false;
    *ret_seq = (uint64_t)decoder->profile.seq;
    return true;
}

int ts_decoder_recall_from(struct ts_decoder *decoder, const struct ts_intern *table)
{
    return ts_recall_start(&decoder->recall, table);
}

void ts_decoder_learn(struct ts_decoder *decoder, const struct ts_entry *entry, uint32_t number)
{
    ts_recall_learn(&decoder->recall, entry, number);
}
