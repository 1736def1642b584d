#include "daemon/config/reload.h"

#include "daemon/config/strings.h"
#include "daemon/config/value.h"

#include <stdlib.h>

/* Strings are copied first: only that can fail. */
int tsd_config_reload(struct tsd_config *config, const struct tsd_config *next, tsd_config_change_cb cb, void *data)
{
    struct tsd_config borrowed = *next; /* its strings still belong to next */
    char *strings[TSD_CONFIG_KEYS] = {NULL};
    int rc = 0;
    for (size_t i = 0; i < TSD_CONFIG_KEYS && !rc; i++) {
        const struct tsd_config_key *key = &tsd_config_keys[i];
        char **string = tsd_value_string(key, &borrowed);
        if (string && key->reloadable && !tsd_value_equal(key, config, next))
            rc = tsd_config_set_string(&strings[i], *string);
    }
    for (size_t i = 0; i < TSD_CONFIG_KEYS && !rc; i++) {
        const struct tsd_config_key *key = &tsd_config_keys[i];
        if (tsd_value_equal(key, config, next))
            continue;
        char **string = tsd_value_string(key, config);
        if (key->reloadable && string) {
            char *old = *string;
            *string = strings[i];
            strings[i] = old;
        } else if (key->reloadable) {
            tsd_value_copy_number(key, next, config);
        }
        cb(data, key->name, key->reloadable);
    }
    for (size_t i = 0; i < TSD_CONFIG_KEYS; i++)
        free(strings[i]);
    return rc;
}
