/*
 * func_profiles: the functions of a profile, as an object by name or as a list.
 *
 * An entry is written directly into the profile's array. An entry with a fault is not counted there, since the message
 * will be rejected. If a fault is found before func_name is read, ts_note_function() adds the name to it later.
 *
 * Before each entry the fast path (lib/profile/fast.c) reads as many entries as have the form it knows.
 */
#include "lib/base/array.h"
#include "lib/profile/decoder.h"

#include <string.h>

enum member {
    M_OTHER = 0,
    M_NCALLS = 1,
    M_TOTTIME = 2,
    M_CUMTIME = 4,
    M_FILE_NAME = 8,
    M_LINE_NUMBER = 16,
    M_FUNC_NAME = 32
};

static inline bool is(struct ts_str name, const char *text)
{
    return memcmp(name.data, text, name.len) == 0;
}

static enum member which(struct ts_str name)
{
    switch (name.len) {
    case sizeof("ncalls") - 1:
        return is(name, "ncalls") ? M_NCALLS : M_OTHER;
    case sizeof("tottime") - 1:
        return is(name, "tottime") ? M_TOTTIME : is(name, "cumtime") ? M_CUMTIME : M_OTHER;
    case sizeof("file_name") - 1:
        return is(name, "file_name") ? M_FILE_NAME : is(name, "func_name") ? M_FUNC_NAME : M_OTHER;
    case sizeof("line_number") - 1:
        return is(name, "line_number") ? M_LINE_NUMBER : M_OTHER;
    default:
        return M_OTHER;
    }
}

static const char *member_name(enum member member)
{
    switch (member) {
    case M_NCALLS:
        return "ncalls";
    case M_TOTTIME:
        return "tottime";
    case M_CUMTIME:
        return "cumtime";
    case M_FILE_NAME:
        return "file_name";
    case M_LINE_NUMBER:
        return "line_number";
    case M_FUNC_NAME:
        return "func_name";
    case M_OTHER:
        break;
    }
    return "";
}

struct ts_entry *ts_next_entry(struct ts_decoder *decoder)
{
    struct ts_profile *profile = &decoder->profile;
    if (TS_ARRAY_RESERVE(&profile->entries, &decoder->cap_entries, profile->n_entries + 1)) {
        decoder->no_memory = true;
        return NULL;
    }
    struct ts_entry *entry = &profile->entries[profile->n_entries];
    *entry = (struct ts_entry){.line_number = -1};
    return entry;
}

static bool parse_file_name(struct ts_decoder *decoder, struct ts_entry *entry)
{
    enum ts_json_type type = ts_json_next(&decoder->json);
    if (type != TS_JSON_STRING) {
        if (type && type != TS_JSON_NULL)
            ts_note_type(decoder, TS_BAD_SHAPE, type, "file_name", "a string or null");
        return ts_json_skip(&decoder->json);
    }
    size_t offset = ts_json_offset(&decoder->json);
    struct ts_str *name = &entry->file_name;
    if (!ts_parse_string(decoder, name))
        return false;
    if (name->len > TS_FILE_NAME_MAX)
        ts_note(decoder, TS_BAD_SHAPE, offset, "file_name is %zu bytes long, at most %d are allowed", name->len,
                TS_FILE_NAME_MAX);
    else if (memchr(name->data, '\0', name->len))
        ts_note(decoder, TS_BAD_SHAPE, offset, "file_name contains a NUL");
    return true;
}

static bool parse_line_number(struct ts_decoder *decoder, struct ts_entry *entry)
{
    if (ts_json_next(&decoder->json) == TS_JSON_NULL)
        return ts_json_skip(&decoder->json);
    int64_t value = 0;
    bool valid = false;
    if (!ts_parse_integer(decoder, "line_number", INT32_MAX, &value, &valid))
        return false;
    if (valid)
        entry->line_number = (int32_t)value;
    return true;
}

static bool parse_func_name(struct ts_decoder *decoder, struct ts_entry *entry)
{
    enum ts_json_type type = ts_json_next(&decoder->json);
    if (type != TS_JSON_STRING) {
        if (type)
            ts_note_type(decoder, TS_BAD_SHAPE, type, "func_name", "a string");
        return ts_json_skip(&decoder->json);
    }
    size_t offset = ts_json_offset(&decoder->json);
    if (!ts_parse_string(decoder, &entry->raw_name))
        return false;
    ts_note_function(decoder, entry->raw_name);
    ts_check_name(decoder, offset, entry->raw_name);
    return true;
}

