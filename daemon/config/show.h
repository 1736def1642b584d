/* Prints a configuration as a file. */
#ifndef TSD_CONFIG_SHOW_H
#define TSD_CONFIG_SHOW_H

#include "daemon/config/config.h"
#include "lib/base/buf.h"

/*
 * Appends every key with its value, in the format of the configuration file; reading the text gives the same
 * configuration. The exceptions are values that only --set accepts (longer than a line, or with ` ;` or ` #`), which
 * are printed unchanged, and a start_time relative to now, which is printed as `now`. TS_ENOMEM: the text is
 * incomplete.
 */
int tsd_config_show(const struct tsd_config *config, struct ts_buf *out) TS_MUST_USE;

#endif
