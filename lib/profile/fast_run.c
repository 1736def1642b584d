/*
 * The fast path through func_profiles: reads entries in the form that json.dumps prints, by comparing them with
 * constants instead of tokenising.
 *
 * Compiled once for each variant (lib/profile/fast.c chooses one): TS_FAST_RUN is its name, and the compiler's flags,
 * or TS_PORTABLE, determine the instructions it may use.
 *
 * json.dumps(asdict(stats_profile)) prints the same members of every entry in the same order and spacing; so do its
 * compact form and the list form of our own client. An entry of this form without a fault is read here. At the first
 * byte that differs the entry is discarded, and the general path (lib/profile/entry.c) reads it from its beginning. So
 * the fast path never reports a fault, and the two paths can only disagree if they read a valid value differently; unit
 * tests and a fuzz target compare them. Every byte is still checked: strings for control characters and UTF-8, numbers
 * for their grammar.
 *
 * Bounds: an entry is only begun, and continued after each of its strings, if TS_FAST_MARGIN bytes are left. That is
 * more than its constants and numbers can need, so they are read without checking for the end of the text. The last
 * entries of a message are read by the general path.
 *
 * An entry with all members in another order is read too, member by member.
 */
#include "lib/profile/decoder.h"
#include "lib/profile/fast_value.h"
#include "lib/profile/recall.h"

enum { MARGIN = TS_FAST_MARGIN };

/* The members after the name, from the text of ncalls to the closing brace of the entry. */
static inline __attribute__((always_inline)) const char *parse_members(const char *p, const char *end, bool spaced,
                                                                       struct ts_entry *entry)
{
    int64_t ignored;
    p = parse_calls(p, entry);
    if (!p)
        return NULL;
    EXPECT_SPACED(p, spaced, ", \"tottime\": ", ",\"tottime\":");
    p = parse_seconds(p, &entry->tottime);
    if (!p)
        return NULL;
    /* The list form of our client omits the percall members. */
    bool percall = p[spaced ? 3 : 2] == 'p';
    if (percall) {
        EXPECT_SPACED(p, spaced, ", \"percall_tottime\": ", ",\"percall_tottime\":");
        p = parse_seconds(p, &ignored);
        if (!p)
            return NULL;
    }
    EXPECT_SPACED(p, spaced, ", \"cumtime\": ", ",\"cumtime\":");
    p = parse_seconds(p, &entry->cumtime);
    if (!p)
        return NULL;
    if (percall) {
        EXPECT_SPACED(p, spaced, ", \"percall_cumtime\": ", ",\"percall_cumtime\":");
        p = parse_seconds(p, &ignored);
        if (!p)
            return NULL;
    }
    EXPECT_SPACED(p, spaced, ", \"file_name\": \"", ",\"file_name\":\"");
    p = parse_string(p, end, TS_FILE_NAME_MAX, &entry->file_name);
    if (!p || end - p < MARGIN)
        return NULL;
    EXPECT_SPACED(p, spaced, ", \"line_number\": ", ",\"line_number\":");
    p = parse_line_number(p, entry);
    return p && *p == '}' ? p + 1 : NULL;
}

/* One entry, with the comma before it unless it is the first. */
static inline __attribute__((always_inline)) const char *parse_entry(const char *p, const char *end, bool first,
                                                                     bool listed, bool spaced, struct ts_entry *entry)
{
    if (end - p < MARGIN)
        return NULL;
    if (!first)
        EXPECT_SPACED(p, spaced, ", ", ",");
    if (listed)
        EXPECT_SPACED(p, spaced, "{\"func_name\": \"", "{\"func_name\":\"");
    else
        EXPECT(p, "\"");
    p = parse_string(p, end, TS_NAME_MAX, &entry->raw_name);
    if (!p || end - p < MARGIN)
        return NULL;
    if (listed)
        EXPECT_SPACED(p, spaced, ", \"ncalls\": \"", ",\"ncalls\":\"");
    else
        EXPECT_SPACED(p, spaced, ": {\"ncalls\": \"", ":{\"ncalls\":\"");
    return parse_members(p, end, spaced, entry);
}

/* The members that make an entry, as bits. */
enum {
    NCALLS = 1,
    TOTTIME = 2,
    CUMTIME = 4,
    FILE_NAME = 8,
    LINE_NUMBER = 16,
    FUNC_NAME = 32,
    PERCALL_TOTTIME = 64,
    PERCALL_CUMTIME = 128
};

