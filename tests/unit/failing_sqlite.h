/* Makes SQLite's own allocations fail with those of failing_alloc.h: its library's malloc() is not wrapped. */
#ifndef FAILING_SQLITE_H
#define FAILING_SQLITE_H

#include "tests/unit/failing_alloc.h"

#include <sqlite3.h>

static sqlite3_mem_methods sqlite_memory;

static void *sqlite_malloc(int size)
{
    return alloc_fails() ? NULL : sqlite_memory.xMalloc(size);
}

static void *sqlite_realloc(void *old, int size)
{
    return alloc_fails() ? NULL : sqlite_memory.xRealloc(old, size);
}

/* Before SQLite is used for the first time. */
static void fail_sqlite_too(void)
{
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory);
    sqlite3_mem_methods failing = sqlite_memory;
    failing.xMalloc = sqlite_malloc;
    failing.xRealloc = sqlite_realloc;
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0); /* so that every small allocation counts */
    sqlite3_config(SQLITE_CONFIG_MALLOC, &failing);
}

#endif
