#include "daemon/config/show.h"

#include "daemon/config/ini.h"
#include "daemon/config/value.h"

#include <assert.h>
#include <string.h>

enum { LINE_WIDTH = 100 }; /* of a list */
static_assert((int)LINE_WIDTH < (int)TSD_INI_LINE_MAX, "the lines of a list can be read back");

/* The items separated by spaces, continued on indented lines. */
static void put_list(struct ts_buf *out, size_t column, const char *list)
{
    for (const char *p = list + strspn(list, TSD_CONFIG_SEPARATORS); *p; p += strspn(p, TSD_CONFIG_SEPARATORS)) {
        size_t len = strcspn(p, TSD_CONFIG_SEPARATORS);
        if (column + 1 + len > LINE_WIDTH) {
            ts_buf_puts(out, "\n   ");
            column = 3;
        }
        ts_buf_putc(out, ' ');
        ts_buf_append(out, p, len);
        column += 1 + len;
        p += len;
    }
}

static void put_key(struct ts_buf *out, const struct tsd_config_key *key, const char *value)
{
    const char *name = key->name + tsd_config_section_len(key) + 1;
    size_t len = strlen(name) + strlen(" = ") + strlen(value);
    /* Without spaces, a long value may still fit its line, and a leading ; does not begin a comment. */
    bool tight = !tsd_value_is_list(key) && (*value == ';' || len > TSD_INI_LINE_MAX);
    ts_buf_printf(out, "%s%s", name, tight ? "=" : " =");
    if (tsd_value_is_list(key))
        put_list(out, strlen(name) + strlen(" ="), value);
    else if (*value)
        ts_buf_printf(out, "%s%s", tight ? "" : " ", value);
    ts_buf_putc(out, '\n');
}

int tsd_config_show(const struct tsd_config *config, struct ts_buf *out)
{
    struct ts_buf value;
    bool failed = false;
    ts_buf_init(&value);
    for (size_t i = 0; i < TSD_CONFIG_KEYS && !failed; i++) {
        const struct tsd_config_key *key = &tsd_config_keys[i];
        if (tsd_config_begins_section(key))
            ts_buf_printf(out, "%s[%.*s]\n", i ? "\n" : "", (int)tsd_config_section_len(key), key->name);
        ts_buf_reset(&value);
        tsd_value_write(key, config, &value);
        ts_buf_putc(&value, '\0');
        failed = ts_buf_failed(&value);
        if (!failed)
            put_key(out, key, value.data);
    }
    ts_buf_deinit(&value);
    return failed || ts_buf_failed(out) ? TS_ENOMEM : 0;
}
