/*
 * How memory counts towards ingest.memory_limit, the same on ingest threads and in the writer: the rows of the
 * counters, and names that are not passed on yet. Names that were passed on stay in memory, but are not waiting.
 */
#ifndef TSD_INGEST_MEMORY_H
#define TSD_INGEST_MEMORY_H

#include "lib/aggregate/counters.h"
#include "lib/aggregate/intern.h"

struct tsd_memory {
    const struct ts_counters *counters;
    const struct ts_bounded *locations;
    const struct ts_bounded *label_sets;
    size_t names_passed_on; /* tsd_memory_of_names() when names were last passed on */
};

size_t tsd_memory_of_names(const struct ts_bounded *locations, const struct ts_bounded *label_sets);
/* Bytes that wait to be passed on. */
size_t tsd_memory_waiting(const struct tsd_memory *memory);

#endif
