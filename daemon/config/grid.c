#include "daemon/config/grid.h"

#include "lib/aggregate/grid.h"
#include "lib/base/text.h"
#include "lib/base/units.h"

#include <stdio.h>
#include <string.h>

/* ---- start_time ---- */

/*
 * A time relative to now is recognised by parsing it twice, a second apart. It stands for the time of the first start,
 * because the store keeps the start time of an existing database: see start_time_is_now.
 */
int tsd_config_parse_start_time(const struct tsd_config_context *context, const char *text, void *field)
{
    (void)field;
    int64_t ns, later;
    if (ts_parse_time(text, context->now_ns, &ns))
        return tsd_config_reject(
            context->reason,
            "\"%.*s\" is not a time: expected epoch seconds (1732272000), ISO 8601 (2026-01-31T10:00:00Z) or now",
            TSD_CONFIG_SHOWN, text);
    bool relative = ts_parse_time(text, context->now_ns + TS_NS_PER_S, &later) || later != ns;
    context->config->aggregation.start_time = relative ? ts_floor_div(ns, TS_NS_PER_S) * TS_NS_PER_S : ns;
    context->config->aggregation.start_time_is_now = relative;
    return 0;
}

void tsd_config_write_start_time(const struct tsd_config *config, struct ts_buf *out)
{
    if (config->aggregation.start_time_is_now)
        ts_buf_puts(out, "now");
    else
        ts_put_seconds(out, config->aggregation.start_time);
}

bool tsd_config_equal_start_time(const struct tsd_config *a, const struct tsd_config *b)
{
    if (a->aggregation.start_time_is_now || b->aggregation.start_time_is_now)
        return a->aggregation.start_time_is_now == b->aggregation.start_time_is_now;
    return a->aggregation.start_time == b->aggregation.start_time;
}

/* ---- retention ---- */

static int parse_level(const char *text, struct ts_retention *ret_level)
{
    struct ts_retention level;
    char width[64];
    const char *colon = strchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof(width))
        return TS_EINVAL;
    memcpy(width, text, (size_t)(colon - text));
    width[colon - text] = '\0';
    if (ts_parse_duration(width, &level.width) || ts_parse_duration(colon + 1, &level.keep) || !level.width)
        return TS_EINVAL;
    *ret_level = level;
    return 0;
}

/* finer: the previous level of the list, NULL for the first. */
static int check_level(const char *text, const struct ts_retention *level, const struct ts_retention *finer,
                       struct tsd_config_reason *reason)
{
    char width[32];
    if (level->keep < level->width)
        return tsd_config_reject(reason, "%s keeps less than the width of one bucket", text);
    if (!finer)
        return 0;
    ts_format_duration(finer->width, width);
    if (level->width <= finer->width || level->width % finer->width)
        return tsd_config_reject(
            reason, "the width of %s is not a multiple of the previous width, %s: list levels finest first", text,
            width);
    if (level->keep < finer->keep)
        return tsd_config_reject(reason, "%s is kept for less time than the previous, finer level of %s", text, width);
    return 0;
}

int tsd_config_parse_levels(const char *text, struct ts_retention ret_levels[TS_RETENTION_MAX], size_t *ret_n,
                            struct tsd_config_reason *ret_reason)
{
    static const char space[] = " \t";
    struct ts_retention levels[TS_RETENTION_MAX];
    size_t n = 0;
    for (const char *p = text + strspn(text, space); *p; p += strspn(p, space)) {
        char one[128];
        size_t len = strcspn(p, space);
        struct ts_retention level;
        snprintf(one, sizeof(one), "%.*s", (int)(len < sizeof(one) ? len : sizeof(one) - 1), p);
        if (len >= sizeof(one) || parse_level(one, &level))
            return tsd_config_reject(ret_reason,
                                     "\"%.*s\" is not valid: expected WIDTH:KEEP, two durations such as 1m:30d, for "
                                     "each level, finest first",
                                     TSD_CONFIG_SHOWN, one);
        if (n == TS_RETENTION_MAX)
            return tsd_config_reject(ret_reason, "there are more than %d levels", TS_RETENTION_MAX);
        if (check_level(one, &level, n ? &levels[n - 1] : NULL, ret_reason))
            return TS_EINVAL;
        levels[n++] = level;
        p += len;
    }
    if (!n)
        return tsd_config_reject(ret_reason,
                                 "the value is empty: expected WIDTH:KEEP for each level, such as 10s:2d 1m:30d");
    memcpy(ret_levels, levels, n * sizeof(*levels));
    *ret_n = n;
    return 0;
}

int tsd_config_parse_retention(const struct tsd_config_context *context, const char *text, void *field)
{
    return tsd_config_parse_levels(text, field, &context->config->aggregation.n_retention, context->reason);
}

void tsd_config_write_retention(const struct tsd_config *config, struct ts_buf *out)
{
    for (size_t i = 0; i < config->aggregation.n_retention; i++) {
        char width[32], keep[32];
        const struct ts_retention *level = &config->aggregation.retention[i];
        ts_buf_printf(out, "%s%s:%s", i ? " " : "", ts_format_duration(level->width, width),
                      ts_format_duration(level->keep, keep));
    }
}

bool tsd_config_equal_retention(const struct tsd_config *a, const struct tsd_config *b)
{
    size_t n = a->aggregation.n_retention;
    if (n != b->aggregation.n_retention)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (a->aggregation.retention[i].width != b->aggregation.retention[i].width ||
            a->aggregation.retention[i].keep != b->aggregation.retention[i].keep)
            return false;
    }
    return true;
}
