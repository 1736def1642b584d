/* INI text into calls, by inih, and strictly: bytes in, no I/O. */
#ifndef TSD_CONFIG_INI_H
#define TSD_CONFIG_INI_H

#include "lib/base/error.h"

#include <stddef.h>

struct tsd_ini_entry {
    const char *section;
    const char *key;
    const char *value;  /* without white space at its ends; continued lines are joined by a space */
    unsigned line;      /* of the key */
    unsigned continued; /* line of its first continuation, 0 where there is none */
};

struct tsd_ini_fault {
    unsigned line;
    char text[256];
};

/* Each gives 0, or anything else to stop: tsd_ini_parse() then gives that number. */
struct tsd_ini_handler {
    void *data;
    int (*section)(void *data, const char *name, unsigned line);
    int (*entry)(void *data, const struct tsd_ini_entry *entry);
};

/* TS_EINVAL with ret_fault where the text is not INI, TS_ENOMEM, or what the handler gave. Stops at the first. */
int tsd_ini_parse(const char *bytes, size_t len, const struct tsd_ini_handler *handler,
                  struct tsd_ini_fault *ret_fault) TS_MUST_USE;

#endif
