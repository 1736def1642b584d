/* Values stored as numbers: durations, counts, sizes, file modes, and choices from a few keywords. */
#ifndef TSD_CONFIG_NUMBERS_H
#define TSD_CONFIG_NUMBERS_H

#include "daemon/config/context.h"

int tsd_config_parse_duration(const struct tsd_config_context *context, const char *text, void *field) TS_MUST_USE;
void tsd_config_write_duration(const void *field, struct ts_buf *out);

int tsd_config_parse_count(const struct tsd_config_context *context, const char *text, void *field) TS_MUST_USE;
void tsd_config_write_count(const void *field, struct ts_buf *out);

int tsd_config_parse_size(const struct tsd_config_context *context, const char *text, void *field) TS_MUST_USE;
void tsd_config_write_size(const void *field, struct ts_buf *out);

int tsd_config_parse_mode(const struct tsd_config_context *context, const char *text, void *field) TS_MUST_USE;
void tsd_config_write_mode(const void *field, struct ts_buf *out);

int tsd_config_parse_level(const struct tsd_config_context *context, const char *text, void *field) TS_MUST_USE;
void tsd_config_write_level(const void *field, struct ts_buf *out);

int tsd_config_parse_durability(const struct tsd_config_context *context, const char *text, void *field) TS_MUST_USE;
void tsd_config_write_durability(const void *field, struct ts_buf *out);

#endif
