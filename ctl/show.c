/* See show.h. */
#include "ctl/show.h"

#include "ctl/answer.h"
#include "ctl/chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct ctl_figure value_text(bool seconds, double value)
{
    return seconds ? ctl_duration(value) : ctl_count(value);
}

/* "2026-01-31 10:00:00Z to 2026-01-31 11:00:00Z, 7 profiles, total_tt 3.30 s", wrapped. */
static void head_line(const struct ctl_screen *screen, bool has_range, double from, double to, double profiles,
                      double total_tt, const char *more, struct ctl_text *out)
{
    struct ctl_text line = {0};
    if (has_range)
        ctl_text_printf(&line, "%s to %s, ", ctl_time(from).text, ctl_time(to).text);
    ctl_text_printf(&line, "%s profile%s, total_tt %s", ctl_count(profiles).text,
                    profiles > 0 && profiles < 2 ? "" : "s", ctl_duration(total_tt).text);
    ctl_clean(&line, more);
    ctl_wrap(out, ctl_text_str(&line), screen->width, 0);
    ctl_text_putc(out, '\n');
    out->failed = out->failed || line.failed;
    ctl_text_deinit(&line);
}

static const char *row_title(const char *by)
{
    return by && !strncmp(by, "label.", 6) ? by + 6 : "function";
}

static void top_row(struct ctl_table *table, const cJSON *row, const char *name, const char *where)
{
    static const char *const times[] = {"cumtime", "tottime"}, *const calls[] = {"ncalls", "pcalls"},
                             *const means[] = {"percall_cumtime", "percall_tottime"};
    ctl_table_cell(table, name);
    if (where)
        ctl_table_cell(table, where);
    for (int i = 0; i < 2; i++)
        ctl_table_cell(table, ctl_duration(ctl_number(row, times[i], 0)).text);
    for (int i = 0; i < 2; i++)
        ctl_table_cell(table, ctl_count(ctl_number(row, calls[i], 0)).text);
    for (int i = 0; i < 2; i++) {
        double mean = ctl_number(row, means[i], NAN);
        ctl_table_cell(table, isnan(mean) ? "-" : ctl_duration(mean).text);
    }
}

static int show_top(const struct ctl_args *args, const struct ctl_screen *screen, const cJSON *root,
                    struct ctl_text *out, struct ctl_text *problem)
{
    const cJSON *functions = ctl_list(root, "functions", problem), *row;
    if (!functions)
        return -1;
    if (!functions->child) {
        ctl_text_puts(out, "no data in this range\n");
        return 0;
    }
    const cJSON *to = cJSON_GetObjectItemCaseSensitive(root, "to");
    head_line(screen, cJSON_IsNumber(to), ctl_number(root, "from", 0), ctl_number(root, "to", 0),
              ctl_number(root, "profiles", 0), ctl_number(root, "total_tt", 0), "", out);

    bool places = args->by && !strcmp(args->by, "location");
    struct ctl_table table = {0};
    ctl_table_column(
        &table, &(struct ctl_column){
                    .title = row_title(args->by), .flexible = true, .cut = CTL_CUT_MIDDLE, .least = places ? 16 : 14});
    if (places)
        ctl_table_column(
            &table, &(struct ctl_column){.title = "location", .flexible = true, .cut = CTL_CUT_MIDDLE, .least = 28});
    static const struct ctl_column figures[] = {
        {.title = "cumtime", .right = true},
        {.title = "tottime", .right = true, .drop = 1},
        {.title = "ncalls", .right = true, .drop = 2},
        {.title = "pcalls", .right = true, .drop = 5},
        {.title = "cum/call", .right = true, .drop = 3},
        {.title = "tot/call", .right = true, .drop = 4},
    };
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
        ctl_table_column(&table, &figures[i]);

    struct ctl_text name = {0}, where = {0};
    cJSON_ArrayForEach (row, functions) {
        ctl_text_reset(&name);
        ctl_text_reset(&where);
        ctl_row_name(row, &name, &where);
        top_row(&table, row, ctl_text_str(&name), places ? ctl_text_str(&where) : NULL);
    }
    const cJSON *other = cJSON_GetObjectItemCaseSensitive(root, "other");
    double rest = ctl_number(other, "functions", 0);
    if (rest > 0) {
        ctl_text_reset(&name);
        ctl_text_printf(&name, "other (%s)", ctl_count(rest).text);
        top_row(&table, other, ctl_text_str(&name), places ? "" : NULL);
        table.dim_last = true;
    }
    ctl_table_print(&table, screen, out);
    if (rest > 0 || (args->by && !strncmp(args->by, "label.", 6)))
        ctl_nested_note(screen, out);
    out->failed = out->failed || name.failed || where.failed;
    ctl_text_deinit(&name);
    ctl_text_deinit(&where);
    ctl_table_deinit(&table);
    return 0;
}

