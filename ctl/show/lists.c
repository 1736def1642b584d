/* See lists.h. */
#include "ctl/show/lists.h"

#include "ctl/base/format.h"
#include "ctl/show/response.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const seen_members[] = {"first_bucket", "last_bucket"};

/* To the minute, because seconds would take room and matter little here; always with the year. */
static void seen_cells(struct ctl_table *table, const cJSON *object)
{
    const struct ctl_clock clock = {.date = true, .year = true, .hours = true};
    for (int i = 0; i < 2; i++) {
        double time = ctl_number(object, seen_members[i], NAN);
        ctl_table_cell(table, isnan(time) ? "-" : ctl_clock_time(&clock, time).text);
    }
}

/* A row per location, the function's name only in the first. True if memory ran out. */
static bool function_rows(struct ctl_table *table, const cJSON *function)
{
    struct ctl_text name = {0}, location = {0}, unused = {0};
    const cJSON *locations = cJSON_GetObjectItemCaseSensitive(function, "locations"), *item;
    ctl_row_name(function, &name, &unused);
    locations = cJSON_IsArray(locations) ? locations : NULL;
    const char *shown = ctl_text_str(&name);
    if (!locations || !locations->child) {
        ctl_table_cell(table, shown);
        ctl_table_cell(table, "");
        ctl_table_cell(table, "");
        seen_cells(table, function);
    }
    cJSON_ArrayForEach (item, locations) {
        ctl_text_clear(&unused);
        ctl_text_clear(&location);
        ctl_row_name(item, &unused, &location);
        ctl_table_cell(table, shown);
        ctl_table_cell(table, ctl_string(item, "raw_name", "-"));
        ctl_table_cell(table, location.len ? ctl_text_str(&location) : "-");
        seen_cells(table, item);
        shown = "";
    }
    bool failed = name.failed || location.failed || unused.failed;
    ctl_text_deinit(&name);
    ctl_text_deinit(&location);
    ctl_text_deinit(&unused);
    return failed;
}

int ctl_show_functions(const struct ctl_screen *screen, const cJSON *root, struct ctl_text *out,
                       struct ctl_text *problem)
{
    const cJSON *functions = ctl_list(root, "functions", problem), *row;
    if (!functions)
        return -1;
    if (!functions->child) {
        ctl_text_puts(out, "no functions\n");
        return 0;
    }
    static const struct ctl_column columns[] = {
        {.title = "function", .flexible = true, .cut = CTL_CUT_MIDDLE, .least = 16},
        {.title = "raw name", .flexible = true, .cut = CTL_CUT_MIDDLE, .least = 12, .drop = 3},
        {.title = "location", .flexible = true, .cut = CTL_CUT_MIDDLE, .least = 24},
        {.title = "first seen (UTC)", .drop = 2},
        {.title = "last seen (UTC)", .drop = 1},
    };
    struct ctl_table table = {0};
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
        ctl_table_column(&table, &columns[i]);
    cJSON_ArrayForEach (row, functions)
        out->failed = function_rows(&table, row) || out->failed;
    ctl_table_print(&table, screen, out);
    ctl_table_deinit(&table);
    return 0;
}

int ctl_show_labels(const struct ctl_screen *screen, const cJSON *root, struct ctl_text *out, struct ctl_text *problem)
{
    const cJSON *sets = ctl_list(root, "labels", problem), *row, *pair;
    if (!sets)
        return -1;
    if (!sets->child) {
        ctl_text_puts(out, "no data: no profile has been received yet\n");
        return 0;
    }
    struct ctl_table table = {0};
    struct ctl_text set = {0};
    ctl_table_column(&table, &(struct ctl_column){.title = "labels", .flexible = true, .least = 20});
    ctl_table_column(&table, &(struct ctl_column){.title = "first bucket", .drop = 1});
    ctl_table_column(&table, &(struct ctl_column){.title = "last bucket"});
    ctl_table_column(&table, &(struct ctl_column){.title = "profiles", .right = true});
    cJSON_ArrayForEach (row, sets) {
        ctl_text_clear(&set);
        cJSON_ArrayForEach (pair, cJSON_GetObjectItemCaseSensitive(row, "labels"))
            ctl_text_printf(&set, "%s%s=%s", set.len ? " " : "", pair->string ? pair->string : "",
                            cJSON_IsString(pair) ? pair->valuestring : "?");
        ctl_table_cell(&table, set.len ? ctl_text_str(&set) : "(none)");
        for (int i = 0; i < 2; i++) {
            double time = ctl_number(row, seen_members[i], NAN);
            ctl_table_cell(&table, isnan(time) ? "-" : ctl_time(time).text);
        }
        ctl_table_cell(&table, ctl_count(ctl_number(row, "profiles", 0)).text);
    }
    ctl_table_print(&table, screen, out);
    out->failed = out->failed || set.failed;
    ctl_text_deinit(&set);
    ctl_table_deinit(&table);
    return 0;
}

/* Lines instead of columns: message and text matter most, and columns would cut them most. */
int ctl_show_rejects(const struct ctl_screen *screen, const cJSON *root, struct ctl_text *out, struct ctl_text *problem)
{
    const cJSON *rejects = ctl_list(root, "rejects", problem), *row;
    if (!rejects)
        return -1;
    if (!rejects->child)
        ctl_text_puts(out, "no message has been rejected since the daemon started\n");
    struct ctl_text line = {0};
    cJSON_ArrayForEach (row, rejects) {
        double time = ctl_number(row, "time", NAN);
        ctl_text_clear(&line);
        ctl_clean(&line, isnan(time) ? ctl_string(row, "time", "-") : ctl_time(time).text);
        ctl_text_puts(&line, "  ");
        ctl_clean(&line, ctl_string(row, "code", "-"));
        ctl_text_puts(&line, "  from ");
        ctl_clean(&line, *ctl_string(row, "peer", "") ? ctl_string(row, "peer", "") : "-");
        ctl_text_puts(out, screen->color ? "\033[1m" : "");
        ctl_wrap(out, ctl_text_str(&line), screen->width, 0);
        ctl_text_puts(out, screen->color ? "\033[0m" : "");
        ctl_text_clear(&line);
        ctl_clean(&line, ctl_string(row, "message", ""));
        ctl_wrap(out, ctl_text_str(&line), screen->width, 2);
        ctl_text_clear(&line);
        ctl_clean(&line, ctl_string(row, "text", ""));
        ctl_text_puts(out, screen->color ? "\033[2m" : "");
        ctl_wrap(out, ctl_text_str(&line), screen->width, 4);
        ctl_text_puts(out, screen->color ? "\033[0m" : "");
    }
    out->failed = out->failed || line.failed;
    ctl_text_deinit(&line);
    return 0;
}
