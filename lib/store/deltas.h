/*
 * Adds deltas to the stored sums of every level. For lib/store only.
 */
#ifndef TS_STORE_DELTAS_H
#define TS_STORE_DELTAS_H

#include "lib/store/connection.h"

/* Before the transaction: makes room to sort the deltas. TS_ENOMEM. */
int ts_store_reserve_deltas(struct ts_store *store, const struct ts_counters *counters) TS_MUST_USE;

/* In a transaction, with SQLite's codes: */

/* Adds the deltas to every level that keeps their time. ret_levels are in force once the transaction is committed. */
int ts_store_put_deltas(struct ts_store *store, const struct ts_counters *counters, int64_t horizon,
                        struct ts_levels *ret_levels);
/* Adds one row to the stored one. */
int ts_store_put_sum(struct ts_store *store, int64_t level, int64_t bucket, uint32_t labels, uint32_t location,
                     const struct ts_sums *sums);
int ts_store_put_profile(struct ts_store *store, int64_t level, int64_t bucket, uint32_t labels,
                         const struct ts_profile_sums *sums);

#endif
