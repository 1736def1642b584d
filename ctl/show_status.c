/* status: a tree of names and values; delete: what goes. */
#include "ctl/views.h"

#include <math.h>
#include <string.h>

static bool ends_with(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);
    return a >= b && !strcmp(text + a - b, end);
}

/* The unit of a number is told by its name: the answer of status is open for more members. */
static struct ctl_figure status_number(const char *key, double value)
{
    if (ends_with(key, "uptime") || ends_with(key, "_seconds"))
        return ctl_duration(value);
    if (!strcmp(key, "time_slice") || ends_with(key, "width") || ends_with(key, "keep") || ends_with(key, "_interval"))
        return ctl_span(value);
    if (ends_with(key, "_time") || ends_with(key, "_at"))
        return ctl_time(value);
    if (ends_with(key, "bytes") || ends_with(key, "size"))
        return ctl_size(value);
    struct ctl_figure f = ctl_count(value);
    if (ends_with(key, "pid") || ends_with(key, "port")) {
        struct ctl_text plain = {0};
        ctl_text_printf(&plain, "%.0f", value);
        if (plain.len < sizeof(f.text))
            memcpy(f.text, ctl_text_str(&plain), plain.len + 1);
        ctl_text_deinit(&plain);
    }
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
        ctl_text_reset(&key);
        ctl_text_reset(&value);
        ctl_text_reset(&cut);
        ctl_clean(&key, item->string ? item->string : "-");
        bool is_error = item->string && ends_with(item->string, "error") && cJSON_IsString(item);
        bool nested = cJSON_IsObject(item) || cJSON_IsArray(item);
        ctl_text_spaces(out, 2 * depth);
        int taken = ctl_fit(out, ctl_text_str(&key), width - 2 * depth, CTL_CUT_END);
        if (nested && !item->child)
            ctl_text_puts(&value, "none");
        else
            status_value(item, &value);
        if (value.len) {
            ctl_text_spaces(out, width - 2 * depth - taken + 2);
            ctl_wrap(&cut, ctl_text_str(&value), screen->width, width + 2); /* errors are worth more than one line */
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

int ctl_show_status(const struct ctl_screen *screen, const cJSON *root, struct ctl_text *out)
{
    int width = key_width(root, 0);
    status_tree(root, 0, width < 32 ? width : 32, screen, out);
    return 0;
}

static void deletion_row(const char *name, const char *value, struct ctl_text *out)
{
    ctl_text_printf(out, "  %-11s %s\n", name, value);
}

int ctl_show_deletion(const struct ctl_screen *screen, const cJSON *root, struct ctl_text *out,
                      struct ctl_text *problem)
{
    static const struct {
        const char *member, *name;
        bool seconds;
    } rows[] = {
        {"functions", "functions", false}, {"label_sets", "label sets", false}, {"buckets", "buckets", false},
        {"rows", "sums", false},           {"profiles", "profiles", false},     {"cumtime", "cumtime", true},
        {"tottime", "tottime", true},      {"ncalls", "ncalls", false},         {"pcalls", "pcalls", false},
    };
    const cJSON *dry = cJSON_GetObjectItemCaseSensitive(root, "dry_run");
    if (!cJSON_IsBool(dry) || !cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(root, "rows"))) {
        ctl_text_puts(problem, "the answer does not say what goes: is this timesliced?");
        return -1;
    }
    struct ctl_text line = {0};
    bool nothing = ctl_number(root, "rows", 0) <= 0 && ctl_number(root, "profiles", 0) <= 0;
    if (nothing)
        ctl_text_puts(&line, "Nothing matches: nothing was deleted. Range: ");
    else
        ctl_text_puts(&line, cJSON_IsTrue(dry) ? "This would be deleted: " : "Deleted: ");
    ctl_range(&line, root);
    ctl_wrap(out, ctl_text_str(&line), screen->width, 0);
    for (size_t i = 0; !nothing && i < sizeof(rows) / sizeof(rows[0]); i++)
        deletion_row(rows[i].name, ctl_value(rows[i].seconds, ctl_number(root, rows[i].member, NAN)).text, out);
    if (!nothing && cJSON_IsTrue(dry))
        ctl_wrap(out, "Nothing was deleted. The same command with --yes deletes it, for good.", screen->width, 0);
    out->failed = out->failed || line.failed;
    ctl_text_deinit(&line);
    return 0;
}
