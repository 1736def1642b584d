/*
 * An allocator that fails at the n-th call. Link with -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc: the wrapped
 * calls are those of the objects linked in, so libc's and cmocka's own are left alone.
 */
#ifndef FAILING_ALLOC_H
#define FAILING_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

static int alloc_fail_at = -1; /* calls that succeed before one fails; -1: none fails */
static bool alloc_fail_once;   /* only one call fails; otherwise all after it do, too */
static size_t alloc_calls;

static bool alloc_fails(void)
{
    alloc_calls++;
    if (alloc_fail_at < 0)
        return false;
    if (alloc_fail_at == 0) {
        alloc_fail_at = alloc_fail_once ? -1 : 0;
        return true;
    }
    alloc_fail_at--;
    return false;
}

void *__wrap_malloc(size_t size)
{
    return alloc_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return alloc_fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return alloc_fails() ? NULL : __real_realloc(old, size);
}

/* A small generator of our own, so that a failure's seed means the same everywhere. */
static inline unsigned long long next_random(unsigned long long *state)
{
    unsigned long long z = (*state += 0x9E3779B97F4A7C15ULL);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
    return z ^ z >> 31;
}

#endif
