#include "lib/profile/recall.h"

#include <stdlib.h>
#include <string.h>

enum { RECENT_MIN = 16 * 1024 };

int ts_recall_start(struct ts_recall *recall, const struct ts_intern *table)
{
    uint32_t n = RECENT_MIN;
    while (table && n / 2 < table->n)
        n *= 2;
    if (recall->recent && (!table || recall->mask + 1 >= n)) {
        memset(recall->recent, 0, (recall->mask + 1) * sizeof(*recall->recent));
    } else if (table) {
        uint32_t *recent = calloc(n, sizeof(*recent));
        if (!recent)
            return TS_ENOMEM; /* the cache is unchanged, and so is the caller's table */
        free(recall->recent);
        recall->recent = recent;
        recall->mask = n - 1;
    }
    recall->table = table;
    return 0;
}

void ts_recall_learn(struct ts_recall *recall, const struct ts_entry *entry, uint32_t number)
{
    if (!recall->table || !entry->key)
        return;
    /* A larger cache for a table that has grown; without memory for it, more locations share a slot. */
    if (recall->table->n / 2 > recall->mask)
        (void)!ts_recall_start(recall, recall->table);
    recall->recent[entry->key >> 1 & recall->mask] = number + 1;
}
