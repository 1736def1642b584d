/*
 * Messages into counters, for one ingest thread: decode, judge the time, intern, add. No I/O, no lock, and once warm no
 * malloc; a message is added whole or not at all.
 *
 * Hand-over: a struct tsd_batch takes the counters of one interval and the names that are new since the last one. Names
 * stay where they are (lib/aggregate/intern.h's bytes never move), so the writer may read them while this thread goes
 * on. When the name tables are full they go with the batch and start anew: what overflowed here may have room in the
 * store by then.
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

/* Shared by all ingest threads; the atomic ones change at a reload. */
struct tsd_limits {
    struct ts_grid grid;
    struct tsd_clock clock;
    int64_t longest_keep;       /* ns: of the retention levels */
    _Atomic int64_t max_future; /* ns, -1 = off */
    _Atomic uint32_t max_locations;
    _Atomic uint32_t max_label_sets;
};

struct tsd_batch {
    struct ts_counters counters;   /* numbers are this thread's */
    struct ts_location *locations; /* new since the last batch, numbered from first_location */
    uint32_t n_locations;
    uint32_t first_location;
    struct ts_location *label_sets;
    uint32_t n_label_sets;
    uint32_t first_label_set;
    struct tsd_mark *marks; /* whose messages up to which number are in these counters */
    size_t n_marks;
    size_t cap_marks;
    bool renew;   /* asked for: the name tables are to begin anew, full or not */
    bool retired; /* the next batch numbers from 0 again; the tables are here now */
    struct ts_bounded old_locations;
    struct ts_bounded old_label_sets;
    uint64_t messages;
};

struct tsd_ingest {
    struct tsd_limits *limits;
    struct tsd_rejects *rejects;
    struct tsd_stats stats;
    struct ts_decoder *decoder;
    struct ts_bounded locations;
    struct ts_bounded label_sets;
    struct ts_counters counters;
    struct tsd_mark *marks; /* of what is in counters */
    size_t n_marks;
    size_t cap_marks;
    uint64_t hand_overs;      /* goes up with each */
    bool ack_asked;           /* the writer knows that marks wait */
    uint32_t locations_given; /* how many the writer knows */
    uint32_t label_sets_given;
    size_t names_given; /* bytes of the name tables when they were handed over last */
    uint64_t messages;  /* in counters */
    uint32_t *ids;      /* scratch: the location of each entry */
    size_t cap_ids;
    struct ts_buf labels_text; /* scratch: canonical JSON */
};

int tsd_ingest_init(struct tsd_ingest *ingest, struct tsd_limits *limits, struct tsd_rejects *rejects) TS_MUST_USE;
void tsd_ingest_deinit(struct tsd_ingest *ingest); /* twice is safe */

/* Labels of messages that have none of their own. */
struct tsd_labels {
    const struct ts_label *labels; /* ascending by key */
    size_t n;
};

/*
 * One message, in two steps, so that a caller may look at it between them. Reading gives 0, an enum ts_reject or
 * TS_HELLO with ret_fault set, or TS_ENOMEM; nothing is counted. The profile is good until the next reading.
 */
int tsd_ingest_read(struct tsd_ingest *ingest, const char *bytes, size_t len, const struct ts_profile **ret_profile,
                    struct ts_fault *ret_fault) TS_MUST_USE;
/* Adds the profile that was read, and counts it. TS_ENOMEM: not counted, not taken. */
int tsd_ingest_add(struct tsd_ingest *ingest, const struct ts_profile *profile, const struct tsd_labels *defaults,
                   size_t len) TS_MUST_USE;

/*
 * Both steps. 0: accepted. An enum ts_reject: counted and kept, ret_fault says why. TS_HELLO: not counted, the caller's
 * affair. TS_ENOMEM: not counted, not taken.
 */
int tsd_ingest_message(struct tsd_ingest *ingest, const char *bytes, size_t len, const struct tsd_peer *peer,
                       struct ts_fault *ret_fault) TS_MUST_USE;

/* Counts a message that has been taken before. */
void tsd_ingest_duplicate(struct tsd_ingest *ingest, size_t len);

/* Where a client's mark lies; all zero: nowhere. */
struct tsd_mark_place {
    uint64_t hand_over; /* 1 + how many there had been */
    size_t index;
};

/* Room, so that the next tsd_ingest_mark() cannot fail. */
int tsd_ingest_reserve_mark(struct tsd_ingest *ingest) TS_MUST_USE;
/* What is in the counters goes up to seq for this client, from now on. */
void tsd_ingest_mark(struct tsd_ingest *ingest, struct tsd_mark_place *place, const struct tsd_mark *mark);

/* Counts and keeps a message that the transport could not take (too_large, truncated, a hello in the wrong place). */
void tsd_ingest_reject(struct tsd_ingest *ingest, int code, const char *bytes, size_t len, const struct tsd_peer *peer,
                       const struct ts_fault *fault);

/* Bytes of what waits for the writer. */
size_t tsd_ingest_waiting(const struct tsd_ingest *ingest);

/* Moves all that waits into the batch, which the caller gave back cleared. TS_ENOMEM: nothing moved. */
int tsd_ingest_hand_over(struct tsd_ingest *ingest, struct tsd_batch *batch) TS_MUST_USE;

void tsd_batch_init(struct tsd_batch *batch);
void tsd_batch_clear(struct tsd_batch *batch); /* keeps the counters' memory */
void tsd_batch_deinit(struct tsd_batch *batch);

#endif
