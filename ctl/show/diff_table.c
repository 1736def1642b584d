/* See diff_table.h. */
#include "ctl/show/diff_table.h"

#include "ctl/show/diff.h"
#include "ctl/show/response.h"

#include <math.h>
#include <string.h>

#define NOTEWORTHY 0.01 /* change / before; smaller changes are not coloured */

static void range_line(const struct ctl_screen *screen, const char *title, const cJSON *object,
                       const struct ctl_text *labels, struct ctl_text *out)
{
    struct ctl_text line = {0};
    ctl_text_puts(&line, title);
    ctl_range(&line, object);
    ctl_text_puts(&line, ", ");
    ctl_profiles(&line, ctl_number(object, "profiles", 0));
    if (labels->len) {
        ctl_text_puts(&line, ", ");
        ctl_clean(&line, ctl_text_str(labels));
    }
    ctl_wrap(out, ctl_text_str(&line), screen->width, 0);
    out->failed = out->failed || line.failed;
    ctl_text_deinit(&line);
}

static void value_cell(struct ctl_table *table, bool seconds, double value, bool with_sign, enum ctl_tint tint)
{
    struct ctl_formatted formatted = seconds ? ctl_duration(value) : ctl_mean(value);
    ctl_table_tinted(table, isnan(value) ? "-" : with_sign ? ctl_signed(formatted, value).text : formatted.text, tint);
}

static void row_cells(struct ctl_table *table, const struct ctl_diff *diff, const struct ctl_change *row,
                      const char *name, const char *location)
{
    double part = row->before > 0 ? fabs(row->change) / row->before : HUGE_VAL;
    bool noted = !isnan(row->change) && fabs(row->change) > 0 && part >= NOTEWORTHY;
    enum ctl_tint tint = !noted ? CTL_TINT_NONE : row->change > 0 ? CTL_TINT_WORSE : CTL_TINT_BETTER;
    ctl_table_cell(table, name);
    if (location)
        ctl_table_cell(table, location);
    value_cell(table, diff->seconds, row->before, false, CTL_TINT_NONE);
    value_cell(table, diff->seconds, row->after, false, CTL_TINT_NONE);
    value_cell(table, diff->seconds, row->change, true, tint);
    bool in_before = fabs(row->before) > 0;
    bool in_after = fabs(row->after) > 0;
    ctl_table_tinted(table,
                     isnan(row->change) || (!in_before && !in_after) ? "-"
                     : !in_before                                    ? "new"
                     : !in_after                                     ? "gone"
                     : isnan(row->ratio)                             ? "-"
                                                                     : ctl_percent(row->ratio - 1).text,
                     tint);
    if (diff->seconds) {
        value_cell(table, true, row->more, true, CTL_TINT_NONE);
        value_cell(table, true, row->slower, true, CTL_TINT_NONE);
    }
}

static void print_table(const struct ctl_diff *diff, bool by_location, const struct ctl_screen *screen,
                        struct ctl_text *out)
{
    static const struct ctl_column value_columns[] = {
        {.title = "before", .right = true, .drop = 4},
        {.title = "after", .right = true, .drop = 3},
        {.title = "change", .right = true},
        {.title = "%", .right = true},
        {.title = "called", .subtitle = "more", .right = true, .drop = 1},
        {.title = "slower", .subtitle = "per call", .right = true, .drop = 2},
    };
    struct ctl_table table = {.dim_last = diff->other_functions > 0};
    ctl_table_column(&table,
                     &(struct ctl_column){
                         .title = "function", .flexible = true, .cut = CTL_CUT_MIDDLE, .least = by_location ? 10 : 14});
    if (by_location)
        ctl_table_column(
            &table, &(struct ctl_column){.title = "location", .flexible = true, .cut = CTL_CUT_START, .least = 14});
    for (size_t i = 0; i < (diff->seconds ? 6 : 4); i++)
        ctl_table_column(&table, &value_columns[i]);
    for (size_t i = 0; i < diff->n; i++) {
        const struct ctl_change *row = &diff->rows[i];
        row_cells(&table, diff, row, ctl_text_str(&row->name), by_location ? ctl_text_str(&row->location) : NULL);
    }
    struct ctl_text name = {0};
    if (diff->other_functions > 0) {
        ctl_text_printf(&name, "other (%s)", ctl_count(diff->other_functions).text);
        row_cells(&table, diff, &diff->other, ctl_text_str(&name), by_location ? "" : NULL);
    }
    ctl_table_print(&table, screen, out);
    out->failed = out->failed || name.failed;
    ctl_text_deinit(&name);
    ctl_table_deinit(&table);
}

static void notes(const struct ctl_diff *diff, const struct ctl_screen *screen, struct ctl_text *out)
{
    ctl_text_puts(out, screen->color ? "\033[2m" : "");
    if (diff->seconds)
        ctl_wrap(out, "Change = called more + slower per call; negative: called less, faster.", screen->width, 0);
    ctl_text_puts(out, screen->color ? "\033[0m" : "");
    if (diff->other_functions > 0 && !strcmp(ctl_text_str(&diff->metric), "cumtime"))
        ctl_nested_note(screen, out);
}

int ctl_show_diff(const struct ctl_args *args, const struct ctl_view *view, const cJSON *root, struct ctl_text *out,
                  struct ctl_text *problem)
{
    struct ctl_diff diff;
    struct ctl_text line = {0};
    const struct ctl_screen *screen = &view->screen;
    int rc = ctl_diff_load(&diff, root, args->top ? (size_t)args->top : CTL_DIFF_ROWS, problem);
    if (!rc) {
        const cJSON *before = cJSON_GetObjectItemCaseSensitive(root, "before");
        const cJSON *after = cJSON_GetObjectItemCaseSensitive(root, "after");
        range_line(screen, "before: ", before, &args->before_labels, out);
        range_line(screen, "after:  ", after, &args->after_labels, out);
        ctl_resolution_note(view, "Before is", before, out);
        ctl_resolution_note(view, "After is", after, out);
        if (ctl_diff_is_one_sided(&diff, &line)) {
            ctl_text_putc(out, '\n');
            ctl_wrap(out, ctl_text_str(&line), screen->width, 0);
        } else if (!diff.n) {
            ctl_text_puts(out, "\nno functions in these ranges\n");
        } else {
            ctl_clean(&line, ctl_text_str(&diff.metric));
            ctl_text_puts(&line, " per profile, the largest changes first:");
            ctl_wrap(out, ctl_text_str(&line), screen->width, 0);
            ctl_text_putc(out, '\n');
            print_table(&diff, args->by && !strcmp(args->by, "location"), screen, out);
            notes(&diff, screen, out);
        }
    }
    out->failed = out->failed || line.failed;
    ctl_text_deinit(&line);
    ctl_diff_deinit(&diff);
    return rc;
}
