/*
 * The general path: any JSON of the right shape, whatever the order of its members. See lib/profile/decoder.h for how
 * it walks. Entries are read by lib/profile/entry.c, single values by lib/profile/value.c.
 *
 * What the contract leaves open: the offset of a missing member is that of its object's opening brace; of a repeated
 * member, that of its second name; of a list that has not exactly two elements, that of its bracket. A file_name with a
 * NUL or beyond the limit is bad_shape. p > n in ncalls, and a part outside 0 <= i < n, are out_of_range. A count such
 * as "-1" or "1e3" is bad_shape, and so are 1.0 and 1e0 for an integer.
 */
#include "lib/base/number.h"
#include "lib/profile/decoder.h"

#include <string.h>

enum member {
    M_OTHER = 0,
    M_TIMESTAMP = 1,
    M_PROFILE = 2,
    M_LABELS = 4,
    M_EXACT = 8,
    M_PART = 16,
    M_TOTAL_TT = 32,
    M_FUNC_PROFILES = 64,
    /* These two may be repeated and have any type: */
    M_SEQ = 128,
    M_HELLO = 256
};

struct member_name {
    const char *name;
    enum member member;
};

static const struct member_name message_members[] = {
    {"timestamp", M_TIMESTAMP}, {"profile", M_PROFILE}, {"labels", M_LABELS}, {"exact", M_EXACT},
    {"part", M_PART},           {"seq", M_SEQ},         {"hello", M_HELLO},   {NULL, M_OTHER},
};

static const struct member_name profile_members[] = {
    {"total_tt", M_TOTAL_TT},
    {"func_profiles", M_FUNC_PROFILES},
    {NULL, M_OTHER},
};

static const struct member_name *find_member(const struct member_name *names, struct ts_str text)
{
    while (names->name && (strlen(names->name) != text.len || memcmp(names->name, text.data, text.len) != 0))
        names++;
    return names;
}

static bool parse_exact(struct ts_decoder *decoder)
{
    enum ts_json_type type = ts_json_next(&decoder->json);
    if (type && type != TS_JSON_TRUE && type != TS_JSON_FALSE)
        ts_note_type(decoder, TS_BAD_SHAPE, type, "exact", "true or false");
    decoder->profile.exact = type == TS_JSON_TRUE;
    return ts_json_skip(&decoder->json);
}

static bool parse_part(struct ts_decoder *decoder)
{
    struct ts_json *json = &decoder->json;
    enum ts_json_type type = ts_json_next(json);
    if (type != TS_JSON_LIST) {
        if (type)
            ts_note_type(decoder, TS_BAD_SHAPE, type, "part", "a list [i, n]");
        return ts_json_skip(json);
    }
    size_t begin = ts_json_offset(json);
    int64_t values[2] = {0, 0};
    bool valid[2] = {false, false};
    size_t n = 0;
    ts_json_begin(json);
    for (; ts_json_element(json); n++) {
        bool ok = n < 2 ? ts_parse_integer(decoder, "part", INT64_MAX, &values[n], &valid[n]) : ts_json_skip(json);
        if (!ok)
            return false;
    }
    if (!ts_can_continue(decoder))
        return false;
    if (n != 2)
        ts_note(decoder, TS_BAD_SHAPE, begin, "part has %zu elements, [i, n] is needed", n);
    else if (valid[0] && valid[1] && values[0] >= values[1])
        ts_note(decoder, TS_OUT_OF_RANGE, begin, "part is [%lld, %lld], the first must be below the second",
                (long long)values[0], (long long)values[1]);
    decoder->profile.part_index = values[0];
    decoder->profile.part_count = values[1];
    return true;
}

static bool parse_seq(struct ts_decoder *decoder)
{
    struct ts_profile *profile = &decoder->profile;
    profile->has_seq = false;
    profile->seq = 0;
    if (ts_json_next(&decoder->json) != TS_JSON_NUMBER)
        return ts_json_skip(&decoder->json);
    struct ts_json_number number;
    if (!ts_json_number(&decoder->json, &number))
        return false;
    int64_t seq = 0;
    if (number.integer && ts_number_integer(number.text, number.len, 0, INT64_MAX, &seq) && *number.text != '-')
        seq = INT64_MAX; /* beyond 64 bits: after a gap in any case */
    if (seq > 0) {
        profile->has_seq = true;
        profile->seq = seq;
    }
    return true;
}

