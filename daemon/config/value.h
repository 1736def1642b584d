/*
 * One value of a configuration: parsed into its field, printed, compared, copied, by the type of its key. Messages
 * state what is accepted; the caller adds the place in the file.
 */
#ifndef TSD_CONFIG_VALUE_H
#define TSD_CONFIG_VALUE_H

#include "daemon/config/context.h"

/*
 * Replaces the key's value. TS_EINVAL (with ret_reason) and TS_ENOMEM leave it unchanged. Rules between keys are not
 * checked.
 */
int tsd_value_parse(const struct tsd_config_key *key, const char *text, int64_t now_ns, struct tsd_config *config,
                    struct tsd_config_reason *ret_reason) TS_MUST_USE;
/* Appends the value in the format that tsd_value_parse() accepts ("10s", "off"). */
void tsd_value_write(const struct tsd_config_key *key, const struct tsd_config *config, struct ts_buf *out);
bool tsd_value_equal(const struct tsd_config_key *key, const struct tsd_config *a, const struct tsd_config *b);

/* A list may be continued on indented lines of the file. */
bool tsd_value_is_list(const struct tsd_config_key *key);
bool tsd_value_is_path(const struct tsd_config_key *key);

/* The field of a key that is stored as a string, else NULL. */
char **tsd_value_string(const struct tsd_config_key *key, struct tsd_config *config);
/* For keys stored as a number (an integer or a choice). */
void tsd_value_copy_number(const struct tsd_config_key *key, const struct tsd_config *from, struct tsd_config *to);

#endif
