/* The answers of buckets and top as JSON, in the shapes and the spelling of the contract's examples. */
#include "lib/query_plan.h"

static bool has_room(const struct ts_buf *out, size_t limit)
{
    return out->len <= limit && !ts_buf_failed(out);
}

void ts_query_put_number(struct ts_buf *out, ts_i128 value)
{
    char text[48]; /* 39 digits of 128 bits, and a sign */
    char *end = text + sizeof(text);
    char *p = end;
    __extension__ unsigned __int128 rest = value < 0 ? -(unsigned __int128)value : (unsigned __int128)value;
    do {
        *--p = (char)('0' + (int)(rest % 10));
        rest /= 10;
    } while (rest);
    if (value < 0)
        *--p = '-';
    ts_buf_append(out, p, (size_t)(end - p));
}

void ts_query_put_value(struct ts_buf *out, ts_i128 value, enum ts_metric metric)
{
    if (ts_metric_is_time(metric))
        ts_buf_seconds(out, value);
    else
        ts_query_put_number(out, value);
}

/* Nanoseconds per call, in seconds to the nearest nanosecond. */
static void put_percall(struct ts_buf *out, ts_i128 ns, ts_i128 calls)
{
    if (calls == 0) {
        ts_buf_puts(out, "null");
        return;
    }
    bool negative = (ns < 0) != (calls < 0);
    __extension__ unsigned __int128 above = ns < 0 ? -(unsigned __int128)ns : (unsigned __int128)ns;
    __extension__ unsigned __int128 below = calls < 0 ? -(unsigned __int128)calls : (unsigned __int128)calls;
    ts_i128 quotient = (ts_i128)(above / below) + (above % below >= below - above % below);
    ts_buf_seconds(out, negative ? -quotient : quotient);
}

/* ---- Rows ---- */

static void put_string(struct ts_buf *out, struct ts_str text)
{
    if (text.data)
        ts_buf_json_string(out, text.data, text.len);
    else
        ts_buf_puts(out, "null");
}

void ts_query_put_place(struct ts_buf *out, const struct ts_location *location)
{
    ts_buf_puts(out, ", \"file_name\": ");
    put_string(out, location->file_name);
    if (location->line_number < 0)
        ts_buf_puts(out, ", \"line_number\": null");
    else
        ts_buf_printf(out, ", \"line_number\": %d", (int)location->line_number);
}

static void put_name(const struct ts_query_result *result, uint32_t group, struct ts_buf *out)
{
    const struct ts_location *name = &result->names.groups.items[group];
    if (result->query->by == TS_BY_LABEL) {
        ts_buf_puts(out, "{\"label\": ");
        put_string(out, name->raw_name);
        return;
    }
    ts_buf_puts(out, "{\"function\": ");
    put_string(out, ts_function_name(name->raw_name));
    if (result->query->by == TS_BY_LOCATION) {
        ts_query_put_place(out, name);
        ts_buf_puts(out, ", \"raw_name\": ");
        put_string(out, name->raw_name);
    }
}

/* Ends the object. */
static void put_values(const struct ts_query_result *result, ts_i128 total, uint32_t row, struct ts_buf *out)
{
    enum ts_metric metric = result->query->metric;
    const ts_i128 *cells = result->cells + row * result->n_columns;
    ts_buf_puts(out, ", \"total\": ");
    ts_query_put_value(out, total, metric);
    ts_buf_puts(out, ", \"values\": [");
    for (size_t i = 0; i < result->n_columns; i++) {
        if (i)
            ts_buf_puts(out, ", ");
        ts_query_put_value(out, cells[i], metric);
    }
    ts_buf_puts(out, "]}");
}

/* Ends the object. */
static void put_figures(const ts_i128 *totals, struct ts_buf *out)
{
    for (int i = 0; i < TS_METRICS; i++) {
        ts_buf_printf(out, ", \"%s\": ", ts_metric_name((enum ts_metric)i));
        ts_query_put_value(out, totals[i], (enum ts_metric)i);
    }
    ts_buf_puts(out, ", \"percall_cumtime\": ");
    put_percall(out, totals[TS_CUMTIME], totals[TS_PCALLS]);
    ts_buf_puts(out, ", \"percall_tottime\": ");
    put_percall(out, totals[TS_TOTTIME], totals[TS_NCALLS]);
    ts_buf_putc(out, '}');
}

