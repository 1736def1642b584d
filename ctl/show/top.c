/* See top.h. */
#include "ctl/show/top.h"

#include "ctl/show/response.h"

#include <math.h>
#include <string.h>

static const char *row_title(const char *by)
{
    return by && !strncmp(by, "label.", 6) ? by + 6 : "function";
}

static void top_row(struct ctl_table *table, const cJSON *row, const char *name, const char *location)
{
    static const char *const times[] = {"cumtime", "tottime"}, *const calls[] = {"ncalls", "pcalls"},
                             *const means[] = {"percall_cumtime", "percall_tottime"};
    ctl_table_cell(table, name);
    if (location)
        ctl_table_cell(table, location);
    for (int i = 0; i < 2; i++)
        ctl_table_cell(table, ctl_duration(ctl_number(row, times[i], 0)).text);
    for (int i = 0; i < 2; i++)
        ctl_table_cell(table, ctl_count(ctl_number(row, calls[i], 0)).text);
    for (int i = 0; i < 2; i++) {
        double mean = ctl_number(row, means[i], NAN);
        ctl_table_cell(table, isnan(mean) ? "-" : ctl_duration(mean).text);
    }
}

static void top_columns(struct ctl_table *table, const char *title, bool by_location)
{
    static const struct ctl_column columns[] = {
        {.title = "cumtime", .right = true},
        {.title = "tottime", .right = true, .drop = 1},
        {.title = "ncalls", .right = true, .drop = 2},
        {.title = "pcalls", .right = true, .drop = 5},
        {.title = "cum/call", .right = true, .drop = 3},
        {.title = "tot/call", .right = true, .drop = 4},
    };
    int least = by_location ? 16 : 14;
    ctl_table_column(table,
                     &(struct ctl_column){.title = title, .flexible = true, .cut = CTL_CUT_MIDDLE, .least = least});
    if (by_location)
        ctl_table_column(
            table, &(struct ctl_column){.title = "location", .flexible = true, .cut = CTL_CUT_MIDDLE, .least = 28});
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
        ctl_table_column(table, &columns[i]);
}

int ctl_show_top(const struct ctl_args *args, const struct ctl_view *view, const cJSON *root, struct ctl_text *out,
                 struct ctl_text *problem)
{
    const struct ctl_screen *screen = &view->screen;
    const cJSON *functions = ctl_list(root, "functions", problem), *row;
    if (!functions)
        return -1;
    if (!functions->child) {
        ctl_text_puts(out, "no data in this range\n");
        return 0;
    }
    ctl_head_line(view, root, ctl_number(root, "profiles", 0), ctl_number(root, "total_tt", 0), "", out);

    bool by_location = args->by && !strcmp(args->by, "location");
    struct ctl_table table = {0};
    top_columns(&table, row_title(args->by), by_location);
    struct ctl_text name = {0}, location = {0};
    cJSON_ArrayForEach (row, functions) {
        ctl_text_clear(&name);
        ctl_text_clear(&location);
        ctl_row_name(row, &name, &location);
        top_row(&table, row, ctl_text_str(&name), by_location ? ctl_text_str(&location) : NULL);
    }
    const cJSON *other = cJSON_GetObjectItemCaseSensitive(root, "other");
    double rest = ctl_number(other, "functions", 0);
    if (rest > 0) {
        ctl_text_clear(&name);
        ctl_text_printf(&name, "other (%s)", ctl_count(rest).text);
        top_row(&table, other, ctl_text_str(&name), by_location ? "" : NULL);
        table.dim_last = true;
    }
    ctl_table_print(&table, screen, out);
    if (rest > 0 || (args->by && !strncmp(args->by, "label.", 6)))
        ctl_nested_note(screen, out);
    out->failed = out->failed || name.failed || location.failed;
    ctl_text_deinit(&name);
    ctl_text_deinit(&location);
    ctl_table_deinit(&table);
    return 0;
}
