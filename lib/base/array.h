/* Growth of arrays on the heap, in one place: at least doubling, checked for overflow. */
#ifndef TS_BASE_ARRAY_H
#define TS_BASE_ARRAY_H

#include "lib/base/error.h"

#include <stddef.h>

/*
 * Makes room for `need` elements in an array: TS_ARRAY_RESERVE(&list->items, &list->cap, list->n + 1), where items is a
 * pointer to the elements (NULL while cap is 0) and cap a size_t. New elements are not initialised.
 * TS_ENOMEM leaves the array and its capacity unchanged.
 */
#define TS_ARRAY_RESERVE(items, cap, need) ts_array_reserve((items), (cap), (need), sizeof(**(items)))

/* items: the address of the pointer to the elements, of whatever type; size: of one element. */
int ts_array_reserve(void *items, size_t *cap, size_t need, size_t size) TS_MUST_USE;

#endif
