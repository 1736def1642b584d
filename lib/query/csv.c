#include "lib/query/csv.h"

#include "lib/base/text.h"

/* The stages of a cursor. The row after those shown is `other`. */
enum { HEADER, ROWS };

static void put_header(const struct ts_query *query, struct ts_buf *out)
{
    ts_buf_puts(out, query->kind == TS_QUERY_BUCKETS ? "kind,bucket," : "kind,");
    ts_query_put_csv_name_header(out, query);
    ts_buf_puts(out, query->kind == TS_QUERY_BUCKETS ? ",value" : ",cumtime,tottime,ncalls,pcalls");
    ts_buf_puts(out, TS_QUERY_EOL);
}

static void put_top_line(const struct ts_query *query, const struct ts_location *name, const ts_i128 *totals,
                         struct ts_buf *out)
{
    ts_buf_puts(out, name ? "function," : "other,");
    ts_query_put_csv_name(out, query, name);
    for (int i = 0; i < TS_METRICS; i++) {
        ts_buf_putc(out, ',');
        ts_query_put_value(out, totals[i], (enum ts_metric)i);
    }
    ts_buf_puts(out, TS_QUERY_EOL);
}

static void put_bucket_line(const struct ts_query_result *result, const struct ts_location *name, size_t bucket,
                            ts_i128 value, struct ts_buf *out)
{
    ts_buf_puts(out, name ? "function," : "other,");
    ts_put_seconds(out, ts_grid_begin(&result->grid, result->buckets.items[bucket].index));
    ts_buf_putc(out, ',');
    ts_query_put_csv_name(out, result->query, name);
    ts_buf_putc(out, ',');
    ts_query_put_value(out, value, result->query->metric);
    ts_buf_puts(out, TS_QUERY_EOL);
}

bool ts_query_csv_piece(const struct ts_query_result *result, struct ts_cursor *cursor, struct ts_buf *out)
{
    size_t row = cursor->row;
    bool other = row == result->n_shown;
    const struct ts_location *name = other ? NULL : ts_query_result_name(result, row);
    if (cursor->stage == HEADER) {
        put_header(result->query, out);
        cursor->stage = ROWS;
        return true;
    }
    if (result->query->kind == TS_QUERY_TOP) {
        put_top_line(result->query, name, other ? result->other : ts_query_result_totals(result, row), out);
        cursor->row++;
        return !other;
    }
    if (cursor->column < result->buckets.n) {
        const ts_i128 *cells = other ? ts_query_result_other_cells(result) : ts_query_result_cells(result, row);
        put_bucket_line(result, name, cursor->column, cells[cursor->column], out);
        cursor->column++;
        return true;
    }
    *cursor = (struct ts_cursor){.stage = ROWS, .row = row + 1};
    return !other;
}
