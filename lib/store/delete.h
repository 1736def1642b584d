/*
 * Deleting what a broken sender sent: rows of some functions, label sets and times, from every level at once.
 *
 * Each finest bucket that is kept is one unit: what matches in it is deleted there and taken off the buckets of the
 * wider levels that it went into, in one transaction. So levels never disagree, whenever it is interrupted. A sum that
 * stands at its bound is added up anew from the finer level, where that has it all; a row that comes to nothing goes.
 */
#ifndef TS_STORE_DELETE_H
#define TS_STORE_DELETE_H

#include "lib/query/query.h"
#include "lib/store/reader.h"

struct ts_deletion;

struct ts_deletion_counts {
    uint64_t functions;
    uint64_t label_sets;
    uint64_t buckets; /* of the finest width kept */
    uint64_t rows;    /* in them */
    ts_i128 profiles; /* only where no function was asked for */
    ts_i128 sums[4];  /* cumtime, tottime, ncalls, pcalls */
};

/*
 * Reads what is to go: names, label sets, and whether the ends of the range are ends of buckets. With a reader, on any
 * thread. TS_EINVAL with ret_error (400 not_kept), TS_ENOMEM, TS_ESTORE, TS_ECANCELED. The query is of kind
 * TS_QUERY_DELETE, and has to outlive the deletion.
 */
int ts_deletion_new(const struct ts_query *query, struct ts_reader *reader, struct ts_deletion **ret_deletion,
                    struct ts_query_error *ret_error) TS_MUST_USE;
struct ts_deletion *ts_deletion_free(struct ts_deletion *deletion);

/* A step of about so many rows, by the writer; a dry run only counts. */
int ts_deletion_step(struct ts_deletion *deletion, struct ts_store *store, uint32_t rows, bool *ret_more,
                     struct ts_store_error *ret_error) TS_MUST_USE;
const struct ts_deletion_counts *ts_deletion_result(const struct ts_deletion *deletion);
/* The answer, as JSON. */
void ts_deletion_write(const struct ts_deletion *deletion, struct ts_buf *out);

#endif