static void put_rows(const struct ts_query_result *result, struct ts_buf *out, size_t limit)
{
    bool buckets = result->query->kind == TS_QUERY_BUCKETS;
    ts_buf_puts(out, "\"functions\": [");
    for (size_t i = 0; i < result->n_shown && has_room(out, limit); i++) {
        uint32_t group = result->order[i];
        const ts_i128 *totals = result->totals + group * result->n_totals;
        if (i)
            ts_buf_puts(out, ", ");
        put_name(result, group, out);
        if (buckets)
            put_values(result, totals[0], result->row_of[group], out);
        else
            put_figures(totals, out);
    }
    ts_buf_printf(out, "], \"other\": {\"functions\": %zu", result->n_seen - result->n_shown);
    if (buckets)
        put_values(result, result->other[0], result->other_row, out);
    else
        put_figures(result->other, out);
}

/* ---- Heads ---- */

static void put_bound(const struct ts_query_result *result, const char *name, bool known, int64_t bucket,
                      struct ts_buf *out)
{
    ts_buf_printf(out, "\"%s\": ", name);
    if (known)
        ts_buf_seconds(out, ts_grid_begin(&result->query->grid, bucket));
    else
        ts_buf_puts(out, "null");
    ts_buf_puts(out, ", ");
}

static void put_range(const struct ts_query_result *result, struct ts_buf *out)
{
    put_bound(result, "from", result->has_from, result->from, out);
    put_bound(result, "to", result->has_to, result->to, out);
}

typedef void (*put_head_fn)(const struct ts_grid *grid, const struct ts_query_head *head, struct ts_buf *out);

static void put_begin(const struct ts_grid *grid, const struct ts_query_head *head, struct ts_buf *out)
{
    ts_buf_seconds(out, ts_grid_begin(grid, head->bucket));
}

static void put_profiles(const struct ts_grid *grid, const struct ts_query_head *head, struct ts_buf *out)
{
    (void)grid;
    ts_query_put_number(out, head->profiles);
}

static void put_exact(const struct ts_grid *grid, const struct ts_query_head *head, struct ts_buf *out)
{
    (void)grid;
    ts_query_put_number(out, head->exact_profiles);
}

static void put_total_tt(const struct ts_grid *grid, const struct ts_query_head *head, struct ts_buf *out)
{
    (void)grid;
    ts_buf_seconds(out, head->total_tt);
}

static void put_missing(const struct ts_grid *grid, const struct ts_query_head *head, struct ts_buf *out)
{
    (void)grid;
    ts_query_put_number(out, head->parts_missing < 0 ? -head->parts_missing : head->parts_missing);
}

static void put_heads(const struct ts_query_result *result, const char *name, put_head_fn put, struct ts_buf *out)
{
    ts_buf_printf(out, "\"%s\": [", name);
    for (size_t i = 0; i < result->n_columns; i++) {
        if (i)
            ts_buf_puts(out, ", ");
        put(&result->query->grid, &result->columns[i], out);
    }
    ts_buf_puts(out, "], ");
}

static void put_buckets(const struct ts_query_result *result, struct ts_buf *out)
{
    const struct ts_query *query = result->query;
    ts_buf_puts(out, "\"start_time\": ");
    ts_buf_seconds(out, query->grid.start_time);
    ts_buf_puts(out, ", \"time_slice\": ");
    ts_buf_seconds(out, query->grid.time_slice);
    ts_buf_printf(out, ", \"metric\": \"%s\", \"unit\": \"%s\", ", ts_metric_name(query->metric),
                  ts_metric_is_time(query->metric) ? "seconds" : "calls");
    put_range(result, out);
    put_heads(result, "buckets", put_begin, out);
    put_heads(result, "profiles", put_profiles, out);
    put_heads(result, "exact_profiles", put_exact, out);
    put_heads(result, "total_tt", put_total_tt, out);
    put_heads(result, "parts_missing", put_missing, out);
}

static void put_top(const struct ts_query_result *result, struct ts_buf *out)
{
    put_range(result, out);
    ts_buf_puts(out, "\"profiles\": ");
    ts_query_put_number(out, result->all.profiles);
    ts_buf_puts(out, ", \"total_tt\": ");
    ts_buf_seconds(out, result->all.total_tt);
    ts_buf_printf(out, ", \"metric\": \"%s\", ", ts_metric_name(result->query->metric));
}

void ts_query_put_json(const struct ts_query_result *result, struct ts_buf *out, size_t limit)
{
    ts_buf_putc(out, '{');
    if (result->query->kind == TS_QUERY_BUCKETS)
        put_buckets(result, out);
    else
        put_top(result, out);
    put_rows(result, out, limit);
    ts_buf_putc(out, '}');
}
