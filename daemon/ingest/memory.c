#include "daemon/ingest/memory.h"

#include <assert.h>

size_t tsd_memory_of_names(const struct ts_bounded *locations, const struct ts_bounded *label_sets)
{
    return ts_bounded_memory(locations) + ts_bounded_memory(label_sets);
}

size_t tsd_memory_waiting(const struct tsd_memory *memory)
{
    size_t names = tsd_memory_of_names(memory->locations, memory->label_sets);
    assert(names >= memory->names_passed_on); /* a table only grows, until it is replaced */
    return names - memory->names_passed_on + ts_counters_used(memory->counters);
}
