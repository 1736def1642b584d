/*
 * What has been collected from the ingest threads and is not committed yet: their numbers translated to the store's,
 * their sums merged into one table. Of the writer's thread alone.
 */
#ifndef TSD_WRITE_PENDING_H
#define TSD_WRITE_PENDING_H

#include "daemon/ingest/batch.h"
#include "daemon/write/names.h"
#include "lib/store/store.h"

/* One ingest thread's numbers -> the store's. Begins anew when the thread's tables have been retired. */
struct tsd_translation {
    uint32_t *numbers;
    uint32_t n;
    uint32_t cap;
};

struct tsd_source {
    struct tsd_batch batch;
    struct tsd_translation locations;
    struct tsd_translation label_sets;
    bool full; /* the batch has been collected and not been merged */
};

struct tsd_pending {
    struct tsd_names locations;
    struct tsd_names label_sets;
    struct ts_intern functions;  /* names without their leading underscores, to count them */
    uint32_t counted;            /* locations whose functions are in it */
    struct ts_counters counters; /* in the store's numbers */
    struct tsd_mark *marks;      /* one for each client that has any */
    struct ts_client_row *rows;
    size_t n_marks;
    size_t cap_marks;
    uint64_t messages;
    size_t names_stored; /* bytes of the name tables when all of them were in the store */
};

void tsd_pending_init(struct tsd_pending *pending, uint32_t max_locations, uint32_t max_label_sets);
void tsd_pending_deinit(struct tsd_pending *pending);
/* Reads the names that the store has. TS_ENOMEM or TS_ESTORE. */
int tsd_pending_load(struct tsd_pending *pending, struct ts_store *store) TS_MUST_USE;

void tsd_source_init(struct tsd_source *source);
void tsd_source_deinit(struct tsd_source *source);

/* Room for n marks more. */
int tsd_pending_reserve_marks(struct tsd_pending *pending, size_t n) TS_MUST_USE;
/* Adds a mark that is outstanding; there is room. */
void tsd_pending_mark(struct tsd_pending *pending, const struct tsd_mark *mark);

/* Lets go of locations, and begins the table of functions anew with the rest; nothing is pending, and nobody
 * translates. TS_ENOMEM: all stays as it was. */
int tsd_pending_renew_locations(struct tsd_pending *pending, tsd_names_keep_fn keep, void *data) TS_MUST_USE;

/* Takes a full batch in and clears it. TS_ENOMEM: the batch stays full, and may be given again. */
int tsd_pending_merge(struct tsd_pending *pending, struct tsd_source *source) TS_MUST_USE;

bool tsd_pending_is_empty(const struct tsd_pending *pending);
size_t tsd_pending_bytes(const struct tsd_pending *pending);
/* A view of all that waits, for ts_store_commit(). */
struct ts_store_batch tsd_pending_batch(struct tsd_pending *pending);
/* The batch is on stable storage, and so said to the table of clients; it was the commit of this number. */
void tsd_pending_committed(struct tsd_pending *pending, uint64_t commit);

#endif