static bool parse_profile(struct ts_decoder *decoder)
{
    struct ts_json *json = &decoder->json;
    enum ts_json_type type = ts_json_next(json);
    if (type != TS_JSON_OBJECT) {
        if (type)
            ts_note_type(decoder, TS_BAD_SHAPE, type, "profile", "an object");
        return ts_json_skip(json);
    }
    size_t begin = ts_json_offset(json);
    unsigned seen = 0;
    struct ts_str key;
    size_t offset;
    ts_json_begin(json);
    while (ts_next_member(decoder, &key, &offset)) {
        const struct member_name *row = find_member(profile_members, key);
        bool ok;
        if (!row->member || ts_member_twice(decoder, &seen, row->member, offset, row->name))
            ok = ts_json_skip(json);
        else if (row->member == M_TOTAL_TT)
            ok = ts_parse_seconds(decoder, "total_tt", &decoder->profile.total_tt);
        else
            ok = ts_parse_functions(decoder);
        if (!ok)
            return false;
    }
    if (!ts_can_continue(decoder))
        return false;
    if (!(seen & M_FUNC_PROFILES))
        ts_note(decoder, TS_BAD_SHAPE, begin, "func_profiles is missing in profile");
    return true;
}

/* Remembers the first value of hello. lib/profile/hello.c reads it, if the message is no profile. */
static bool parse_hello(struct ts_decoder *decoder, size_t offset)
{
    struct ts_json *json = &decoder->json;
    ts_json_next(json);
    const char *begin = json->at;
    if (!ts_json_skip(json))
        return false;
    if (!decoder->hello) {
        decoder->hello_offset = offset;
        decoder->hello_begin = begin;
        decoder->hello_end = json->at;
    }
    decoder->hello = true;
    return true;
}

static bool parse_message_member(struct ts_decoder *decoder, enum member member, size_t offset)
{
    switch (member) {
    case M_TIMESTAMP:
        return ts_parse_timestamp(decoder, &decoder->profile.timestamp);
    case M_PROFILE:
        return parse_profile(decoder);
    case M_LABELS:
        return ts_parse_labels(decoder);
    case M_EXACT:
        return parse_exact(decoder);
    case M_PART:
        return parse_part(decoder);
    case M_SEQ:
        return parse_seq(decoder);
    case M_HELLO:
        return parse_hello(decoder, offset);
    default:
        break;
    }
    return ts_json_skip(&decoder->json);
}

static bool parse_object(struct ts_decoder *decoder)
{
    size_t begin = ts_json_offset(&decoder->json);
    unsigned seen = 0;
    struct ts_str key;
    size_t offset;
    ts_json_begin(&decoder->json);
    while (ts_next_member(decoder, &key, &offset)) {
        const struct member_name *row = find_member(message_members, key);
        bool counted = row->member && row->member < M_SEQ;
        bool twice = counted && ts_member_twice(decoder, &seen, row->member, offset, row->name);
        if (!(twice ? ts_json_skip(&decoder->json) : parse_message_member(decoder, row->member, offset)))
            return false;
    }
    if (!ts_can_continue(decoder))
        return false;
    if (seen & M_TIMESTAMP)
        decoder->hello = false; /* in a profile a member of this name is ignored */
    if (!(seen & M_TIMESTAMP))
        ts_note(decoder, TS_BAD_SHAPE, begin, "timestamp is missing");
    if (!(seen & M_PROFILE))
        ts_note(decoder, TS_BAD_SHAPE, begin, "profile is missing");
    return true;
}

static bool parse_list(struct ts_decoder *decoder)
{
    struct ts_json *json = &decoder->json;
    size_t begin = ts_json_offset(json);
    size_t n = 0;
    ts_json_begin(json);
    for (; ts_json_element(json); n++) {
        bool ok;
        if (n == 0)
            ok = ts_parse_timestamp(decoder, &decoder->profile.timestamp);
        else
            ok = n == 1 ? parse_profile(decoder) : ts_json_skip(json);
        if (!ok)
            return false;
    }
    if (!ts_can_continue(decoder))
        return false;
    if (n != 2)
        ts_note(decoder, TS_BAD_SHAPE, begin, "the list has %zu elements, [timestamp, profile] is needed", n);
    return true;
}

bool ts_parse_message(struct ts_decoder *decoder)
{
    enum ts_json_type type = ts_json_next(&decoder->json);
    if (type == TS_JSON_OBJECT)
        return parse_object(decoder);
    if (type == TS_JSON_LIST)
        return parse_list(decoder);
    if (type)
        ts_note_type(decoder, TS_BAD_SHAPE, type, "the message", "an object or a list");
    return ts_json_skip(&decoder->json);
}