/* The widest figure of a series, but not less than a name needs to be told from others. */
static int series_width(const struct ctl_matrix *m, const struct ctl_series *s)
{
    int width = ctl_width(value_text(m->seconds, s->total).text), name = ctl_width(ctl_text_str(&s->name));
    for (size_t b = 0; b < m->n_buckets; b++) {
        int wide = ctl_width(value_text(m->seconds, s->values[b]).text);
        width = wide > width ? wide : width;
    }
    name = name < 14 ? name : 14;
    return name > width ? name : width;
}

/* How many series fit beside the columns of time, profiles and other. */
static size_t series_that_fit(const struct ctl_matrix *m, int room)
{
    bool whole = m->other_functions <= 0;
    size_t n = 0;
    for (int used = 0; n < m->n_series && n < CTL_COLUMNS_MAX - 4; n++) {
        used += series_width(m, &m->series[n]) + 2;
        if (used + (whole && n + 1 == m->n_series ? 0 : 14) > room)
            break;
    }
    return n ? n : m->n_series > 0;
}

static void bucket_table(const struct ctl_matrix *m, const struct ctl_screen *screen, struct ctl_text *out)
{
    struct ctl_clock clock = ctl_clock_for(m->times, m->n_buckets);
    int time_width = ctl_width(ctl_clock_time(&clock, m->times[0]).text) + 1;
    time_width = time_width < 10 ? 10 : time_width;
    size_t n = series_that_fit(m, screen->width - time_width - 2 - 8);
    double rest = m->other_functions + (double)(m->n_series - n);

    struct ctl_table table = {.dim_last = true};
    ctl_table_column(&table, &(struct ctl_column){.title = "time (UTC)"});
    ctl_table_column(&table, &(struct ctl_column){.title = "profiles", .right = true, .drop = 1});
    for (size_t i = 0; i < n; i++) {
        const struct ctl_series *s = &m->series[i];
        const char *where = ctl_text_str(&s->where), *base = strrchr(where, '/');
        ctl_table_column(&table, &(struct ctl_column){.title = ctl_text_str(&s->name),
                                                      .subtitle = s->where.len ? (base ? base + 1 : where) : NULL,
                                                      .right = true,
                                                      .flexible = true,
                                                      .cut = CTL_CUT_MIDDLE,
                                                      .least = series_width(m, s)});
    }
    struct ctl_text title = {0};
    ctl_text_printf(&title, "other (%s)", ctl_count(rest).text);
    if (rest > 0)
        ctl_table_column(&table, &(struct ctl_column){.title = ctl_text_str(&title), .right = true});

    double missing = 0, profiles = 0, other_total = m->other.total;
    for (size_t b = 0; b < m->n_buckets; b++) {
        double parts = m->missing ? m->missing[b] : 0, other = m->other.values[b];
        ctl_text_reset(&title);
        ctl_text_printf(&title, "%s%s", ctl_clock_time(&clock, m->times[b]).text, parts > 0 ? "!" : "");
        ctl_table_cell(&table, ctl_text_str(&title));
        ctl_table_cell(&table, ctl_count(m->profiles[b]).text);
        for (size_t i = 0; i < n; i++)
            ctl_table_cell(&table, value_text(m->seconds, m->series[i].values[b]).text);
        for (size_t i = n; i < m->n_series; i++)
            other += m->series[i].values[b];
        if (rest > 0)
            ctl_table_cell(&table, value_text(m->seconds, other).text);
        missing += parts;
        profiles += m->profiles[b];
    }
    ctl_table_cell(&table, "total");
    ctl_table_cell(&table, ctl_count(profiles).text);
    for (size_t i = 0; i < n; i++)
        ctl_table_cell(&table, value_text(m->seconds, m->series[i].total).text);
    for (size_t i = n; i < m->n_series; i++)
        other_total += m->series[i].total;
    if (rest > 0)
        ctl_table_cell(&table, value_text(m->seconds, other_total).text);
    ctl_table_print(&table, screen, out);
    if (rest > 0 && !strcmp(m->metric, "cumtime"))
        ctl_nested_note(screen, out);
    if (missing > 0)
        ctl_wrap(out, "! parts of profiles never arrived; these buckets show too little", screen->width, 0);
    out->failed = out->failed || title.failed;
    ctl_text_deinit(&title);
    ctl_table_deinit(&table);
}

