/*
 * Decodes one message in memory to one profile, completely or not at all.
 *
 * Strings of the result are views of the message or, if they have escapes, of the decoder's memory. They are valid
 * until the next call with this decoder, or until the bytes of the message change. Once warm, a decoder does not
 * allocate.
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
#define TS_TIME_MAX_NS (INT64_C(10000000) * 1000000000) /* 10^7 s, positive or negative */

struct ts_entry {
    struct ts_str raw_name;  /* as sent, with its leading underscores; never NULL, may be empty */
    struct ts_str file_name; /* data NULL: none */
    int32_t line_number;     /* -1: none */
    int64_t cumtime;         /* ns */
    int64_t tottime;         /* ns */
    int64_t ncalls;
    int64_t pcalls;
    uint32_t recalled; /* 1 + its number in the table of ts_decoder_recall_from(); 0: not in the recall cache */
    uint32_t key;      /* the decoder's own; 0: none */
};

struct ts_profile {
    int64_t timestamp; /* ns since the epoch; the decimal text rounded down, so that its bucket is exact */
    int64_t total_tt;  /* ns */
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

/* Why a message was rejected. */
struct ts_fault {
    size_t offset;     /* bytes from the beginning of the message */
    char message[256]; /* names the function, if the fault is in one; terminated, valid UTF-8 */
};

/* Not a rejection code: an object with a member `hello`, which only the first line of a stream may be. */
enum { TS_HELLO = 100 };

struct ts_decoder;

struct ts_decoder *ts_decoder_new(void); /* NULL: no memory */
struct ts_decoder *ts_decoder_free(struct ts_decoder *decoder);

/*
 * Decodes a message. The profile is owned by the decoder and valid until the next call.
 *
 * Returns 0, an enum ts_reject (TS_BAD_JSON .. TS_OUT_OF_RANGE except TS_TOO_LARGE) or TS_HELLO with ret_fault set, or
 * TS_ENOMEM. Faults of syntax, UTF-8 and depth anywhere in the message take precedence over those of shape, labels and
 * names, and these over ranges; within each class the lowest offset is reported.
 */
int ts_decode(struct ts_decoder *decoder, const char *bytes, size_t len, const struct ts_profile **ret_profile,
              struct ts_fault *ret_fault) TS_MUST_USE;

/* The seq of the last message. False: it has none, or was rejected for its syntax, UTF-8 or depth. */
bool ts_decoder_seq(const struct ts_decoder *decoder, uint64_t *ret_seq);

struct ts_hello {
    struct ts_str client; /* 1 to TS_CLIENT_MAX of [A-Za-z0-9-] */
    const struct ts_label *labels;
    size_t n_labels;
};

/* After TS_HELLO: decodes it; valid as long as a profile. 0, TS_BAD_SHAPE or TS_BAD_LABELS with ret_fault, TS_ENOMEM.
 */
int ts_decode_hello(struct ts_decoder *decoder, struct ts_hello *ret_hello, struct ts_fault *ret_fault) TS_MUST_USE;
/* Is it {"bye": true}, with which a sender ends an acknowledged stream and has its client removed? */
bool ts_is_bye(const char *bytes, size_t len);

/*
 * Starts a recall cache for a table of locations, or ends it (NULL). entry->recalled is then set for entries whose
 * location was learned, and the caller need not look them up. The table must not move or shrink until the next call,
 * which empties the cache. TS_ENOMEM: nothing has changed.
 */
struct ts_intern;
int ts_decoder_recall_from(struct ts_decoder *decoder, const struct ts_intern *table) TS_MUST_USE;
/* Adds an entry of the last profile to the cache: its number in the table. */
void ts_decoder_learn(struct ts_decoder *decoder, const struct ts_entry *entry, uint32_t number);

#endif
