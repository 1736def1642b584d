#include "daemon/config/defaults.h"

#include "daemon/config/grid.h"
#include "daemon/config/value.h"
#include "lib/base/units.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "$VARIABLE/NAME, else PATH". If the variable lists several folders, the first is the one of this unit. */
static int set_path(const struct tsd_config_key *key, struct tsd_config *config, struct tsd_config_reason *ret_reason)
{
    static const char separator[] = ", else ";
    const char *name = strchr(key->default_text, '/');
    const char *rest = strstr(key->default_text, separator);
    char variable[TSD_CONFIG_KEY_MAX];
    snprintf(variable, sizeof(variable), "%.*s", (int)(name - key->default_text - 1), key->default_text + 1);
    const char *folder = getenv(variable);
    size_t len = folder ? strcspn(folder, ":") : 0;
    if (!len)
        return tsd_value_parse(key, rest + strlen(separator), 0, config, ret_reason);
    struct ts_buf path;
    ts_buf_init(&path);
    ts_buf_append(&path, folder, len);
    ts_buf_append(&path, name, (size_t)(rest - name));
    ts_buf_putc(&path, '\0');
    int rc = ts_buf_failed(&path) ? TS_ENOMEM : tsd_value_parse(key, path.data, 0, config, ret_reason);
    ts_buf_deinit(&path);
    return rc;
}

/* A wide time_slice is kept for at least one bucket. Of the wider levels, those are used that are multiples. */
static int set_retention(struct tsd_config *config, struct tsd_config_reason *ret_reason)
{
    struct ts_retention wider[TS_RETENTION_MAX];
    struct ts_retention *levels = config->aggregation.retention;
    size_t n_wider, n = 0;
    int64_t keep;
    int64_t width = config->aggregation.time_slice;
    assert(width > 0);
    if (ts_parse_duration(TSD_DEFAULT_FINEST_KEEP, &keep))
        return tsd_config_reject(ret_reason, "not a duration: " TSD_DEFAULT_FINEST_KEEP);
    int rc = tsd_config_parse_levels(TSD_DEFAULT_WIDER_LEVELS, wider, &n_wider, ret_reason);
    if (rc)
        return rc;
    assert(n_wider < TS_RETENTION_MAX);
    levels[n++] = (struct ts_retention){width, keep > width ? keep : width};
    for (size_t i = 0; i < n_wider; i++) {
        width = levels[n - 1].width;
        if (wider[i].width > width && wider[i].width % width == 0)
            levels[n++] = wider[i];
    }
    config->aggregation.n_retention = n;
    return 0;
}

int tsd_config_set_default(const struct tsd_config_key *key, int64_t now_ns, struct tsd_config *config,
                           struct tsd_config_reason *ret_reason)
{
    if (key->type == TSD_RETENTION)
        return set_retention(config, ret_reason);
    if (key->default_text[0] == '$')
        return set_path(key, config, ret_reason);
    return tsd_value_parse(key, key->default_text, now_ns, config, ret_reason);
}
