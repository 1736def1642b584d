/*
 * The list of label sets: those that have a profile, each with its number of profiles and its first and last bucket.
 */
#ifndef TS_QUERY_LIST_LABELS_H
#define TS_QUERY_LIST_LABELS_H

#include "lib/aggregate/intern.h"
#include "lib/query/first_last.h"
#include "lib/query/write.h"

struct ts_label_list { /* all zero: empty */
    const struct ts_query *query;
    struct ts_intern sets;            /* raw_name: the stored JSON */
    struct ts_id_map ids;             /* to the items of sets */
    struct ts_first_last *first_last; /* [item] */
    ts_i128 *profiles;                /* [item] */
    uint32_t *order;                  /* all items */
};

/* Within a transaction of the reader. TS_EINVAL (too large) sets ret_error; TS_ENOMEM, TS_ESTORE, TS_ECANCELED. */
int ts_label_list_collect(const struct ts_query *query, struct ts_reader *reader, struct ts_label_list *list,
                          struct ts_query_error *ret_error) TS_MUST_USE;
void ts_label_list_deinit(struct ts_label_list *list);         /* twice is safe */
size_t ts_label_list_memory(const struct ts_label_list *list); /* in bytes, approximately */
bool ts_label_list_piece(const struct ts_label_list *list, struct ts_cursor *cursor, struct ts_buf *out);

#endif
