/*
 * The first and last bucket in which each of several items occurs: label sets in the rows of profiles, or locations in
 * the rows of sums.
 *
 * All levels together are read once, in wide buckets as far as possible. Then the buckets found are narrowed down,
 * level by level; only buckets with an item that is still to be narrowed down are read, and only until all are found.
 */
#ifndef TS_QUERY_FIRST_LAST_H
#define TS_QUERY_FIRST_LAST_H

#include "lib/query/id_map.h"
#include "lib/store/reader.h"

#include <stdbool.h>

enum { TS_FIRST, TS_LAST };

struct ts_first_last {
    bool found;
    int64_t position[2]; /* the begins of the first and the last bucket */
};

/*
 * map: ids of label sets (profiles) or of locations (else) to items 0..n-1, or TS_NO_GROUP. Sets ret_items[0..n-1].
 * on_profile, which may be NULL, is called with every row of profiles exactly once. Within a transaction of the reader.
 * TS_ENOMEM, TS_ESTORE, TS_ECANCELED, or what on_profile returned.
 */
int ts_first_last_find(struct ts_reader *reader, bool profiles, const struct ts_id_map *map, size_t n,
                       struct ts_first_last *ret_items, ts_profile_cb on_profile, void *data) TS_MUST_USE;

#endif
