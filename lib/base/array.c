#include "lib/base/array.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ELEMENTS = 64, FIRST_BYTES = 256 }; /* the first allocation: whichever is more */

int ts_array_reserve(void *items, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap)
        return 0;
    size_t most = SIZE_MAX / 2 / size;
    if (need > most)
        return TS_ENOMEM;
    size_t first = FIRST_ELEMENTS * size < FIRST_BYTES ? FIRST_BYTES / size : FIRST_ELEMENTS;
    size_t grown_cap = *cap ? *cap * 2 : first;
    if (grown_cap < need)
        grown_cap = need;
    if (grown_cap > most)
        grown_cap = most;
    /* Copied as bytes: a pointer to elements must not be accessed as if it were a void pointer. */
    void *old;
    memcpy(&old, items, sizeof(old));
    void *grown = realloc(old, grown_cap * size);
    if (!grown)
        return TS_ENOMEM;
    memcpy(items, &grown, sizeof(grown));
    *cap = grown_cap;
    /* cppcheck-suppress memleak -- it is stored through items */
    return 0;
}
