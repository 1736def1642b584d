/* Reads a configuration from the file, the command line and the defaults. */
#ifndef TSD_CONFIG_LOAD_H
#define TSD_CONFIG_LOAD_H

#include "daemon/config/config.h"
#include "daemon/config/context.h"
#include "lib/base/error.h"

/* Ready to print: "FILE:LINE: section.key: REASON", or "--set section.key: REASON". */
struct tsd_config_error {
    char message[512];
};

/*
 * Reads the file (NULL: /etc/timesliced/timesliced.conf, if it exists), then the n_sets texts "section.key=value", the
 * last one for a key counts. Other keys get their defaults. now_ns is the value of `now`. On success the caller owns
 * ret_config. TS_EINVAL or TS_ENOMEM with ret_error.
 */
int tsd_config_load(const char *file, const char *const *sets, size_t n_sets, int64_t now_ns,
                    struct tsd_config *ret_config, struct tsd_config_error *ret_error) TS_MUST_USE;
/*
 * Checks whether the value of a key can be used on this system. TS_EINVAL with ret_reason (without key and place).
 */
typedef int (*tsd_config_check)(const struct tsd_config_key *key, const struct tsd_config *config,
                                struct tsd_config_reason *ret_reason);
/* The same, and calls check for each key, after all other rules. */
int tsd_config_load_checked(const char *file, const char *const *sets, size_t n_sets, int64_t now_ns,
                            tsd_config_check check, struct tsd_config *ret_config,
                            struct tsd_config_error *ret_error) TS_MUST_USE;
void tsd_config_deinit(struct tsd_config *config); /* twice is safe */

/* What tsd_config_load() reads for this file, for a message: a path, or that there is no file. */
const char *tsd_config_source(const char *file);

#endif
