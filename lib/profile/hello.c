/*
 * Lines of a stream that are no profiles: a hello and a bye.
 *
 * ts_decode() has checked the syntax of a hello already. Its value is read here with the same decoder, so that labels
 * and faults are treated as in a profile.
 */
#include "lib/base/ascii.h"
#include "lib/profile/decoder.h"

#include <string.h>

enum { CLIENT = 1, LABELS = 2 };

static bool client_ok(struct ts_str client)
{
    for (size_t i = 0; i < client.len; i++) {
        char c = client.data[i];
        if (!ts_is_letter(c) && !ts_is_digit(c) && c != '-')
            return false;
    }
    return client.len > 0 && client.len <= TS_CLIENT_MAX;
}

static bool parse_client(struct ts_decoder *decoder, struct ts_str *ret_client)
{
    char shown[TS_SHOWN];
    struct ts_str client;
    enum ts_json_type type = ts_json_next(&decoder->json);
    size_t offset = ts_json_offset(&decoder->json);
    if (type != TS_JSON_STRING) {
        if (type)
            ts_note_type(decoder, TS_BAD_SHAPE, type, "client", "a string");
        return ts_json_skip(&decoder->json);
    }
    if (!ts_parse_string(decoder, &client))
        return false;
    if (!client_ok(client))
        ts_note(decoder, TS_BAD_SHAPE, offset, "client is %s, 1 to %d characters of [A-Za-z0-9-] are needed",
                ts_shown(client, shown), TS_CLIENT_MAX);
    *ret_client = client;
    return true;
}

static bool is(struct ts_str text, const char *name)
{
    return text.len == strlen(name) && memcmp(text.data, name, text.len) == 0;
}

static bool parse_members(struct ts_decoder *decoder, struct ts_str *ret_client)
{
    struct ts_json *json = &decoder->json;
    enum ts_json_type type = ts_json_next(json);
    size_t begin = ts_json_offset(json);
    if (type != TS_JSON_OBJECT) {
        if (type)
            ts_note_type(decoder, TS_BAD_SHAPE, type, "hello", "an object");
        return ts_json_skip(json);
    }
    unsigned seen = 0;
    struct ts_json_string key;
    ts_json_begin(json);
    while (ts_json_member(json, &key)) {
        struct ts_str name;
        size_t offset = (size_t)(key.bytes - 1 - json->begin);
        bool ok;
        if (!ts_parse_text(decoder, &key, &name))
            return false;
        if (is(name, "client") && !ts_member_twice(decoder, &seen, CLIENT, offset, "client"))
            ok = parse_client(decoder, ret_client);
        else if (is(name, "labels") && !ts_member_twice(decoder, &seen, LABELS, offset, "labels"))
            ok = ts_parse_labels(decoder);
        else
            ok = ts_json_skip(json);
        if (!ok)
            return false;
    }
    if (!(seen & CLIENT))
        ts_note(decoder, TS_BAD_SHAPE, begin, "client is missing in hello");
    return !json->error;
}

int ts_decode_hello(struct ts_decoder *decoder, struct ts_hello *ret_hello, struct ts_fault *ret_fault)
{
    struct ts_json *json = &decoder->json;
    struct ts_str client = {0};
    ts_json_init(json, json->begin, (size_t)(decoder->hello_end - json->begin), TS_DEPTH_MAX);
    json->at = decoder->hello_begin;
    decoder->shape.code = 0;
    decoder->shape.entry = 0;
    decoder->profile.n_labels = 0;
    decoder->arena_len = 0;
    parse_members(decoder, &client);
    if (decoder->no_memory)
        return TS_ENOMEM;
    if (decoder->shape.code) {
        ts_fault_write(ret_fault, decoder->shape.offset, (struct ts_str){0}, decoder->shape.text);
        return decoder->shape.code;
    }
    *ret_hello = (struct ts_hello){client, decoder->profile.labels, decoder->profile.n_labels};
    return 0;
}

bool ts_is_bye(const char *bytes, size_t len)
{
    struct ts_json json;
    struct ts_json_string key;
    ts_json_init(&json, bytes, len, 2);
    if (ts_json_next(&json) != TS_JSON_OBJECT || !ts_json_begin(&json) || !ts_json_member(&json, &key) || key.escaped ||
        key.len != 3 || memcmp(key.bytes, "bye", 3) != 0 || ts_json_next(&json) != TS_JSON_TRUE || !ts_json_skip(&json))
        return false;
    return !ts_json_member(&json, &key) && !json.error && ts_json_end(&json);
}
