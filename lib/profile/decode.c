/*
 * One message to one profile, the general path: any JSON of the right shape, whatever the order of its members.
 * See lib/profile/decoder.h for how it walks; entries are read by lib/profile/entry.c, single values by
 * lib/profile/value.c.
 *
 * Where the contract leaves it open: a missing member is at its object's opening brace, a member twice at its second
 * name; a list of not exactly two is at its bracket; file_name with a NUL or too long is bad_shape; p > n, and a part
 * outside 0 <= i < n, is out_of_range; a count like "-1" or "1e3" is bad_shape, so are 1.0 and 1e0 for an integer.
 */
#include "lib/profile/profile.h"

#include "lib/base/ascii.h"
#include "lib/base/number.h"
#include "lib/profile/decoder.h"

#include <stdlib.h>
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
    /* These two are not the table's: nothing is wrong with them twice, or of another type. */
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

static const struct member_name *which(const struct member_name *names, struct ts_str text)
{
    while (names->name && (strlen(names->name) != text.len || memcmp(names->name, text.data, text.len) != 0))
        names++;
    return names;
}

/* Steps to the next member of the object; false after the last, and where the walk ends. */
static bool next_member(struct ts_decoder *decoder, struct ts_str *ret_name, size_t *ret_offset)
{
    struct ts_json_string key;
    if (!ts_json_member(&decoder->json, &key) || !ts_parse_text(decoder, &key, ret_name))
        return false;
    *ret_offset = (size_t)(key.bytes - 1 - decoder->json.begin);
    return true;
}

static bool going(const struct ts_decoder *decoder)
{
    return !decoder->json.error && !decoder->no_memory;
}

static bool label_key_ok(struct ts_str key)
{
    for (size_t i = 0; i < key.len; i++) {
        char c = key.data[i];
        bool letter = ts_is_letter(c) || c == '_';
        if (!letter && (i == 0 || !ts_is_digit(c)))
            return false;
    }
    return key.len > 0 && key.len <= TS_LABEL_KEY_MAX;
}

/* Puts the key into its place, ascending; gives it, or NULL where the label cannot be taken, which is noted. */
static struct ts_label *place_label(struct ts_decoder *decoder, struct ts_str key, size_t offset)
{
    struct ts_profile *profile = &decoder->profile;
    char shown[TS_SHOWN];
    if (!label_key_ok(key)) {
        ts_note(decoder, TS_BAD_LABELS, offset, "the label key %s is not of the form [A-Za-z_][A-Za-z0-9_]*, up to %d",
                ts_shown(key, shown), TS_LABEL_KEY_MAX);
        return NULL;
    }
    size_t at = profile->n_labels;
    for (; at > 0; at--) {
        struct ts_str other = profile->labels[at - 1].key;
        int order = memcmp(other.data, key.data, other.len < key.len ? other.len : key.len);
        if (order == 0 && other.len == key.len) {
            ts_note(decoder, TS_BAD_LABELS, offset, "the label %s is given twice", ts_shown(key, shown));
            return NULL;
        }
        if (order < 0 || (order == 0 && other.len < key.len))
            break;
    }
    if (profile->n_labels == TS_LABELS_MAX) {
        ts_note(decoder, TS_BAD_LABELS, offset, "there are more than %d labels", TS_LABELS_MAX);
        return NULL;
    }
    memmove(&profile->labels[at + 1], &profile->labels[at], (profile->n_labels - at) * sizeof(profile->labels[0]));
    profile->n_labels++;
    profile->labels[at].key = key;
    return &profile->labels[at];
}

static bool parse_label(struct ts_decoder *decoder, struct ts_str key, struct ts_label *label)
{
    char shown[TS_SHOWN];
    char member[TS_SHOWN + 16] = "label ";
    enum ts_json_type type = ts_json_next(&decoder->json);
    size_t offset = ts_json_offset(&decoder->json);
    if (type != TS_JSON_STRING) {
        if (type)
            ts_note_type(decoder, TS_BAD_LABELS, type, strcat(member, ts_shown(key, shown)), "a string");
        return ts_json_skip(&decoder->json);
    }
    struct ts_str value;
    if (!ts_parse_string(decoder, &value))
        return false;
    if (value.len > TS_LABEL_VALUE_MAX)
        ts_note(decoder, TS_BAD_LABELS, offset, "label %s is %zu bytes long, at most %d are allowed",
                ts_shown(key, shown), value.len, TS_LABEL_VALUE_MAX);
    else if (memchr(value.data, '\0', value.len))
        ts_note(decoder, TS_BAD_LABELS, offset, "label %s contains a NUL", ts_shown(key, shown));
    if (label)
        label->value = value;
    return true;
}

bool ts_parse_labels(struct ts_decoder *decoder)
{
    enum ts_json_type type = ts_json_next(&decoder->json);
    if (type != TS_JSON_OBJECT) {
        if (type)
            ts_note_type(decoder, TS_BAD_LABELS, type, "labels", "an object of strings");
        return ts_json_skip(&decoder->json);
    }
    ts_json_begin(&decoder->json);
    struct ts_str key;
    size_t offset;
    while (next_member(decoder, &key, &offset)) {
        if (!parse_label(decoder, key, place_label(decoder, key, offset)))
            return false;
    }
    return going(decoder);
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
    bool taken[2] = {false, false};
    size_t n = 0;
    ts_json_begin(json);
    for (; ts_json_element(json); n++) {
        bool ok = n < 2 ? ts_parse_integer(decoder, "part", INT64_MAX, &values[n], &taken[n]) : ts_json_skip(json);
        if (!ok)
            return false;
    }
    if (!going(decoder))
        return false;
    if (n != 2)
        ts_note(decoder, TS_BAD_SHAPE, begin, "part has %zu elements, [i, n] is needed", n);
    else if (taken[0] && taken[1] && values[0] >= values[1])
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
    if (number.integer && !ts_number_integer(number.text, number.len, 0, INT64_MAX, &seq) && seq > 0) {
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
    while (next_member(decoder, &key, &offset)) {
        const struct member_name *row = which(profile_members, key);
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
    if (!going(decoder))
        return false;
    if (!(seen & M_FUNC_PROFILES))
        ts_note(decoder, TS_BAD_SHAPE, begin, "func_profiles is missing in profile");
    return true;
}

/* Only looked at once it is clear that the message is one, and no profile: by lib/profile/hello.c. */
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
    while (next_member(decoder, &key, &offset)) {
        const struct member_name *row = which(message_members, key);
        bool counted = row->member && row->member < M_SEQ;
        bool twice = counted && ts_member_twice(decoder, &seen, row->member, offset, row->name);
        if (!(twice ? ts_json_skip(&decoder->json) : parse_message_member(decoder, row->member, offset)))
            return false;
    }
    if (!going(decoder))
        return false;
    if (seen & M_TIMESTAMP)
        decoder->hello = false; /* a profile that has a member of that name, which means nothing in it */
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
    if (!going(decoder))
        return false;
    if (n != 2)
        ts_note(decoder, TS_BAD_SHAPE, begin, "the list has %zu elements, [timestamp, profile] is needed", n);
    return true;
}

static bool parse_message(struct ts_decoder *decoder)
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

/* Everything of the last message but the memory. */
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
    if (parse_message(decoder))
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
