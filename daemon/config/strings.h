/* Values stored as strings on the heap: addresses, paths, a group, host names. NULL stands for off or none. */
#ifndef TSD_CONFIG_STRINGS_H
#define TSD_CONFIG_STRINGS_H

#include "daemon/config/context.h"

/* Replaces the string by a copy of text (may be NULL). TS_ENOMEM leaves it unchanged. */
int tsd_config_set_string(char **field, const char *text) TS_MUST_USE;

int tsd_config_parse_address(const struct tsd_config_context *context, const char *text, void *field) TS_MUST_USE;
/* TSD_SOCKET_PATH and TSD_FILE_PATH */
int tsd_config_parse_path(const struct tsd_config_context *context, const char *text, void *field) TS_MUST_USE;
int tsd_config_parse_group(const struct tsd_config_context *context, const char *text, void *field) TS_MUST_USE;
int tsd_config_parse_hosts(const struct tsd_config_context *context, const char *text, void *field) TS_MUST_USE;

/* NULL as off: addresses and paths. */
void tsd_config_write_or_off(const void *field, struct ts_buf *out);
/* NULL as an empty value: groups and host names. */
void tsd_config_write_or_empty(const void *field, struct ts_buf *out);

#endif
