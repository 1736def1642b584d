/* The values that have more than one field: aggregation.start_time and aggregation.retention. */
#ifndef TSD_CONFIG_GRID_H
#define TSD_CONFIG_GRID_H

#include "daemon/config/context.h"

int tsd_config_parse_start_time(const struct tsd_config_context *context, const char *text, void *field) TS_MUST_USE;
void tsd_config_write_start_time(const struct tsd_config *config, struct ts_buf *out);
bool tsd_config_equal_start_time(const struct tsd_config *a, const struct tsd_config *b);

int tsd_config_parse_retention(const struct tsd_config_context *context, const char *text, void *field) TS_MUST_USE;
void tsd_config_write_retention(const struct tsd_config *config, struct ts_buf *out);
bool tsd_config_equal_retention(const struct tsd_config *a, const struct tsd_config *b);

/* Parses "10s:2d 1m:30d". TS_EINVAL with ret_reason. */
int tsd_config_parse_levels(const char *text, struct ts_retention ret_levels[TS_RETENTION_MAX], size_t *ret_n,
                            struct tsd_config_reason *ret_reason) TS_MUST_USE;

#endif
