/* See status.h. */
#include "ctl/show/status.h"

#include "ctl/base/format.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool ends_with(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);
    return a >= b && !strcmp(text + a - b, end);
}

/* The unit follows from the name, because later daemons may add members to the response. */
static struct ctl_formatted status_number(const char *key, double value)
{
    if (ends_with(key, "uptime") || ends_with(key, "_seconds"))
        return ctl_duration(value);
    if (!strcmp(key, "time_slice") || ends_with(key, "width") || ends_with(key, "keep") || ends_with(key, "_interval"))
        return ctl_span(value);
    if (ends_with(key, "_time") || ends_with(key, "_at"))
        return ctl_time(value);
    if (ends_with(key, "bytes") || ends_with(key, "size"))
        return ctl_size(value);
    struct ctl_formatted f = ctl_count(value);
    if ((ends_with(key, "pid") || ends_with(key, "port")) && fabs(value) < 1e15) /* without separators */
        snprintf(f.text, sizeof(f.text), "%.0f", value);
    return f;
}

static void status_value(const cJSON *item, struct ctl_text *out)
{
    const char *key = item->string ? item->string : "";
    if (cJSON_IsNumber(item))
        ctl_text_puts(out, status_number(key, item->valuedouble).text);
    else if (cJSON_IsString(item))
        ctl_clean(out, item->valuestring);
    else
        ctl_text_puts(out, cJSON_IsNull(item) ? "none" : cJSON_IsTrue(item) ? "yes" : cJSON_IsFalse(item) ? "no" : "");
}

static int key_width(const cJSON *object, int depth)
{
    int width = 0;
    const cJSON *item;
    cJSON_ArrayForEach (item, object) {
        int wide = 2 * depth + (item->string ? ctl_width(item->string) : 1);
        int inner = item->child && depth < 16 ? key_width(item, depth + 1) : 0;
        wide = inner > wide ? inner : wide;
        width = wide > width ? wide : width;
    }
    return width;
}

static void status_tree(const cJSON *object, int depth, int width, const struct ctl_screen *screen,
                        struct ctl_text *out)
{
    const cJSON *item;
    struct ctl_text key = {0}, value = {0}, cut = {0};
    cJSON_ArrayForEach (item, object) {
        ctl_text_clear(&key);
        ctl_text_clear(&value);
        ctl_text_clear(&cut);
        ctl_clean(&key, item->string ? item->string : "-");
        bool is_error = item->string && ends_with(item->string, "error") && cJSON_IsString(item);
        bool nested = cJSON_IsObject(item) || cJSON_IsArray(item);
        ctl_text_spaces(out, 2 * depth);
        int used = ctl_fit(out, ctl_text_str(&key), width - 2 * depth, CTL_CUT_END);
        if (nested && !item->child)
            ctl_text_puts(&value, "none");
        else
            status_value(item, &value);
        if (value.len) {
            ctl_text_spaces(out, width - 2 * depth - used + 2);
            ctl_wrap(&cut, ctl_text_str(&value), screen->width, width + 2); /* long errors take several lines */
            size_t skip = (size_t)width + 2;
            ctl_text_puts(out, is_error && screen->color ? "\033[31m" : "");
            if (cut.len > skip)
                ctl_text_append(out, cut.data + skip, cut.len - skip - 1);
            ctl_text_puts(out, is_error && screen->color ? "\033[0m" : "");
        }
        ctl_text_putc(out, '\n');
        if (nested && item->child && depth < 16)
            status_tree(item, depth + 1, width, screen, out);
    }
    out->failed = out->failed || key.failed || value.failed || cut.failed;
    ctl_text_deinit(&key);
    ctl_text_deinit(&value);
    ctl_text_deinit(&cut);
}

void ctl_show_status(const struct ctl_screen *screen, const cJSON *root, struct ctl_text *out)
{
    int width = key_width(root, 0);
    status_tree(root, 0, width < 32 ? width : 32, screen, out);
}