static int show_buckets(const struct ctl_args *args, const struct ctl_screen *screen, const cJSON *root,
                        struct ctl_text *out, struct ctl_text *problem)
{
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
        head_line(screen, m.has_range, m.from, m.to, profiles, total_tt, ctl_text_str(&more), out);
        if (args->chart)
            ctl_chart(&m, screen, out);
        else
            bucket_table(&m, screen, out);
    }
    ctl_text_deinit(&more);
    ctl_matrix_deinit(&m);
    return rc;
}

static int show_functions(const struct ctl_screen *screen, const cJSON *root, struct ctl_text *out,
                          struct ctl_text *problem)
{
    const cJSON *functions = ctl_list(root, "functions", problem), *row, *place;
    if (!functions)
        return -1;
    if (!functions->child) {
        ctl_text_puts(out, "no functions\n");
        return 0;
    }
    struct ctl_table table = {0};
    struct ctl_text name = {0}, where = {0};
    ctl_table_column(&table,
                     &(struct ctl_column){.title = "function", .flexible = true, .cut = CTL_CUT_MIDDLE, .least = 16});
    ctl_table_column(&table, &(struct ctl_column){
                                 .title = "raw name", .flexible = true, .cut = CTL_CUT_MIDDLE, .least = 12, .drop = 1});
    ctl_table_column(&table,
                     &(struct ctl_column){.title = "location", .flexible = true, .cut = CTL_CUT_MIDDLE, .least = 24});
    cJSON_ArrayForEach (row, functions) {
        ctl_text_reset(&name);
        ctl_text_reset(&where);
        ctl_row_name(row, &name, &where);
        const char *shown = ctl_text_str(&name);
        const cJSON *places = cJSON_GetObjectItemCaseSensitive(row, "locations");
        if (!cJSON_IsArray(places) || !places->child) {
            ctl_table_cell(&table, shown);
            ctl_table_cell(&table, "");
            ctl_table_cell(&table, "");
            continue;
        }
        cJSON_ArrayForEach (place, places) {
            struct ctl_text unused = {0};
            ctl_text_reset(&where);
            ctl_row_name(place, &unused, &where);
            ctl_text_deinit(&unused);
            ctl_table_cell(&table, shown);
            ctl_table_cell(&table, ctl_string(place, "raw_name", "-"));
            ctl_table_cell(&table, where.len ? ctl_text_str(&where) : "-");
            shown = ""; /* named once, above its locations */
        }
    }
    ctl_table_print(&table, screen, out);
    out->failed = out->failed || name.failed || where.failed;
    ctl_text_deinit(&name);
    ctl_text_deinit(&where);
    ctl_table_deinit(&table);
    return 0;
}

