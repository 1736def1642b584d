/* See deletion.h. */
#include "ctl/show/deletion.h"

#include "ctl/show/response.h"
#include "ctl/show/view.h"

#include <math.h>

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
        ctl_text_puts(problem, "the response does not state what is deleted: is this timesliced?");
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
        ctl_wrap(out, "Nothing was deleted. The same command with --yes deletes it permanently.", screen->width, 0);
    out->failed = out->failed || line.failed;
    ctl_text_deinit(&line);
    return 0;
}
