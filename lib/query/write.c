#include "lib/query/write.h"

#include "lib/aggregate/intern.h"
#include "lib/base/text.h"

#include <assert.h>

__extension__ typedef unsigned __int128 u128;

static u128 magnitude(ts_i128 value)
{
    return value < 0 ? -(u128)value : (u128)value;
}

ts_i128 ts_query_divide(ts_i128 value, ts_i128 by)
{
    assert(by != 0);
    u128 dividend = magnitude(value);
    u128 divisor = magnitude(by);
    u128 rest = dividend % divisor;
    ts_i128 quotient = (ts_i128)(dividend / divisor) + (rest >= divisor - rest);
    return (value < 0) != (by < 0) ? -quotient : quotient;
}

void ts_query_put_integer(struct ts_buf *out, ts_i128 value)
{
    char text[40]; /* 39 digits and a sign */
    char *end = text + sizeof(text);
    char *begin = end;
    u128 rest = magnitude(value);
    do {
        *--begin = (char)('0' + (int)(rest % 10));
        rest /= 10;
    } while (rest);
    if (value < 0)
        *--begin = '-';
    ts_buf_append(out, begin, (size_t)(end - begin));
}

void ts_query_put_value(struct ts_buf *out, ts_i128 value, enum ts_metric metric)
{
    if (ts_metric_is_time(metric))
        ts_put_seconds(out, value);
    else
        ts_query_put_integer(out, value);
}

/* ---- JSON ---- */

void ts_query_put_seconds_or_null(struct ts_buf *out, bool known, ts_i128 ns)
{
    if (known)
        ts_put_seconds(out, ns);
    else
        ts_buf_puts(out, "null");
}

void ts_query_put_per_call(struct ts_buf *out, ts_i128 value, ts_i128 calls)
{
    ts_query_put_seconds_or_null(out, calls != 0, calls ? ts_query_divide(value, calls) : 0);
}

void ts_query_put_totals(struct ts_buf *out, const ts_i128 *totals)
{
    for (int i = 0; i < TS_METRICS; i++) {
        ts_buf_printf(out, "%s\"%s\": ", i ? ", " : "", ts_metric_name((enum ts_metric)i));
        ts_query_put_value(out, totals[i], (enum ts_metric)i);
    }
}

static void put_string_or_null(struct ts_buf *out, struct ts_str text)
{
    if (text.data)
        ts_put_json_string(out, text.data, text.len);
    else
        ts_buf_puts(out, "null");
}

void ts_query_put_file_and_line(struct ts_buf *out, const struct ts_location *location)
{
    ts_buf_puts(out, ", \"file_name\": ");
    put_string_or_null(out, location->file_name);
    if (location->line_number < 0)
        ts_buf_puts(out, ", \"line_number\": null");
    else
        ts_buf_printf(out, ", \"line_number\": %d", (int)location->line_number);
}

void ts_query_put_name(struct ts_buf *out, const struct ts_query *query, const struct ts_location *name)
{
    if (query->by == TS_BY_LABEL) {
        ts_buf_puts(out, "\"label\": ");
        put_string_or_null(out, name->raw_name);
        return;
    }
    ts_buf_puts(out, "\"function\": ");
    put_string_or_null(out, ts_function_name(name->raw_name));
    if (query->by == TS_BY_LOCATION) {
        ts_query_put_file_and_line(out, name);
        ts_buf_puts(out, ", \"raw_name\": ");
        put_string_or_null(out, name->raw_name);
    }
}

static void put_member(struct ts_buf *out, const char *name, bool known, ts_i128 ns)
{
    ts_buf_printf(out, "\"%s\": ", name);
    ts_query_put_seconds_or_null(out, known, ns);
    ts_buf_puts(out, ", ");
}

void ts_query_put_range(struct ts_buf *out, const struct ts_query *query, const struct ts_query_range *range)
{
    put_member(out, "from", range->has_from, ts_grid_begin(&query->grid, range->from));
    put_member(out, "to", range->has_to, ts_grid_begin(&query->grid, range->to));
    put_member(out, "from_resolution", range->from_width, range->from_width);
    put_member(out, "to_resolution", range->to_width, range->to_width);
}

void ts_query_put_first_last(struct ts_buf *out, const struct ts_grid *grid, const struct ts_first_last *first_last)
{
    ts_buf_puts(out, ", \"first_bucket\": ");
    ts_query_put_seconds_or_null(out, first_last->found, ts_grid_begin(grid, first_last->position[TS_FIRST]));
    ts_buf_puts(out, ", \"last_bucket\": ");
    ts_query_put_seconds_or_null(out, first_last->found, ts_grid_begin(grid, first_last->position[TS_LAST]));
}

/* ---- CSV ---- */

void ts_query_put_csv_name_header(struct ts_buf *out, const struct ts_query *query)
{
    ts_buf_puts(out, query->by == TS_BY_LABEL ? "label" : "function");
    if (query->by == TS_BY_LOCATION)
        ts_buf_puts(out, ",file_name,line_number,raw_name");
}

static void put_field(struct ts_buf *out, struct ts_str text)
{
    if (text.data)
        ts_put_csv_field(out, text.data, text.len);
}

void ts_query_put_csv_name(struct ts_buf *out, const struct ts_query *query, const struct ts_location *name)
{
    static const struct ts_location none = {.line_number = -1};
    const struct ts_location *fields = name ? name : &none;
    struct ts_str raw_name = fields->raw_name;
    put_field(out, query->by == TS_BY_LABEL ? raw_name : ts_function_name(raw_name));
    if (query->by != TS_BY_LOCATION)
        return;
    ts_buf_putc(out, ',');
    put_field(out, fields->file_name);
    ts_buf_putc(out, ',');
    if (fields->line_number >= 0)
        ts_buf_printf(out, "%d", (int)fields->line_number);
    ts_buf_putc(out, ',');
    put_field(out, raw_name);
}
