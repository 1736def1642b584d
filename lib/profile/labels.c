/*
 * The labels of a message or of a hello: checked, and sorted by key, so that the same labels always give the same text.
 */
#include "lib/base/ascii.h"
#include "lib/profile/decoder.h"

#include <string.h>

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

/* Inserts the key in ascending order. Returns its label; NULL: the label is not allowed, which is noted. */
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
    while (ts_next_member(decoder, &key, &offset)) {
        if (!parse_label(decoder, key, place_label(decoder, key, offset)))
            return false;
    }
    return ts_can_continue(decoder);
}
