/* Bytes that belong to somebody else. */
#ifndef TS_BASE_STR_H
#define TS_BASE_STR_H

#include <stddef.h>

/* Not terminated. data == NULL: there is none. */
struct ts_str {
    const char *data;
    size_t len;
};

#endif
