/* Applies a newly read configuration to a running one. */
#ifndef TSD_CONFIG_RELOAD_H
#define TSD_CONFIG_RELOAD_H

#include "daemon/config/config.h"
#include "lib/base/error.h"

/* key: "ingest.threads". reloadable: the new value was copied; otherwise the change needs a restart. */
typedef void (*tsd_config_change_cb)(void *data, const char *key, bool reloadable);

/*
 * Copies the values of reloadable keys from `next` to `config`, and calls back for each key whose value differs.
 * TS_ENOMEM: nothing was copied, no call was made.
 */
int tsd_config_reload(struct tsd_config *config, const struct tsd_config *next, tsd_config_change_cb cb,
                      void *data) TS_MUST_USE;

#endif
