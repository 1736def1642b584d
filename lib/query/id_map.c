#include "lib/query/id_map.h"

#include "lib/base/array.h"

#include <assert.h>
#include <stdlib.h>

void ts_id_map_deinit(struct ts_id_map *map)
{
    free(map->ids);
    free(map->groups);
    *map = (struct ts_id_map){0};
}

int ts_id_map_put(struct ts_id_map *map, uint32_t id, uint32_t group)
{
    assert(!map->n || map->ids[map->n - 1] < id);
    int r = TS_ARRAY_RESERVE(&map->ids, &map->cap_ids, map->n + 1);
    if (!r)
        r = TS_ARRAY_RESERVE(&map->groups, &map->cap_groups, map->n + 1);
    if (r)
        return r;
    map->ids[map->n] = id;
    map->groups[map->n++] = group;
    return 0;
}

bool ts_id_map_get(const struct ts_id_map *map, uint32_t id, uint32_t *ret_group)
{
    if (!map->n || id < map->ids[0])
        return false;
    /* Ids are consecutive unless names were deleted, so first try this index. After deletions, the index is lower. */
    size_t high = id - map->ids[0];
    high = high < map->n ? high : map->n - 1;
    size_t low = map->ids[high] == id ? high : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    if (map->ids[low] != id)
        return false;
    *ret_group = map->groups[low];
    return true;
}
