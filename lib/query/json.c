/* The answers of buckets and top as JSON, in the shapes and the spelling of the contract's examples. */
#include "lib/base/text.h"
#include "lib/query/internal.h"

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
        ts_put_seconds(out, value);
    else
        ts_query_put_number(out, value);
}

ts_i128 ts_query_divide(ts_i128 value, ts_i128 by)
{
    bool negative = (value < 0) != (by < 0);
    __extension__ unsigned __int128 above = value < 0 ? -(unsigned __int128)value : (unsigned __int128)value;
    __extension__ unsigned __int128 below = by < 0 ? -(unsigned __int128)by : (unsigned __int128)by;
    ts_i128 quotient = (ts_i128)(above / below) + (above % below >= below - above % below);
    return negative ? -quotient : quotient;
}

void ts_query_put_ratio(struct ts_buf *out, ts_i128 value, ts_i128 calls)
{
    if (calls == 0)
        ts_buf_puts(out, "null");
    else
        ts_put_seconds(out, ts_query_divide(value, calls));
}

/* ---- Rows ---- */

static void put_string(struct ts_buf *out, struct ts_str text)
{
    if (text.data)
        ts_put_json_string(out, text.data, text.len);
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

void ts_query_put_name(const struct ts_query *query, const struct ts_location *name, struct ts_buf *out)
{
    if (query->by == TS_BY_LABEL) {
        ts_buf_puts(out, "\"label\": ");
        put_string(out, name->raw_name);
        return;
    }
    ts_buf_puts(out, "\"function\": ");
    put_string(out, ts_function_name(name->raw_name));
    if (query->by == TS_BY_LOCATION) {
        ts_query_put_place(out, name);
        ts_buf_puts(out, ", \"raw_name\": ");
        put_string(out, name->raw_name);
    }
}

/* Ends the object. */
static void put_figures(const ts_i128 *totals, struct ts_buf *out)
{
    for (int i = 0; i < TS_METRICS; i++) {
        ts_buf_printf(out, ", \"%s\": ", ts_metric_name((enum ts_metric)i));
        ts_query_put_value(out, totals[i], (enum ts_metric)i);
    }
    ts_buf_puts(out, ", \"percall_cumtime\": ");
    ts_query_put_ratio(out, totals[TS_CUMTIME], totals[TS_PCALLS]);
    ts_buf_puts(out, ", \"percall_tottime\": ");
    ts_query_put_ratio(out, totals[TS_TOTTIME], totals[TS_NCALLS]);
    ts_buf_putc(out, '}');
}

/* ---- Heads ---- */

static void put_end(const struct ts_query *query, const char *name, bool known, int64_t position, struct ts_buf *out)
{
    ts_buf_printf(out, "\"%s\": ", name);
    if (known)
        ts_put_seconds(out, ts_grid_begin(&query->grid, position));
    else
        ts_buf_puts(out, "null");
    ts_buf_puts(out, ", ");
}

static void put_resolution(const char *name, int64_t width, struct ts_buf *out)
{
    ts_buf_printf(out, "\"%s_resolution\": ", name);
    if (width)
        ts_put_seconds(out, width);
    else
        ts_buf_puts(out, "null");
    ts_buf_puts(out, ", ");
}

void ts_query_put_range(const struct ts_query *query, const struct ts_query_range *range, struct ts_buf *out)
{
    put_end(query, "from", range->has_from, range->from, out);
    put_end(query, "to", range->has_to, range->to, out);
    put_resolution("from", range->from_width, out);
    put_resolution("to", range->to_width, out);
}

typedef void (*put_head_fn)(const struct ts_grid *grid, const struct ts_query_head *head, struct ts_buf *out);

static void put_begin(const struct ts_grid *grid, const struct ts_query_head *head, struct ts_buf *out)
{
    ts_put_seconds(out, ts_grid_begin(grid, head->bucket));
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
    ts_put_seconds(out, head->total_tt);
}

static void put_missing(const struct ts_grid *grid, const struct ts_query_head *head, struct ts_buf *out)
{
    (void)grid;
    ts_query_put_number(out, head->parts_missing < 0 ? -head->parts_missing : head->parts_missing);
}

/* The lists beside the rows, in the order of the answer. */
static const struct {
    const char *name;
    put_head_fn put;
} heads[] = {
    {"buckets", put_begin},     {"profiles", put_profiles},     {"exact_profiles", put_exact},
    {"total_tt", put_total_tt}, {"parts_missing", put_missing},
};
enum { N_HEADS = sizeof(heads) / sizeof(heads[0]) };

static void put_buckets(const struct ts_query_result *result, struct ts_buf *out)
{
    const struct ts_query *query = result->query;
    ts_buf_puts(out, "\"start_time\": ");
    ts_put_seconds(out, query->grid.start_time);
    ts_buf_puts(out, ", \"time_slice\": ");
    ts_put_seconds(out, result->grid.time_slice);
    ts_buf_printf(out, ", \"metric\": \"%s\", \"unit\": \"%s\", ", ts_metric_name(query->metric),
                  ts_metric_is_time(query->metric) ? "seconds" : "calls");
    ts_query_put_range(query, &result->range, out);
}

static void put_top(const struct ts_query_result *result, struct ts_buf *out)
{
    ts_query_put_range(result->query, &result->range, out);
    ts_buf_puts(out, "\"profiles\": ");
    ts_query_put_number(out, result->all.profiles);
    ts_buf_puts(out, ", \"total_tt\": ");
    ts_put_seconds(out, result->all.total_tt);
    ts_buf_printf(out, ", \"metric\": \"%s\", ", ts_metric_name(result->query->metric));
}

/* ---- Pieces ---- */

/* What a cursor's stage says. */
enum { HEAD, LISTS, ROWS, OTHER };

/* One element of one list; row: which list. */
static void put_list_piece(const struct ts_query_result *result, struct ts_cursor *cursor, struct ts_buf *out)
{
    if (cursor->column == 0)
        ts_buf_printf(out, "\"%s\": [", heads[cursor->row].name);
    if (cursor->column < result->n_columns) {
        ts_buf_puts(out, cursor->column ? ", " : "");
        heads[cursor->row].put(&result->grid, &result->columns[cursor->column++], out);
        return;
    }
    ts_buf_puts(out, "], ");
    cursor->column = 0;
    if (++cursor->row == N_HEADS)
        *cursor = (struct ts_cursor){.stage = ROWS};
}

/* One value of a row of the matrix, after its name or after the total of `other`. True: the row has ended. */
static bool put_value_piece(const struct ts_query_result *result, const ts_i128 *cells, ts_i128 total,
                            struct ts_cursor *cursor, struct ts_buf *out)
{
    enum ts_metric metric = result->query->metric;
    if (cursor->column == 0) {
        ts_buf_puts(out, ", \"total\": ");
        ts_query_put_value(out, total, metric);
        ts_buf_puts(out, ", \"values\": [");
    }
    if (cursor->column < result->n_columns) {
        ts_buf_puts(out, cursor->column ? ", " : "");
        ts_query_put_value(out, cells[cursor->column++], metric);
        return false;
    }
    ts_buf_puts(out, "]}");
    cursor->column = 0;
    return true;
}

static void put_row_piece(const struct ts_query_result *result, struct ts_cursor *cursor, struct ts_buf *out)
{
    if (cursor->row == 0 && cursor->column == 0)
        ts_buf_puts(out, "\"functions\": [");
    if (cursor->row == result->n_shown) {
        ts_buf_printf(out, "], \"other\": {\"functions\": %zu", result->n_seen - result->n_shown);
        *cursor = (struct ts_cursor){.stage = OTHER};
        return;
    }
    uint32_t group = result->order[cursor->row];
    const ts_i128 *totals = result->totals + group * result->n_totals;
    if (cursor->column == 0) {
        ts_buf_puts(out, cursor->row ? ", {" : "{");
        ts_query_put_name(result->query, &result->names.groups.items[group], out);
    }
    if (result->query->kind == TS_QUERY_BUCKETS) {
        const ts_i128 *cells = result->cells + result->row_of[group] * result->n_columns;
        cursor->row += put_value_piece(result, cells, totals[0], cursor, out);
    } else {
        put_figures(totals, out);
        cursor->row++;
    }
}

bool ts_query_json_piece(const struct ts_query_result *result, struct ts_cursor *cursor, struct ts_buf *out)
{
    bool buckets = result->query->kind == TS_QUERY_BUCKETS;
    switch (cursor->stage) {
    case HEAD:
        ts_buf_putc(out, '{');
        if (buckets)
            put_buckets(result, out);
        else
            put_top(result, out);
        cursor->stage = buckets ? LISTS : ROWS;
        return true;
    case LISTS:
        put_list_piece(result, cursor, out);
        return true;
    case ROWS:
        put_row_piece(result, cursor, out);
        return true;
    default:
        break;
    }
    if (buckets &&
        !put_value_piece(result, result->cells + result->other_row * result->n_columns, result->other[0], cursor, out))
        return true;
    if (!buckets)
        put_figures(result->other, out);
    ts_buf_putc(out, '}');
    return false;
}
