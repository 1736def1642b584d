/* A view of bytes that something else owns. */
#ifndef TS_BASE_STR_H
#define TS_BASE_STR_H

#include <stddef.h>

/* Not terminated. data == NULL: none. */
struct ts_str {
    const char *data;
    size_t len;
};

#endif