static int show_labels(const struct ctl_screen *screen, const cJSON *root, struct ctl_text *out,
                       struct ctl_text *problem)
{
    const cJSON *sets = ctl_list(root, "labels", problem), *row, *pair;
    if (!sets)
        return -1;
    if (!sets->child) {
        ctl_text_puts(out, "no data: no profile was received yet\n");
        return 0;
    }
    struct ctl_table table = {0};
    struct ctl_text set = {0};
    ctl_table_column(&table, &(struct ctl_column){.title = "labels", .flexible = true, .least = 20});
    ctl_table_column(&table, &(struct ctl_column){.title = "first bucket", .drop = 1});
    ctl_table_column(&table, &(struct ctl_column){.title = "last bucket"});
    ctl_table_column(&table, &(struct ctl_column){.title = "profiles", .right = true});
    static const char *const ends[] = {"first_bucket", "last_bucket"};
    cJSON_ArrayForEach (row, sets) {
        ctl_text_reset(&set);
        cJSON_ArrayForEach (pair, cJSON_GetObjectItemCaseSensitive(row, "labels"))
            ctl_text_printf(&set, "%s%s=%s", set.len ? " " : "", pair->string ? pair->string : "",
                            cJSON_IsString(pair) ? pair->valuestring : "?");
        ctl_table_cell(&table, set.len ? ctl_text_str(&set) : "(none)");
        for (int i = 0; i < 2; i++) {
            double time = ctl_number(row, ends[i], NAN);
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

/* Not columns: message and text matter most, and would be cut most. */
static int show_rejects(const struct ctl_screen *screen, const cJSON *root, struct ctl_text *out,
                        struct ctl_text *problem)
{
    const cJSON *rejects = ctl_list(root, "rejects", problem), *row;
    if (!rejects)
        return -1;
    if (!rejects->child)
        ctl_text_puts(out, "no message was rejected since the daemon started\n");
    struct ctl_text line = {0};
    cJSON_ArrayForEach (row, rejects) {
        double time = ctl_number(row, "time", NAN);
        ctl_text_reset(&line);
        ctl_clean(&line, isnan(time) ? ctl_string(row, "time", "-") : ctl_time(time).text);
        ctl_text_puts(&line, "  ");
        ctl_clean(&line, ctl_string(row, "code", "-"));
        ctl_text_puts(&line, "  from ");
        ctl_clean(&line, *ctl_string(row, "peer", "") ? ctl_string(row, "peer", "") : "-");
        ctl_text_puts(out, screen->color ? "\033[1m" : "");
        ctl_wrap(out, ctl_text_str(&line), screen->width, 0);
        ctl_text_puts(out, screen->color ? "\033[0m" : "");
        ctl_text_reset(&line);
        ctl_clean(&line, ctl_string(row, "message", ""));
        ctl_wrap(out, ctl_text_str(&line), screen->width, 2);
        ctl_text_reset(&line);
        ctl_clean(&line, ctl_string(row, "text", ""));
        ctl_text_puts(out, screen->color ? "\033[2m" : "");
        ctl_wrap(out, ctl_text_str(&line), screen->width, 4);
        ctl_text_puts(out, screen->color ? "\033[0m" : "");
    }
    out->failed = out->failed || line.failed;
    ctl_text_deinit(&line);
    return 0;
}

int ctl_show(const struct ctl_args *args, const struct ctl_screen *screen, const struct ctl_text *body,
             struct ctl_text *out, struct ctl_text *problem)
{
    if (body->len > CTL_SHOW_MAX) {
        ctl_text_puts(problem,
                      "the answer is too large to lay out; ask for less (--top, --last), or use --format json");
        return -1;
    }
    cJSON *root = cJSON_ParseWithLength(ctl_text_str(body), body->len);
    int rc = 0;
    if (!cJSON_IsObject(root)) {
        ctl_text_puts(problem, "the answer is not a JSON object: is this timesliced?");
        rc = -1;
    } else if (args->command == CTL_BUCKETS) {
        rc = show_buckets(args, screen, root, out, problem);
    } else if (args->command == CTL_TOP) {
        rc = show_top(args, screen, root, out, problem);
    } else if (args->command == CTL_FUNCTIONS) {
        rc = show_functions(screen, root, out, problem);
    } else if (args->command == CTL_LABELS) {
        rc = show_labels(screen, root, out, problem);
    } else if (args->command == CTL_REJECTS) {
        rc = show_rejects(screen, root, out, problem);
    } else if (args->command == CTL_FLUSH) {
        ctl_wrap(out, "flushed: what was received is on stable storage", screen->width, 0);
    } else {
        int width = key_width(root, 0);
        status_tree(root, 0, width < 32 ? width : 32, screen, out);
    }
    cJSON_Delete(root);
    return rc;
}

void ctl_show_error(long status, const struct ctl_text *body, struct ctl_text *out)
{
    cJSON *root = body->len <= CTL_SHOW_MAX ? cJSON_ParseWithLength(ctl_text_str(body), body->len) : NULL;
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(root, "error");
    const char *message = ctl_string(error, "message", NULL), *code = ctl_string(error, "code", NULL);
    const char *parameter = ctl_string(error, "parameter", NULL);
    if (message || code) {
        ctl_clean(out, message ? message : "the daemon refused");
        ctl_text_puts(out, " (");
        ctl_clean(out, code ? code : "error");
        if (parameter) {
            ctl_text_puts(out, ", parameter ");
            ctl_clean(out, parameter);
        }
        ctl_text_puts(out, ")");
    } else {
        struct ctl_text clean = {0};
        ctl_clean(&clean, ctl_text_str(body));
        ctl_text_printf(out, "the answer is HTTP status %ld%s", status, clean.len ? ": " : "");
        ctl_fit(out, ctl_text_str(&clean), 200, CTL_CUT_END);
        ctl_text_deinit(&clean);
    }
    cJSON_Delete(root);
}
