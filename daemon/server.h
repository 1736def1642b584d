/* Owns everything: start order, stop order, signals, reload. */
#ifndef TSD_SERVER_H
#define TSD_SERVER_H

#include "daemon/config/config.h"

enum { TSD_EX_CONFIG = 78 }; /* sysexits.h: a restart would not help */

/* Where the configuration came from: a reload reads it again. */
struct tsd_origin {
    const char *file; /* NULL: the usual place, if it is there */
    const char *const *sets;
    size_t n_sets;
};

/* Runs until told to stop; gives the exit code. Takes over the configuration. */
int tsd_server_run(struct tsd_config *config, const struct tsd_origin *origin);

#endif
