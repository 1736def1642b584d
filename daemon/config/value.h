/*
 * One value of the configuration: from its text into its field, and back. What is wrong with a text is said in words
 * that name what is allowed; where the text came from is the caller's to add.
 */
#ifndef TSD_CONFIG_VALUE_H
#define TSD_CONFIG_VALUE_H

#include "daemon/config/config.h"

struct tsd_config_reason {
    char text[320];
};

/*
 * Replaces the key's value. TS_EINVAL with ret_reason, or TS_ENOMEM; the value is then as it was. Rules between keys
 * are not looked at.
 */
int tsd_value_parse(const struct tsd_config_key *key, const char *text, int64_t now_ns, struct tsd_config *config,
                    struct tsd_config_reason *ret_reason) TS_MUST_USE;
void tsd_value_write(const struct tsd_config_key *key, const struct tsd_config *config, struct ts_buf *out);
bool tsd_value_equal(const struct tsd_config_key *key, const struct tsd_config *a, const struct tsd_config *b);

/* The field of a key that is stored as a string, else NULL. */
char **tsd_value_string(const struct tsd_config_key *key, struct tsd_config *config);
/* Frees the old one, takes a copy, NULL included. TS_ENOMEM leaves the old one. */
int tsd_value_set_string(char **field, const char *text) TS_MUST_USE;
/* Copies a number: a duration, count, size, mode, or one of a few words. */
void tsd_value_copy_number(const struct tsd_config_key *key, const struct tsd_config *from, struct tsd_config *to);

/* "10s:2d 1m:30d". TS_EINVAL with ret_reason. */
int tsd_parse_retention(const char *text, struct ts_retention ret_levels[TS_RETENTION_MAX], size_t *ret_n,
                        struct tsd_config_reason *ret_reason) TS_MUST_USE;

#endif
