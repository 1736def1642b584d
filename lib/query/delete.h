/*
 * Deletion requests: parameters to the rows to delete (lib/store/delete.h), counts to JSON.
 *
 * The range must begin and end at ends of buckets, because the store does not know which rows of a bucket belong to a
 * part of it.
 */
#ifndef TS_QUERY_DELETE_H
#define TS_QUERY_DELETE_H

#include "lib/query/query.h"
#include "lib/store/delete.h"

/*
 * Prepares the deletion for a query of kind TS_QUERY_DELETE: reads the names and checks the ends of the range. Any
 * thread. TS_EINVAL with ret_error (not kept, too large, store unavailable), TS_ENOMEM,
 * TS_ESTORE, TS_ECANCELED.
 */
int ts_query_deletion(const struct ts_query *query, struct ts_reader *reader, struct ts_deletion **ret_deletion,
                      struct ts_query_error *ret_error) TS_MUST_USE;

/* Appends the response, as JSON. */
void ts_query_put_deletion(const struct ts_query *query, const struct ts_deletion *deletion, struct ts_buf *out);

#endif
