/* Runs the daemon: start, signals, reload, stop. */
#ifndef TSD_SERVER_H
#define TSD_SERVER_H

#include "daemon/config/config.h"

/* Where the configuration was read from; a reload reads it again. */
struct tsd_origin {
    const char *file; /* NULL: the default file, if it exists */
    const char *const *sets;
    size_t n_sets;
};

/* Runs until SIGTERM or SIGINT; returns the exit code. A reload changes the configuration, which the caller frees. */
int tsd_server_run(struct tsd_config *config, const struct tsd_origin *origin);

#endif
