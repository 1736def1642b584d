/*
 * One message, bytes in memory, to one profile: all or nothing.
 *
 * Strings of the result are views, into the message where it has no escapes, else into the decoder's own memory; both
 * live until the next decode, or until the message's bytes change. A warm decoder allocates nothing.
 */
#ifndef TS_PROFILE_PROFILE_H
#define TS_PROFILE_PROFILE_H

#include "lib/base/error.h"
#include "lib/base/label.h"
#include "lib/base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TS_DEPTH_MAX = 16,
    TS_NAME_MAX = 1024,      /* bytes of a raw name */
    TS_FILE_NAME_MAX = 4096, /* bytes */
    TS_CLIENT_MAX = 64
};
#define TS_CALLS_MAX (INT64_C(1) << 53)
#define TS_TIME_MAX_NS (INT64_C(10000000) * 1000000000) /* 10^7 s, both ways */

struct ts_entry {
    struct ts_str raw_name;  /* as sent, with its leading underscores; never NULL, may be empty */
    struct ts_str file_name; /* may be none */
    int32_t line_number;     /* -1: none */
    int64_t cumtime;         /* ns */
    int64_t tottime;         /* ns */
    int64_t ncalls;
    int64_t pcalls;
    uint32_t recalled; /* 1 + its number in the table of ts_decoder_recall_from(); 0: not recognised */
    uint32_t key;      /* the decoder's own; 0: none */
};

struct ts_profile {
    int64_t
        timestamp;    /* ns since the epoch, the decimal text rounded down, so that floor() into a bucket stays exact */
    int64_t total_tt; /* ns */
    bool exact;
    int64_t part_index; /* 0 .. part_count-1; 0 without `part` */
    int64_t part_count; /* 0: no `part` */
    bool has_seq;
    int64_t seq;
    size_t n_labels;
    struct ts_label labels[TS_LABELS_MAX]; /* ascending by key, in bytes */
    size_t n_entries;
    struct ts_entry *entries;
};

/* What was wrong: where, in bytes into the message, and in words that name the function where there is one. */
struct ts_fault {
    size_t offset;
    char message[256]; /* terminated, valid UTF-8 */
};

/* Not a rejection code: a well-formed object with a member `hello`, which only a stream's first line may be. */
enum { TS_HELLO = 100 };

struct ts_decoder;

struct ts_decoder *ts_decoder_new(void); /* NULL: no memory */
struct ts_decoder *ts_decoder_free(struct ts_decoder *decoder);

/*
 * Gives the profile of the message, owned by the decoder, good until the next call.
 * 0, an enum ts_reject (TS_BAD_JSON .. TS_OUT_OF_RANGE except TS_TOO_LARGE) or TS_HELLO with ret_fault set,
 * or TS_ENOMEM. Syntax, UTF-8 and depth are judged over the whole message first, then shape, labels and names, then
 * ranges; within each the lowest offset wins.
 */
int ts_decode(struct ts_decoder *decoder, const char *bytes, size_t len, const struct ts_profile **ret_profile,
              struct ts_fault *ret_fault) TS_MUST_USE;

/* The seq of the message that was decoded last, also where it was rejected, unless for its syntax, UTF-8 or depth. */
bool ts_decoder_seq(const struct ts_decoder *decoder, uint64_t *ret_seq);

struct ts_hello {
    struct ts_str client; /* 1 to TS_CLIENT_MAX of [A-Za-z0-9-] */
    const struct ts_label *labels;
    size_t n_labels;
};

/* After TS_HELLO: reads it. 0, TS_BAD_SHAPE or TS_BAD_LABELS with ret_fault, or TS_ENOMEM. Good as a profile is. */
int ts_decode_hello(struct ts_decoder *decoder, struct ts_hello *ret_hello, struct ts_fault *ret_fault) TS_MUST_USE;
/* {"bye": true}, by which a sender of an acknowledged stream takes its leave. */
bool ts_is_bye(const char *bytes, size_t len);

/*
 * Lets the decoder recognise locations: where an entry's stands in the table and was learned, entry->recalled says so,
 * and the caller need not look for it. The table must stay where it is, and only grow, until it is announced again, or
 * NULL for none; what was learned is forgotten by that. TS_ENOMEM: nothing has changed.
 */
struct ts_intern;
int ts_decoder_recall_from(struct ts_decoder *decoder, const struct ts_intern *table) TS_MUST_USE;
/* The number in the table of an entry of the profile that was decoded last. */
void ts_decoder_learn(struct ts_decoder *decoder, const struct ts_entry *entry, uint32_t number);

#endif
