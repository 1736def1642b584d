/*
 * The answers of buckets and top as CSV, RFC 4180:
 *
 *     kind,bucket,function[,file_name,line_number,raw_name],value
 *     kind,function[,file_name,line_number,raw_name],cumtime,tottime,ncalls,pcalls
 *
 * by=label.KEY has `label` in place of `function`. What is null in JSON is an empty field. Rows of kind `other` end the
 * table, also where they are 0: the values of a bucket always add up to all of it.
 */
#include "lib/query_plan.h"

static const char eol[] = "\r\n";

static void put_header(const struct ts_query *query, struct ts_buf *out)
{
    ts_buf_puts(out, query->kind == TS_QUERY_BUCKETS ? "kind,bucket," : "kind,");
    ts_buf_puts(out, query->by == TS_BY_LABEL ? "label" : "function");
    if (query->by == TS_BY_LOCATION)
        ts_buf_puts(out, ",file_name,line_number,raw_name");
    ts_buf_puts(out, query->kind == TS_QUERY_BUCKETS ? ",value" : ",cumtime,tottime,ncalls,pcalls");
    ts_buf_puts(out, eol);
}

static void put_field(struct ts_buf *out, struct ts_str text)
{
    if (text.data)
        ts_buf_csv_field(out, text.data, text.len);
}

/* name NULL: of `other`. */
static void put_name(const struct ts_query *query, const struct ts_location *name, struct ts_buf *out)
{
    if (name)
        put_field(out, query->by == TS_BY_LABEL ? name->raw_name : ts_function_name(name->raw_name));
    if (query->by != TS_BY_LOCATION)
        return;
    ts_buf_putc(out, ',');
    if (name)
        put_field(out, name->file_name);
    ts_buf_putc(out, ',');
    if (name && name->line_number >= 0)
        ts_buf_printf(out, "%d", (int)name->line_number);
    ts_buf_putc(out, ',');
    if (name)
        put_field(out, name->raw_name);
}

static void put_row(const struct ts_query_result *result, const struct ts_location *name, const ts_i128 *totals,
                    uint32_t row, struct ts_buf *out, size_t limit)
{
    const struct ts_query *query = result->query;
    const char *kind = name ? "function," : "other,";
    if (query->kind == TS_QUERY_TOP) {
        ts_buf_puts(out, kind);
        put_name(query, name, out);
        for (int i = 0; i < TS_METRICS; i++) {
            ts_buf_putc(out, ',');
            ts_query_put_value(out, totals[i], (enum ts_metric)i);
        }
        ts_buf_puts(out, eol);
        return;
    }
    for (size_t i = 0; i < result->n_columns && out->len <= limit; i++) {
        ts_buf_puts(out, kind);
        ts_buf_seconds(out, ts_grid_begin(&query->grid, result->columns[i].bucket));
        ts_buf_putc(out, ',');
        put_name(query, name, out);
        ts_buf_putc(out, ',');
        ts_query_put_value(out, result->cells[row * result->n_columns + i], query->metric);
        ts_buf_puts(out, eol);
    }
}

void ts_query_put_csv(const struct ts_query_result *result, struct ts_buf *out, size_t limit)
{
    put_header(result->query, out);
    for (size_t i = 0; i < result->n_shown && out->len <= limit && !ts_buf_failed(out); i++) {
        uint32_t group = result->order[i];
        uint32_t row = result->row_of ? result->row_of[group] : 0;
        put_row(result, &result->names.groups.items[group], result->totals + group * result->n_totals, row, out, limit);
    }
    put_row(result, NULL, result->other, result->other_row, out, limit);
}
