/* What --check-config checks besides the text of the configuration: addresses and paths, on this system. */
#ifndef TSD_CHECK_USABLE_H
#define TSD_CHECK_USABLE_H

#include "daemon/config/load.h"

/* A tsd_config_check. */
int tsd_check_usable(const struct tsd_config_key *key, const struct tsd_config *config,
                     struct tsd_config_reason *ret_reason);

#endif
