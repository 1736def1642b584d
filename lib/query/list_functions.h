/*
 * The list of functions: the names in the store that match a filter, each with its locations, and the first and last
 * bucket that has sums of it.
 */
#ifndef TS_QUERY_LIST_FUNCTIONS_H
#define TS_QUERY_LIST_FUNCTIONS_H

#include "lib/query/first_last.h"
#include "lib/query/names.h"
#include "lib/query/write.h"

struct ts_function_list { /* all zero: empty */
    const struct ts_query *query;
    struct ts_query_names names;      /* a group is a location */
    struct ts_first_last *first_last; /* [group] */
    uint32_t *order;                  /* all groups; the locations of a function are neighbours */
};

/* Within a transaction of the reader. TS_EINVAL (too large) sets ret_error; TS_ENOMEM, TS_ESTORE, TS_ECANCELED. */
int ts_function_list_collect(const struct ts_query *query, struct ts_reader *reader, struct ts_function_list *list,
                             struct ts_query_error *ret_error) TS_MUST_USE;
void ts_function_list_deinit(struct ts_function_list *list);         /* twice is safe */
size_t ts_function_list_memory(const struct ts_function_list *list); /* in bytes, approximately */
bool ts_function_list_piece(const struct ts_function_list *list, struct ts_cursor *cursor, struct ts_buf *out);

#endif
