/*
 * The decoder from inside. For lib/profile*.c only.
 *
 * One walk over the text does everything: values are converted as they are met, and what is wrong with them is noted,
 * while the walk goes on to judge syntax, UTF-8 and depth to the end. So there are three results, in this order: the
 * parser's error, the lowest fault of shape, labels and names, the lowest fault of ranges. A function that walks gives
 * false only where the walk cannot go on: the parser's error, or no memory.
 */
#ifndef TS_PROFILE_DECODER_H
#define TS_PROFILE_DECODER_H

#include "lib/base/json.h"
#include "lib/profile/profile.h"
#include "lib/profile/recall.h"

/* A variant of the fast path, see lib/profile/fast_run.c. */
struct ts_decoder;
typedef bool (*ts_fast_run)(struct ts_decoder *decoder, bool listed, bool spaced);

/* The lowest fault of one class so far. */
struct ts_noted {
    int code; /* 0: none */
    size_t offset;
    size_t entry;           /* where it is in an entry: 1 + the offset of its brace */
    struct ts_str function; /* of that entry, once known */
    char text[144];
};

struct ts_decoder {
    struct ts_json json;
    struct ts_profile profile;
    size_t cap_entries;
    char *arena; /* strings that had escapes; as long as what is left of the message, so it never moves */
    size_t arena_len;
    size_t arena_cap;
    ts_fast_run fast; /* NULL, for tests that hold the two ways together: it is not tried */
    size_t n_fast;    /* entries of this message that went the fast path */
    struct ts_recall recall;
    bool no_memory;
    bool hello;
    const char *hello_begin; /* its value */
    const char *hello_end;
    size_t hello_offset;
    size_t entry;           /* being read: 1 + the offset of its brace; 0: none */
    struct ts_str function; /* its name, once known */
    struct ts_noted shape;
    struct ts_noted range;
};

/* ---- lib/profile/fault.c ---- */

/* Notes a fault, in words without place or function; of TS_OUT_OF_RANGE in range, any other code in shape. */
void ts_note(struct ts_decoder *decoder, int code, size_t offset, const char *format, ...) TS_PRINTF(4, 5);
/* Notes that the member has another type than the one needed. */
void ts_note_type(struct ts_decoder *decoder, int code, enum ts_json_type type, const char *member, const char *needed);
/* The name of the entry being read is known now: faults in it that were noted before get it too. */
void ts_note_function(struct ts_decoder *decoder, struct ts_str name);
/* The fault as the caller sees it: function, text, place. */
void ts_fault_write(struct ts_fault *fault, size_t offset, struct ts_str function, const char *text);

enum { TS_SHOWN = 64 };
/* The string for a message: quoted, controls escaped, cut where it is long. Returns out. */
const char *ts_shown(struct ts_str string, char out[TS_SHOWN]);

/* ---- lib/profile/value.c ---- */

/* The string's text, out of the arena where it has escapes. */
bool ts_parse_text(struct ts_decoder *decoder, const struct ts_json_string *string, struct ts_str *ret_text);
/* A string value, which the parser announced. */
bool ts_parse_string(struct ts_decoder *decoder, struct ts_str *ret_text);
/* A raw name that began at offset; notes what is wrong with it. */
void ts_check_name(struct ts_decoder *decoder, size_t offset, struct ts_str name);
bool ts_parse_seconds(struct ts_decoder *decoder, const char *member, int64_t *ret_ns);
bool ts_parse_timestamp(struct ts_decoder *decoder, int64_t *ret_ns);
/* An integer of 0 to max. *ret_taken where it is one. */
bool ts_parse_integer(struct ts_decoder *decoder, const char *member, int64_t max, int64_t *ret_value, bool *ret_taken);
bool ts_parse_calls(struct ts_decoder *decoder, int64_t *ret_ncalls, int64_t *ret_pcalls);

/* Marks the member as seen. True where it was before: that is noted, and its value is to be skipped. */
bool ts_member_twice(struct ts_decoder *decoder, unsigned *seen, unsigned bit, size_t offset, const char *member);

/* ---- lib/profile/decode.c ---- */

/* The value of a member `labels`. */
bool ts_parse_labels(struct ts_decoder *decoder);

/* ---- lib/profile/entry.c ---- */

/* The value of func_profiles. */
bool ts_parse_functions(struct ts_decoder *decoder);
/* The place of the next entry, its defaults set; NULL: no memory. It counts once profile.n_entries is raised. */
struct ts_entry *ts_next_entry(struct ts_decoder *decoder);

/* ---- lib/profile/fast.c ---- */

/*
 * Inside func_profiles: takes the entries that stand at json->at in the shape that json.dumps prints. Afterwards json
 * stands before the first that is not, as if the general path had taken the others. False: no memory.
 */
bool ts_fast_parse(struct ts_decoder *decoder, bool listed);
void ts_fast_init(struct ts_decoder *decoder); /* chooses what suits the processor */

enum { TS_FAST_MARGIN = 512 }; /* bytes that must be left of the text for an entry to be begun */

/* ---- lib/profile/fast_run.c, once for each ---- */

bool ts_fast_run_plain(struct ts_decoder *decoder, bool listed, bool spaced); /* C alone */
bool ts_fast_run_native(struct ts_decoder *decoder, bool listed,
                        bool spaced); /* what every processor of this kind has: SSE2, NEON */
#if defined(__x86_64__)
bool ts_fast_run_avx2(struct ts_decoder *decoder, bool listed, bool spaced);
bool ts_fast_run_avx512(struct ts_decoder *decoder, bool listed, bool spaced);
#endif

#endif
