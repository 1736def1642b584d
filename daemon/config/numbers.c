#include "daemon/config/numbers.h"

#include "daemon/base/log.h"
#include "lib/base/units.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- Durations ---- */

int tsd_config_parse_duration(const struct tsd_config_context *context, const char *text, void *field)
{
    const struct tsd_config_key *key = context->key;
    bool or_off = key->type == TSD_DURATION_OR_OFF;
    int64_t ns;
    if (or_off && !strcmp(text, "off")) {
        *(int64_t *)field = -1;
        return 0;
    }
    if (!ts_parse_duration(text, &ns) && ns >= key->min && ns <= key->max) {
        *(int64_t *)field = ns;
        return 0;
    }
    char min[32], max[32];
    return tsd_config_reject(context->reason,
                             "\"%.*s\" is not valid: expected a duration from %s to %s (a number with ms, s, m, h, d, "
                             "w or y; without a unit: seconds)%s",
                             TSD_CONFIG_SHOWN, text, ts_format_duration(key->min, min),
                             ts_format_duration(key->max, max), or_off ? ", or off" : "");
}

void tsd_config_write_duration(const void *field, struct ts_buf *out)
{
    char text[32];
    int64_t ns = *(const int64_t *)field;
    ts_buf_puts(out, ns < 0 ? "off" : ts_format_duration(ns, text));
}

/* ---- Counts, sizes, modes ---- */

int tsd_config_parse_count(const struct tsd_config_context *context, const char *text, void *field)
{
    const struct tsd_config_key *key = context->key;
    uint64_t n;
    if (text[strspn(text, "0123456789")] || ts_parse_size(text, &n) || n < (uint64_t)key->min || n > (uint64_t)key->max)
        return tsd_config_reject(context->reason, "\"%.*s\" is not valid: expected an integer from %lld to %lld",
                                 TSD_CONFIG_SHOWN, text, (long long)key->min, (long long)key->max);
    *(unsigned *)field = (unsigned)n;
    return 0;
}

void tsd_config_write_count(const void *field, struct ts_buf *out)
{
    ts_buf_printf(out, "%u", *(const unsigned *)field);
}

static void put_size(uint64_t bytes, struct ts_buf *out)
{
    static const char units[] = "\0KMG";
    size_t unit = 0;
    for (; unit < 3 && bytes && bytes % 1024 == 0; unit++)
        bytes /= 1024;
    ts_buf_printf(out, "%llu", (unsigned long long)bytes);
    if (unit)
        ts_buf_putc(out, units[unit]);
}

int tsd_config_parse_size(const struct tsd_config_context *context, const char *text, void *field)
{
    const struct tsd_config_key *key = context->key;
    uint64_t n;
    if (!ts_parse_size(text, &n) && n >= (uint64_t)key->min && n <= (uint64_t)key->max) {
        *(uint64_t *)field = n;
        return 0;
    }
    struct ts_buf range;
    ts_buf_init(&range);
    put_size((uint64_t)key->min, &range);
    ts_buf_puts(&range, " to ");
    put_size((uint64_t)key->max, &range);
    int rc = TS_ENOMEM;
    if (!ts_buf_failed(&range))
        rc = tsd_config_reject(context->reason,
                               "\"%.*s\" is not valid: expected a size from %.*s (bytes, or with K, M or G)",
                               TSD_CONFIG_SHOWN, text, (int)range.len, range.data);
    ts_buf_deinit(&range);
    return rc;
}

void tsd_config_write_size(const void *field, struct ts_buf *out)
{
    put_size(*(const uint64_t *)field, out);
}

int tsd_config_parse_mode(const struct tsd_config_context *context, const char *text, void *field)
{
    size_t len = strspn(text, "01234567");
    unsigned long mode = len && len <= 4 && !text[len] ? strtoul(text, NULL, 8) : ULONG_MAX;
    if (mode > 0777)
        return tsd_config_reject(context->reason, "\"%.*s\" is not valid: expected a file mode in octal, 0000 to 0777",
                                 TSD_CONFIG_SHOWN, text);
    *(unsigned *)field = (unsigned)mode;
    return 0;
}

void tsd_config_write_mode(const void *field, struct ts_buf *out)
{
    ts_buf_printf(out, "%04o", *(const unsigned *)field);
}

/* ---- Keywords ---- */

static const char *const levels[] = {
    [TSD_LOG_ERROR] = "error",
    [TSD_LOG_WARNING] = "warning",
    [TSD_LOG_INFO] = "info",
    [TSD_LOG_DEBUG] = "debug",
};

int tsd_config_parse_level(const struct tsd_config_context *context, const char *text, void *field)
{
    for (int i = TSD_LOG_ERROR; i <= TSD_LOG_DEBUG; i++) {
        if (!strcmp(text, levels[i])) {
            *(int *)field = i;
            return 0;
        }
    }
    return tsd_config_reject(context->reason, "\"%.*s\" is not valid: expected error, warning, info or debug",
                             TSD_CONFIG_SHOWN, text);
}

void tsd_config_write_level(const void *field, struct ts_buf *out)
{
    ts_buf_puts(out, levels[*(const int *)field]);
}

int tsd_config_parse_durability(const struct tsd_config_context *context, const char *text, void *field)
{
    bool power = !strcmp(text, "power");
    if (!power && strcmp(text, "process"))
        return tsd_config_reject(
            context->reason,
            "\"%.*s\" is not valid: expected power (survives power loss) or process (survives kill -9)",
            TSD_CONFIG_SHOWN, text);
    *(bool *)field = power;
    return 0;
}

void tsd_config_write_durability(const void *field, struct ts_buf *out)
{
    ts_buf_puts(out, *(const bool *)field ? "power" : "process");
}
