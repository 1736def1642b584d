/* Ids of the store (of locations or label sets) to groups. Ids are put in ascending order. */
#ifndef TS_QUERY_ID_MAP_H
#define TS_QUERY_ID_MAP_H

#include "lib/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TS_NO_GROUP UINT32_MAX /* the id is known, but a filter excludes it */

struct ts_id_map { /* all zero: empty */
    uint32_t *ids;
    uint32_t *groups;
    size_t n;
    size_t cap_ids;
    size_t cap_groups;
};

void ts_id_map_deinit(struct ts_id_map *map); /* twice is safe */
/* id: greater than the previous one. */
int ts_id_map_put(struct ts_id_map *map, uint32_t id, uint32_t group) TS_MUST_USE;
/* False if the id is unknown. */
bool ts_id_map_get(const struct ts_id_map *map, uint32_t id, uint32_t *ret_group);

#endif
