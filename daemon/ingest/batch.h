/*
 * Hand-over: moves what an ingest thread has collected to the writer.
 *
 * The counters and marks are swapped for the batch's empty ones. Names are not copied: the batch has views of those
 * added since the last hand-over, whose bytes never move (lib/aggregate/intern.h), so the writer can read them while
 * the thread adds more. When a name table is full, both tables are passed to the batch and the thread starts empty
 * ones: the writer may have room for the names that overflowed here.
 *
 * A batch has one owner at a time: the ingest thread from the request (cleared) to its callback, else the writer.
 */
#ifndef TSD_INGEST_BATCH_H
#define TSD_INGEST_BATCH_H

#include "daemon/ingest/ingest.h"

struct tsd_batch {
    struct ts_counters counters;   /* with the thread's numbers */
    struct ts_location *locations; /* new since the last batch, numbered from first_location */
    uint32_t n_locations;
    uint32_t first_location;
    struct ts_location *label_sets;
    uint32_t n_label_sets;
    uint32_t first_label_set;
    struct tsd_mark *marks; /* the clients whose messages are in the counters, and up to which number */
    size_t n_marks;
    size_t cap_marks;
    uint64_t messages;
    bool renew;   /* set by the writer: replace the name tables even if they are not full */
    bool retired; /* the next batch numbers from 0 again; the old tables follow */
    struct ts_bounded old_locations;
    struct ts_bounded old_label_sets;
};

void tsd_batch_init(struct tsd_batch *batch);
void tsd_batch_clear(struct tsd_batch *batch); /* keeps the memory of counters and marks */
void tsd_batch_deinit(struct tsd_batch *batch);
bool tsd_batch_is_cleared(const struct tsd_batch *batch);

/* Moves everything collected into a batch that was cleared. TS_ENOMEM: nothing was moved. */
int tsd_batch_fill(struct tsd_batch *batch, struct tsd_ingest *ingest) TS_MUST_USE;

#endif
