/*
 * Pending data: collected from the ingest threads and not committed yet. The threads' numbers are translated to the
 * store's, and their sums merged into one table. Used by the writer thread only.
 */
#ifndef TSD_WRITE_PENDING_H
#define TSD_WRITE_PENDING_H

#include "daemon/ingest/batch.h"
#include "daemon/write/names.h"
#include "lib/store/store.h"

/* One ingest thread's numbers -> the store's. Restarts at 0 when the thread's tables are retired. */
struct tsd_translation {
    uint32_t *numbers;
    uint32_t n;
    size_t cap;
};

struct tsd_source {
    struct tsd_batch batch;
    struct tsd_translation locations;
    struct tsd_translation label_sets;
    bool full; /* the batch has been collected but not merged */
};

struct tsd_pending {
    struct tsd_names locations;
    struct tsd_names label_sets;
    struct ts_intern functions;  /* names without leading underscores, to count them */
    uint32_t counted;            /* locations whose functions are included */
    struct ts_counters counters; /* with the store's numbers */
    struct tsd_mark *marks;      /* at most one for each client */
    size_t cap_marks;
    struct ts_client_row *rows; /* for the batch; as many as marks */
    size_t cap_rows;
    size_t n_marks;
    uint64_t messages;
    size_t names_stored; /* bytes of the name tables when their names were last stored */
};

void tsd_pending_init(struct tsd_pending *pending, uint32_t max_locations, uint32_t max_label_sets);
void tsd_pending_deinit(struct tsd_pending *pending);
/* Loads the stored names. TS_ENOMEM, TS_ESTORE or TS_EREFUSED. */
int tsd_pending_load(struct tsd_pending *pending, struct ts_store *store) TS_MUST_USE;

void tsd_source_init(struct tsd_source *source);
void tsd_source_deinit(struct tsd_source *source);

/* Makes room for n more marks. */
int tsd_pending_reserve_marks(struct tsd_pending *pending, size_t n) TS_MUST_USE;
/* Adds an outstanding mark, in place of an older one of the same client. Room has been reserved. */
void tsd_pending_mark(struct tsd_pending *pending, const struct tsd_mark *mark);

/* Merges a full batch and clears it. TS_ENOMEM: the batch stays full and can be merged again. */
int tsd_pending_merge(struct tsd_pending *pending, struct tsd_source *source) TS_MUST_USE;

bool tsd_pending_is_empty(const struct tsd_pending *pending);
/* Bytes that count towards ingest.memory_limit. */
size_t tsd_pending_bytes(const struct tsd_pending *pending);
/* A view of everything pending, for ts_store_commit(). */
struct ts_store_batch tsd_pending_batch(struct tsd_pending *pending);
/* That batch is on stable storage, by the commit of this number: empties it and updates the clients. */
void tsd_pending_committed(struct tsd_pending *pending, uint64_t commit, struct tsd_clients *clients);

/* Removes the locations for which `keep` is false from memory. Nothing may be pending, and no source may translate to
 * them. TS_ENOMEM: no change. */
int tsd_pending_renew_locations(struct tsd_pending *pending, tsd_names_keep_fn keep, void *data) TS_MUST_USE;

#endif
