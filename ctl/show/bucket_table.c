/* See bucket_table.h. */
#include "ctl/show/bucket_table.h"

#include "ctl/show/chart.h"
#include "ctl/show/matrix.h"

#include <string.h>

/* The width of the widest value of a series, but enough of its name to recognise it. */
static int series_width(const struct ctl_matrix *m, const struct ctl_series *s)
{
    int width = ctl_width(ctl_value(m->seconds, s->total).text), name = ctl_width(ctl_text_str(&s->name));
    for (size_t b = 0; b < m->n_buckets; b++) {
        int wide = ctl_width(ctl_value(m->seconds, s->values[b]).text);
        width = wide > width ? wide : width;
    }
    name = name < 14 ? name : 14;
    return name > width ? name : width;
}

/* How many series fit beside the columns time, profiles and other. */
static size_t series_that_fit(const struct ctl_matrix *m, int room)
{
    bool complete = m->other_functions <= 0; /* no column "other" if all series fit */
    size_t n = 0;
    for (int used = 0; n < m->n_series && n < CTL_COLUMNS_MAX - 4; n++) {
        used += series_width(m, &m->series[n]) + 2;
        if (used + (complete && n + 1 == m->n_series ? 0 : 14) > room)
            break;
    }
    return n ? n : m->n_series > 0;
}

/* The first n series have a column each; `rest` functions are summed in the column "other", which 0 omits. */
static void add_columns(const struct ctl_matrix *m, size_t n, double rest, struct ctl_table *table)
{
    ctl_table_column(table, &(struct ctl_column){.title = "time (UTC)"});
    ctl_table_column(table, &(struct ctl_column){.title = "profiles", .right = true, .drop = 1});
    for (size_t i = 0; i < n; i++) {
        const struct ctl_series *s = &m->series[i];
        const char *location = ctl_text_str(&s->location), *base = strrchr(location, '/');
        ctl_table_column(table, &(struct ctl_column){.title = ctl_text_str(&s->name),
                                                     .subtitle = s->location.len ? (base ? base + 1 : location) : NULL,
                                                     .right = true,
                                                     .flexible = true,
                                                     .cut = CTL_CUT_MIDDLE,
                                                     .least = series_width(m, s)});
    }
    struct ctl_text title = {0};
    ctl_text_printf(&title, "other (%s)", ctl_count(rest).text);
    if (rest > 0)
        ctl_table_column(table, &(struct ctl_column){.title = ctl_text_str(&title), .right = true});
    table->failed = table->failed || title.failed;
    ctl_text_deinit(&title);
}

/* The value of a series in a bucket, or its total for bucket n_buckets. */
static double value_of(const struct ctl_matrix *m, const struct ctl_series *s, size_t bucket)
{
    return bucket < m->n_buckets ? s->values[bucket] : s->total;
}

/* A row: the totals for bucket n_buckets. */
static void add_row(const struct ctl_matrix *m, size_t n, double rest, size_t bucket, const char *time, double profiles,
                    struct ctl_table *table)
{
    double other = value_of(m, &m->other, bucket);
    ctl_table_cell(table, time);
    ctl_table_cell(table, ctl_count(profiles).text);
    for (size_t i = 0; i < n; i++)
        ctl_table_cell(table, ctl_value(m->seconds, value_of(m, &m->series[i], bucket)).text);
    for (size_t i = n; i < m->n_series; i++)
        other += value_of(m, &m->series[i], bucket);
    if (rest > 0)
        ctl_table_cell(table, ctl_value(m->seconds, other).text);
}

static void bucket_table(const struct ctl_matrix *m, bool by_label, const struct ctl_screen *screen,
                         struct ctl_text *out)
{
    struct ctl_clock clock = ctl_clock_for(m->times, m->n_buckets);
    int time_width = ctl_width(ctl_clock_time(&clock, m->times[0]).text) + 1;
    time_width = time_width < 10 ? 10 : time_width;
    size_t n = series_that_fit(m, screen->width - time_width - 2 - 8);
    double rest = m->other_functions + (double)(m->n_series - n), missing = 0, profiles = 0;
    struct ctl_table table = {.dim_last = true};
    struct ctl_text text = {0};

    add_columns(m, n, rest, &table);
    for (size_t b = 0; b < m->n_buckets; b++) {
        double parts = m->missing ? m->missing[b] : 0;
        ctl_text_clear(&text);
        ctl_text_printf(&text, "%s%s", ctl_clock_time(&clock, m->times[b]).text, parts > 0 ? "!" : "");
        add_row(m, n, rest, b, ctl_text_str(&text), m->profiles[b], &table);
        missing += parts;
        profiles += m->profiles[b];
    }
    add_row(m, n, rest, m->n_buckets, "total", profiles, &table);
    ctl_table_print(&table, screen, out);

    if (n < m->n_series) {
        size_t folded = m->n_series - n;
        ctl_text_clear(&text);
        ctl_text_printf(&text, "%zu %s%s not fit the width: summed in other, listed by --format json.", folded,
                        by_label ? "value" : "function", folded == 1 ? " does" : "s do");
        ctl_wrap(out, ctl_text_str(&text), screen->width, 0);
    }
    if (rest > 0 && !strcmp(m->metric, "cumtime"))
        ctl_nested_note(screen, out);
    if (missing > 0)
        ctl_missing_note(screen, out);
    out->failed = out->failed || text.failed;
    ctl_text_deinit(&text);
    ctl_table_deinit(&table);
}

int ctl_show_buckets(const struct ctl_args *args, const struct ctl_view *view, const cJSON *root, struct ctl_text *out,
                     struct ctl_text *problem)
{
    const struct ctl_screen *screen = &view->screen;
    struct ctl_matrix m;
    struct ctl_text more = {0};
    int rc = ctl_matrix_load(&m, root, problem);
    if (!rc && !m.n_buckets)
        ctl_text_puts(out, "no data in this range\n");
    else if (!rc) {
        double profiles = 0, total_tt = 0;
        for (size_t b = 0; b < m.n_buckets; b++)
            profiles += m.profiles[b];
        const cJSON *item;
        cJSON_ArrayForEach (item, cJSON_GetObjectItemCaseSensitive(root, "total_tt"))
            total_tt += cJSON_IsNumber(item) ? item->valuedouble : 0;
        ctl_text_printf(&more, ", %s per %s", m.metric, ctl_span(m.time_slice).text);
        ctl_head_line(view, root, profiles, total_tt, ctl_text_str(&more), out);
        if (args->chart)
            ctl_chart(&m, screen, out);
        else
            bucket_table(&m, args->by && !strncmp(args->by, "label.", 6), screen, out);
    }
    out->failed = out->failed || more.failed;
    ctl_text_deinit(&more);
    ctl_matrix_deinit(&m);
    return rc;
}