/* Skips a member's name, up to its value. Returns its bit; 0: another name. */
static inline unsigned parse_key(const char **at, bool spaced)
{
#define KEY(bit, name) \
    if (same(*at, name "\":", sizeof(name) + 1)) { \
        *at += sizeof(name) + 1 + spaced; \
        return spaced && (*at)[-1] != ' ' ? 0 : bit; \
    }
    switch (**at) {
    case 'n':
        KEY(NCALLS, "ncalls");
        break;
    case 't':
        KEY(TOTTIME, "tottime");
        break;
    case 'c':
        KEY(CUMTIME, "cumtime");
        break;
    case 'l':
        KEY(LINE_NUMBER, "line_number");
        break;
    case 'f':
        KEY(FILE_NAME, "file_name");
        KEY(FUNC_NAME, "func_name");
        break;
    case 'p':
        KEY(PERCALL_TOTTIME, "percall_tottime");
        KEY(PERCALL_CUMTIME, "percall_cumtime");
        break;
    default:
        break;
    }
#undef KEY
    return 0;
}

static inline const char *parse_value(const char *p, const char *end, unsigned bit, struct ts_entry *entry)
{
    int64_t ignored;
    switch (bit) {
    case NCALLS:
        return *p == '"' ? parse_calls(p + 1, entry) : NULL;
    case TOTTIME:
        return parse_seconds(p, &entry->tottime);
    case CUMTIME:
        return parse_seconds(p, &entry->cumtime);
    case LINE_NUMBER:
        return parse_line_number(p, entry);
    case FILE_NAME:
        p = *p == '"' ? parse_string(p + 1, end, TS_FILE_NAME_MAX, &entry->file_name) : NULL;
        return p && end - p >= MARGIN ? p : NULL;
    case FUNC_NAME:
        p = *p == '"' ? parse_string(p + 1, end, TS_NAME_MAX, &entry->raw_name) : NULL;
        return p && end - p >= MARGIN ? p : NULL;
    default:
        return parse_seconds(p, &ignored);
    }
}

/* One entry with its members in any order, each at most once. */
static inline const char *parse_unordered(const char *p, const char *end, bool first, bool listed, bool spaced,
                                          struct ts_entry *entry)
{
    unsigned seen = 0;
    unsigned needed = listed ? CUMTIME | FUNC_NAME : CUMTIME;
    *entry = (struct ts_entry){.line_number = -1};
    if (end - p < MARGIN)
        return NULL;
    if (!first)
        EXPECT_SPACED(p, spaced, ", ", ",");
    if (!listed) {
        EXPECT(p, "\"");
        p = parse_string(p, end, TS_NAME_MAX, &entry->raw_name);
        if (!p || end - p < MARGIN)
            return NULL;
        EXPECT_SPACED(p, spaced, ": ", ":");
    }
    EXPECT(p, "{\"");
    for (;;) {
        unsigned bit = parse_key(&p, spaced);
        if (!bit || seen & bit || (bit == FUNC_NAME && !listed))
            return NULL;
        seen |= bit;
        p = parse_value(p, end, bit, entry);
        if (!p)
            return NULL;
        if (*p == '}')
            return (seen & needed) == needed ? p + 1 : NULL;
        EXPECT_SPACED(p, spaced, ", \"", ",\"");
    }
}

/* Reads entries until one has another form. False: no memory. */
static inline __attribute__((always_inline)) bool parse_run(struct ts_decoder *decoder, bool listed, bool spaced)
{
    struct ts_json *json = &decoder->json;
    bool ordered = true; /* once an entry is not, the next ones will not be either */
    for (;;) {
        struct ts_profile *profile = &decoder->profile;
        /* An ordered entry sets every member, so that the entry need not be cleared first. */
        struct ts_entry *entry =
            profile->n_entries < decoder->cap_entries ? &profile->entries[profile->n_entries] : ts_next_entry(decoder);
        if (!entry)
            return false;
        entry->recalled = entry->key = 0;
        const char *next = NULL;
        if (ordered) {
            next = parse_entry(json->at, json->end, json->first, listed, spaced, entry);
            ordered = next != NULL;
        }
        if (!next)
            next = parse_unordered(json->at, json->end, json->first, listed, spaced, entry);
        if (!next)
            return true; /* the general path clears the entry before it reads it */
        ts_recall_find(&decoder->recall, entry);
        json->at = next;
        json->first = false;
        profile->n_entries++;
        decoder->n_fast++;
    }
}

bool TS_FAST_RUN(struct ts_decoder *decoder, bool listed, bool spaced)
{
    if (listed)
        return spaced ? parse_run(decoder, true, true) : parse_run(decoder, true, false);
    return spaced ? parse_run(decoder, false, true) : parse_run(decoder, false, false);
}
