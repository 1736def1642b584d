/*
 * Messages to counters, for one ingest thread: decode, check the time, intern the names, add. No I/O, no lock, and no
 * malloc once warm. A message is added completely or not at all.
 *
 * What has been collected since the last hand-over stays here until batch.h moves it to the writer.
 */
#ifndef TSD_INGEST_INGEST_H
#define TSD_INGEST_INGEST_H

#include "daemon/base/clock.h"
#include "daemon/base/stats.h"
#include "daemon/ingest/clients.h"
#include "daemon/ingest/peer.h"
#include "daemon/ingest/rejects.h"
#include "lib/aggregate/counters.h"
#include "lib/aggregate/grid.h"
#include "lib/aggregate/intern.h"
#include "lib/profile/profile.h"

/* Shared by all ingest threads; a reload changes the atomic members. */
struct tsd_limits {
    struct ts_grid grid;
    struct tsd_clock clock;
    int64_t longest_keep;       /* ns: the longest retention of a level */
    _Atomic int64_t max_future; /* ns, -1 = off */
    _Atomic uint32_t max_locations;
    _Atomic uint32_t max_label_sets;
};

struct tsd_ingest {
    struct tsd_limits *limits;
    struct tsd_rejects *rejects;
    struct tsd_stats stats;
    struct ts_decoder *decoder;
    struct ts_bounded locations;
    struct ts_bounded label_sets;

    /* Collected since the last hand-over: */
    struct ts_counters counters; /* with the numbers of the tables above */
    struct tsd_mark *marks;      /* one for each client with messages in the counters */
    size_t n_marks;
    size_t cap_marks;
    uint64_t messages;
    bool ack_requested; /* the writer knows that marks wait */

    uint64_t hand_overs;      /* so far */
    uint32_t locations_known; /* the writer has this many of the table's locations */
    uint32_t label_sets_known;
    size_t names_passed_on; /* bytes of the name tables at the last hand-over */

    uint32_t *ids; /* scratch: the location number of each entry */
    size_t cap_ids;
    struct ts_buf labels_text; /* scratch: canonical JSON */
};

int tsd_ingest_init(struct tsd_ingest *ingest, struct tsd_limits *limits, struct tsd_rejects *rejects) TS_MUST_USE;
void tsd_ingest_deinit(struct tsd_ingest *ingest); /* twice is safe */

/* Labels of a stream, for its messages without labels. */
struct tsd_labels {
    const struct ts_label *labels; /* ascending by key */
    size_t n;
};

/*
 * A message in two steps, so that the caller can check its number in between. Reading returns 0, an enum ts_reject or
 * TS_HELLO with ret_fault set, or TS_ENOMEM; nothing is counted. The profile is valid until the next reading.
 */
int tsd_ingest_read(struct tsd_ingest *ingest, const char *bytes, size_t len, const struct ts_profile **ret_profile,
                    struct ts_fault *ret_fault) TS_MUST_USE;
/* Adds the profile that was read and counts it as accepted. TS_ENOMEM: neither. */
int tsd_ingest_add(struct tsd_ingest *ingest, const struct ts_profile *profile, const struct tsd_labels *defaults,
                   size_t len) TS_MUST_USE;

/*
 * Both steps. 0: accepted. An enum ts_reject: counted and kept as rejected, ret_fault has the reason. TS_HELLO: not
 * counted, the caller handles it. TS_ENOMEM: not counted, not added.
 */
int tsd_ingest_message(struct tsd_ingest *ingest, const char *bytes, size_t len, const struct tsd_peer *peer,
                       struct ts_fault *ret_fault) TS_MUST_USE;

/* Counts a message that was processed before. */
void tsd_ingest_duplicate(struct tsd_ingest *ingest, size_t len);

/* The position of a client's mark in `marks`; all zero: none. */
struct tsd_mark_place {
    uint64_t hand_over; /* 1 + hand_overs when it was made */
    size_t index;
};

/* Makes room, so that the next tsd_ingest_mark() cannot fail. */
int tsd_ingest_reserve_mark(struct tsd_ingest *ingest) TS_MUST_USE;
/* The counters now include this client's messages up to mark->seq. */
void tsd_ingest_mark(struct tsd_ingest *ingest, struct tsd_mark_place *place, const struct tsd_mark *mark);

/* Counts and keeps a message that the transport rejects (too_large, truncated, a hello in the wrong place). */
void tsd_ingest_reject(struct tsd_ingest *ingest, int code, const char *bytes, size_t len, const struct tsd_peer *peer,
                       const struct ts_fault *fault);

/* Bytes of what waits for the next hand-over. */
size_t tsd_ingest_waiting(const struct tsd_ingest *ingest);

#endif
