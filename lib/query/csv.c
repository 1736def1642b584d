/*
 * The answers of buckets and top as CSV, RFC 4180:
 *
 *     kind,bucket,function[,file_name,line_number,raw_name],value
 *     kind,function[,file_name,line_number,raw_name],cumtime,tottime,ncalls,pcalls
 *
 * by=label.KEY has `label` in place of `function`. What is null in JSON is an empty field. Rows of kind `other` end the
 * table, also where they are 0: the values of a bucket always add up to all of it.
 */
#include "lib/base/text.h"
#include "lib/query/internal.h"

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
        ts_put_csv_field(out, text.data, text.len);
}

void ts_query_put_csv_name(const struct ts_query *query, const struct ts_location *name, struct ts_buf *out)
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

/* One value of the matrix, or a whole row of top. True: the row has ended. */
static bool put_row_piece(const struct ts_query_result *result, const struct ts_location *name, const ts_i128 *totals,
                          uint32_t row, size_t *column, struct ts_buf *out)
{
    const struct ts_query *query = result->query;
    bool top = query->kind == TS_QUERY_TOP;
    if (!top && *column == result->n_columns)
        return true;
    ts_buf_puts(out, name ? "function," : "other,");
    if (!top) {
        ts_put_seconds(out, ts_grid_begin(&result->grid, result->columns[*column].bucket));
        ts_buf_putc(out, ',');
    }
    ts_query_put_csv_name(query, name, out);
    for (int i = 0; top && i < TS_METRICS; i++) {
        ts_buf_putc(out, ',');
        ts_query_put_value(out, totals[i], (enum ts_metric)i);
    }
    if (!top) {
        ts_buf_putc(out, ',');
        ts_query_put_value(out, result->cells[row * result->n_columns + *column], query->metric);
    }
    ts_buf_puts(out, eol);
    return top || ++*column == result->n_columns;
}

/* stage 0: the header, 1: the rows, of which the last one is `other`. */
bool ts_query_csv_piece(const struct ts_query_result *result, struct ts_cursor *cursor, struct ts_buf *out)
{
    if (cursor->stage == 0) {
        put_header(result->query, out);
        cursor->stage = 1;
        return true;
    }
    bool other = cursor->row == result->n_shown;
    uint32_t group = other ? 0 : result->order[cursor->row];
    const struct ts_location *name = other ? NULL : &result->names.groups.items[group];
    const ts_i128 *totals = other ? result->other : result->totals + group * result->n_totals;
    uint32_t row = other ? result->other_row : result->row_of ? result->row_of[group] : 0;
    if (!put_row_piece(result, name, totals, row, &cursor->column, out))
        return true;
    cursor->column = 0;
    return cursor->row++ < result->n_shown;
}
