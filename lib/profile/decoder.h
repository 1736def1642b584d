/*
 * The inside of the decoder, for lib/profile/ and its tests only.
 *
 * One pass over the text does everything. Values are converted when they are read, and faults in them are noted; the
 * pass continues to the end to check syntax, UTF-8 and depth. The result is the first of: the parser's error; the fault
 * of shape, labels or names with the lowest offset; the fault of ranges with the lowest offset.
 *
 * Functions named ts_parse_ return false only if the pass cannot continue: after the parser's error, or without memory.
 */
#ifndef TS_PROFILE_DECODER_H
#define TS_PROFILE_DECODER_H

#include "lib/base/json.h"
#include "lib/profile/profile.h"
#include "lib/profile/recall.h"

/* A variant of the fast path, see lib/profile/fast_run.c. */
struct ts_decoder;
typedef bool (*ts_fast_run)(struct ts_decoder *decoder, bool listed, bool spaced);

/* The fault with the lowest offset so far, of one class. */
struct ts_noted {
    int code; /* 0: none */
    size_t offset;
    size_t entry;           /* 1 + the offset of the brace of the entry it is in; 0: in none */
    struct ts_str function; /* the name of that entry, if it has been read */
    char text[144];
};

struct ts_decoder {
    struct ts_json json;
    struct ts_profile profile;
    size_t cap_entries;
    char *arena; /* unescaped strings; long enough for the rest of the message, so that it never moves */
    size_t arena_len;
    size_t arena_cap;
    ts_fast_run fast; /* NULL: not used, for tests that compare the two paths */
    size_t n_fast;    /* entries of this message read by the fast path */
    struct ts_recall recall;
    bool no_memory;
    bool hello;
    const char *hello_begin; /* its value */
    const char *hello_end;
    size_t hello_offset;
    size_t entry;           /* being read: 1 + the offset of its brace; 0: none */
    struct ts_str function; /* its name, if it has been read */
    struct ts_noted shape;
    struct ts_noted range;
};

/* ---- lib/profile/fault.c ---- */

/* Notes a fault: TS_OUT_OF_RANGE in `range`, any other code in `shape`. The text has neither offset nor function. */
void ts_note(struct ts_decoder *decoder, int code, size_t offset, const char *format, ...) TS_PRINTF(4, 5);
/* Notes that a member has another type than needed. */
void ts_note_type(struct ts_decoder *decoder, int code, enum ts_json_type type, const char *member, const char *needed);
/* The name of the entry has been read: adds it to faults of this entry that were noted before. */
void ts_note_function(struct ts_decoder *decoder, struct ts_str name);
/* Writes the fault for the caller: function, text, offset. */
void ts_fault_write(struct ts_fault *fault, size_t offset, struct ts_str function, const char *text);

enum { TS_SHOWN = 64 };
/* A string for a message: quoted, control characters escaped, cut if it is long. Returns out. */
const char *ts_shown(struct ts_str string, char out[TS_SHOWN]);

/* ---- lib/profile/value.c ---- */

/* The text of a string; unescaped into the arena if it has escapes. */
bool ts_parse_text(struct ts_decoder *decoder, const struct ts_json_string *string, struct ts_str *ret_text);
/* A string value; ts_json_next() has returned its type. */
bool ts_parse_string(struct ts_decoder *decoder, struct ts_str *ret_text);
/* Notes what is wrong with a raw name that begins at the offset. */
void ts_check_name(struct ts_decoder *decoder, size_t offset, struct ts_str name);
bool ts_parse_seconds(struct ts_decoder *decoder, const char *member, int64_t *ret_ns);
bool ts_parse_timestamp(struct ts_decoder *decoder, int64_t *ret_ns);
/* An integer from 0 to max. *ret_valid is set if it is one. */
bool ts_parse_integer(struct ts_decoder *decoder, const char *member, int64_t max, int64_t *ret_value, bool *ret_valid);
bool ts_parse_calls(struct ts_decoder *decoder, int64_t *ret_ncalls, int64_t *ret_pcalls);

/* Marks a member as seen. True if it was seen before: that is noted, and its value must be skipped. */
bool ts_member_twice(struct ts_decoder *decoder, unsigned *seen, unsigned bit, size_t offset, const char *member);

/* Reads the name of the object's next member. False after the last one, and if the pass cannot continue. */
bool ts_next_member(struct ts_decoder *decoder, struct ts_str *ret_name, size_t *ret_offset);
bool ts_can_continue(const struct ts_decoder *decoder);

/* ---- lib/profile/message.c ---- */

/* The complete message, except that nothing may follow it. */
bool ts_parse_message(struct ts_decoder *decoder);

/* ---- lib/profile/labels.c ---- */

/* The value of a member `labels`. */
bool ts_parse_labels(struct ts_decoder *decoder);

/* ---- lib/profile/entry.c ---- */

/* The value of func_profiles. */
bool ts_parse_functions(struct ts_decoder *decoder);
/* The next entry, set to defaults; NULL: no memory. The caller increments profile.n_entries to keep it. */
struct ts_entry *ts_next_entry(struct ts_decoder *decoder);

/* ---- lib/profile/fast.c ---- */

/*
 * Reads the entries of func_profiles from json->at on that have the form that json.dumps prints. Afterwards json is
 * before the first other entry, as if the general path had read the others. False: no memory.
 */
bool ts_fast_parse(struct ts_decoder *decoder, bool listed);
void ts_fast_init(struct ts_decoder *decoder); /* chooses the variant for the processor */

enum { TS_FAST_MARGIN = 512 }; /* an entry is only begun if this many bytes of the text are left */

/* ---- lib/profile/fast_run.c, compiled once for each variant ---- */

bool ts_fast_run_plain(struct ts_decoder *decoder, bool listed, bool spaced); /* portable C */
/* The instructions that every processor of the architecture has: SSE2, NEON. */
bool ts_fast_run_native(struct ts_decoder *decoder, bool listed, bool spaced);
#if defined(__x86_64__)
bool ts_fast_run_avx2(struct ts_decoder *decoder, bool listed, bool spaced);
bool ts_fast_run_avx512(struct ts_decoder *decoder, bool listed, bool spaced);
#endif

#endif