static bool parse_member(struct ts_decoder *decoder, struct ts_entry *entry, enum member member, bool listed)
{
    switch (member) {
    case M_NCALLS:
        return ts_parse_calls(decoder, &entry->ncalls, &entry->pcalls);
    case M_TOTTIME:
        return ts_parse_seconds(decoder, "tottime", &entry->tottime);
    case M_CUMTIME:
        return ts_parse_seconds(decoder, "cumtime", &entry->cumtime);
    case M_FILE_NAME:
        return parse_file_name(decoder, entry);
    case M_LINE_NUMBER:
        return parse_line_number(decoder, entry);
    case M_FUNC_NAME:
        if (listed)
            return parse_func_name(decoder, entry);
        break; /* in the object form the key is the name */
    case M_OTHER:
        break;
    }
    return ts_json_skip(&decoder->json);
}

/* The entry at json->at. name: in the object form, its key; NULL: in the list form. */
static bool parse_entry(struct ts_decoder *decoder, const struct ts_str *name)
{
    struct ts_json *json = &decoder->json;
    struct ts_entry *entry = ts_next_entry(decoder);
    if (!entry)
        return false;
    enum ts_json_type type = ts_json_next(json);
    size_t begin = ts_json_offset(json);
    if (name)
        entry->raw_name = *name;
    if (type != TS_JSON_OBJECT) {
        if (type)
            ts_note_type(decoder, TS_BAD_SHAPE, type, name ? "the entry" : "the entry of func_profiles", "an object");
        return ts_json_skip(json);
    }
    decoder->entry = begin + 1;
    unsigned seen = 0;
    struct ts_json_string key;
    ts_json_begin(json);
    while (ts_json_member(json, &key)) {
        struct ts_str text;
        if (!ts_parse_text(decoder, &key, &text))
            return false;
        enum member member = which(text);
        bool twice = member && ts_member_twice(decoder, &seen, member, (size_t)(key.bytes - 1 - json->begin),
                                               member_name(member));
        if (!(twice ? ts_json_skip(json) : parse_member(decoder, entry, member, !name)))
            return false;
    }
    if (json->error)
        return false;
    if (!(seen & M_CUMTIME))
        ts_note(decoder, TS_BAD_SHAPE, begin, "cumtime is missing");
    if (!name && !(seen & M_FUNC_NAME))
        ts_note(decoder, TS_BAD_SHAPE, begin, "func_name is missing");
    if (!decoder->shape.code && !decoder->range.code)
        decoder->profile.n_entries++;
    decoder->entry = 0;
    decoder->function = (struct ts_str){0};
    return true;
}

static bool parse_named(struct ts_decoder *decoder)
{
    struct ts_json *json = &decoder->json;
    struct ts_json_string key;
    for (;;) {
        struct ts_str name;
        if (!ts_fast_parse(decoder, false))
            return false;
        if (!ts_json_member(json, &key))
            return !json->error;
        if (!ts_parse_text(decoder, &key, &name))
            return false;
        decoder->function = name;
        ts_check_name(decoder, (size_t)(key.bytes - 1 - json->begin), name);
        if (!parse_entry(decoder, &name))
            return false;
        decoder->function = (struct ts_str){0};
    }
}

static bool parse_listed(struct ts_decoder *decoder)
{
    for (;;) {
        if (!ts_fast_parse(decoder, true))
            return false;
        if (!ts_json_element(&decoder->json))
            return !decoder->json.error;
        if (!parse_entry(decoder, NULL))
            return false;
    }
}

bool ts_parse_functions(struct ts_decoder *decoder)
{
    struct ts_json *json = &decoder->json;
    enum ts_json_type type = ts_json_next(json);
    if (type != TS_JSON_OBJECT && type != TS_JSON_LIST) {
        if (type)
            ts_note_type(decoder, TS_BAD_SHAPE, type, "func_profiles", "an object or a list");
        return ts_json_skip(json);
    }
    ts_json_begin(json);
    return type == TS_JSON_OBJECT ? parse_named(decoder) : parse_listed(decoder);
}
