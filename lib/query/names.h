/*
 * Names to groups. A group is one row of the response: a function, a location, or a value of a label. Rows of the store
 * refer to locations and label sets by id; this maps each id to its group, or to TS_NO_GROUP if a filter excludes it.
 */
#ifndef TS_QUERY_NAMES_H
#define TS_QUERY_NAMES_H

#include "lib/aggregate/intern.h"
#include "lib/query/id_map.h"
#include "lib/query/spec.h"

struct ts_query_names {
    /* by function: raw_name is the function; by location: all members; by label: raw_name is the value, NULL if the
     * label set lacks the label. */
    struct ts_intern groups;
    /* Maps the group of by=function and by=location; with by=label, 0 for every location that is included. */
    struct ts_id_map locations;
    /* Maps the group of by=label; otherwise, 0 for every label set that is included. */
    struct ts_id_map label_sets;
    bool has_locations; /* false if neither grouping nor a filter needs locations: the map is empty then */
};

void ts_query_names_init(struct ts_query_names *names);
void ts_query_names_deinit(struct ts_query_names *names); /* twice is safe */

/*
 * Reads the names, within a transaction of the reader. Costs about half a microsecond per location in the store.
 * TS_EINVAL (too large) sets ret_error; TS_ENOMEM, TS_ESTORE, TS_ECANCELED.
 */
int ts_query_names_read(const struct ts_query *query, struct ts_reader *reader, struct ts_query_names *names,
                        struct ts_query_error *ret_error) TS_MUST_USE;

/* < 0, 0, > 0 in the order of responses: function, raw name, file, line; a missing one is first. */
int ts_query_compare_names(const struct ts_location *a, const struct ts_location *b);
/* The indexes of all items of the table in this order; free() it. NULL: out of memory. */
uint32_t *ts_query_sort_names(struct ts_intern *table);

#endif
