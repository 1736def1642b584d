/* Parses INI text strictly, with inih. Bytes in, callbacks out, no I/O. */
#ifndef TSD_CONFIG_INI_H
#define TSD_CONFIG_INI_H

#include "lib/base/error.h"

#include <stddef.h>

/* The longest line inih reads, without the newline. Comments may be longer. */
enum { TSD_INI_LINE_MAX = 196 };

struct tsd_ini_entry {
    const char *section;
    const char *key;
    const char *value;  /* without white space at its ends; continuation lines are joined with a space */
    unsigned line;      /* of the key */
    unsigned continued; /* line of the first continuation, 0 if there is none */
};

struct tsd_ini_fault {
    unsigned line;
    char text[256];
};

/* Each returns 0 to continue; tsd_ini_parse() returns any other number. */
struct tsd_ini_handler {
    void *data;
    int (*section)(void *data, const char *name, unsigned line);
    int (*entry)(void *data, const struct tsd_ini_entry *entry);
};

/* Stops at the first error: TS_EINVAL with ret_fault (not INI), TS_ENOMEM, or what the handler returned. */
int tsd_ini_parse(const char *bytes, size_t len, const struct tsd_ini_handler *handler,
                  struct tsd_ini_fault *ret_fault) TS_MUST_USE;

#endif
