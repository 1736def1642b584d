/* The default value of a key. */
#ifndef TSD_CONFIG_DEFAULTS_H
#define TSD_CONFIG_DEFAULTS_H

#include "daemon/config/context.h"

/*
 * Sets the key to its default. Call it in the table's order: the default of aggregation.retention depends on
 * aggregation.time_slice, which must be set. TS_EINVAL with ret_reason (a folder in the environment has too long a
 * path) or TS_ENOMEM.
 */
int tsd_config_set_default(const struct tsd_config_key *key, int64_t now_ns, struct tsd_config *config,
                           struct tsd_config_reason *ret_reason) TS_MUST_USE;

#endif
