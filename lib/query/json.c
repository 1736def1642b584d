#include "lib/query/json.h"

#include "lib/base/text.h"

/* The stages of a cursor. HEAD and OTHER have no rows; in LISTS, a row is a list of the table below. */
enum { HEAD, LISTS, ROWS, OTHER };

/* ---- Head ---- */

static void put_buckets_head(const struct ts_query_result *result, struct ts_buf *out)
{
    const struct ts_query *query = result->query;
    ts_buf_puts(out, "{\"start_time\": ");
    ts_put_seconds(out, query->grid.start_time);
    ts_buf_puts(out, ", \"time_slice\": ");
    ts_put_seconds(out, result->grid.time_slice);
    ts_buf_printf(out, ", \"metric\": \"%s\", \"unit\": \"%s\", ", ts_metric_name(query->metric),
                  ts_metric_is_time(query->metric) ? "seconds" : "calls");
    ts_query_put_range(out, query, &result->range);
}

static void put_top_head(const struct ts_query_result *result, struct ts_buf *out)
{
    ts_buf_putc(out, '{');
    ts_query_put_range(out, result->query, &result->range);
    ts_buf_puts(out, "\"profiles\": ");
    ts_query_put_integer(out, result->buckets.all.profiles);
    ts_buf_puts(out, ", \"total_tt\": ");
    ts_put_seconds(out, result->buckets.all.total_tt);
    ts_buf_printf(out, ", \"metric\": \"%s\", ", ts_metric_name(result->query->metric));
}

/* ---- The lists of buckets: one element for each bucket ---- */

static void put_begin(struct ts_buf *out, const struct ts_grid *grid, const struct ts_query_bucket *bucket)
{
    ts_put_seconds(out, ts_grid_begin(grid, bucket->index));
}

static void put_profiles(struct ts_buf *out, const struct ts_grid *grid, const struct ts_query_bucket *bucket)
{
    (void)grid;
    ts_query_put_integer(out, bucket->totals.profiles);
}

static void put_exact_profiles(struct ts_buf *out, const struct ts_grid *grid, const struct ts_query_bucket *bucket)
{
    (void)grid;
    ts_query_put_integer(out, bucket->totals.exact_profiles);
}

static void put_total_tt(struct ts_buf *out, const struct ts_grid *grid, const struct ts_query_bucket *bucket)
{
    (void)grid;
    ts_put_seconds(out, bucket->totals.total_tt);
}

static void put_parts_missing(struct ts_buf *out, const struct ts_grid *grid, const struct ts_query_bucket *bucket)
{
    ts_i128 missing = bucket->totals.parts_missing;
    (void)grid;
    ts_query_put_integer(out, missing < 0 ? -missing : missing);
}

/* In the order of the response. */
static const struct {
    const char *name;
    void (*put)(struct ts_buf *out, const struct ts_grid *grid, const struct ts_query_bucket *bucket);
} lists[] = {
    {"buckets", put_begin},     {"profiles", put_profiles},           {"exact_profiles", put_exact_profiles},
    {"total_tt", put_total_tt}, {"parts_missing", put_parts_missing},
};
enum { N_LISTS = sizeof(lists) / sizeof(lists[0]) };

/* One element of a list. */
static void put_list_piece(const struct ts_query_result *result, struct ts_cursor *cursor, struct ts_buf *out)
{
    if (cursor->column == 0)
        ts_buf_printf(out, "\"%s\": [", lists[cursor->row].name);
    if (cursor->column < result->buckets.n) {
        ts_buf_puts(out, cursor->column ? ", " : "");
        lists[cursor->row].put(out, &result->grid, &result->buckets.items[cursor->column++]);
        return;
    }
    ts_buf_puts(out, "], ");
    cursor->column = 0;
    if (++cursor->row == N_LISTS)
        *cursor = (struct ts_cursor){.stage = ROWS};
}

/* ---- Rows ---- */

/* The members of a row of top, to the end of its object. */
static void put_top_totals(const ts_i128 *totals, struct ts_buf *out)
{
    ts_buf_puts(out, ", ");
    ts_query_put_totals(out, totals);
    ts_buf_puts(out, ", \"percall_cumtime\": ");
    ts_query_put_per_call(out, totals[TS_CUMTIME], totals[TS_PCALLS]);
    ts_buf_puts(out, ", \"percall_tottime\": ");
    ts_query_put_per_call(out, totals[TS_TOTTIME], totals[TS_NCALLS]);
    ts_buf_putc(out, '}');
}

/* One value of a row of the matrix. True: the row has ended, and its object. */
static bool put_value_piece(const struct ts_query_result *result, const ts_i128 *cells, ts_i128 total,
                            struct ts_cursor *cursor, struct ts_buf *out)
{
    enum ts_metric metric = result->query->metric;
    if (cursor->column == 0) {
        ts_buf_puts(out, ", \"total\": ");
        ts_query_put_value(out, total, metric);
        ts_buf_puts(out, ", \"values\": [");
    }
    if (cursor->column < result->buckets.n) {
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
    size_t row = cursor->row;
    if (row == 0 && cursor->column == 0)
        ts_buf_puts(out, "\"functions\": [");
    if (row == result->n_shown) {
        ts_buf_printf(out, "], \"other\": {\"functions\": %zu", result->n_rows - result->n_shown);
        *cursor = (struct ts_cursor){.stage = OTHER};
        return;
    }
    const ts_i128 *totals = ts_query_result_totals(result, row);
    if (cursor->column == 0) {
        ts_buf_puts(out, row ? ", {" : "{");
        ts_query_put_name(out, result->query, ts_query_result_name(result, row));
    }
    if (result->query->kind == TS_QUERY_BUCKETS) {
        cursor->row += put_value_piece(result, ts_query_result_cells(result, row), totals[0], cursor, out);
    } else {
        put_top_totals(totals, out);
        cursor->row++;
    }
}

static bool put_other_piece(const struct ts_query_result *result, struct ts_cursor *cursor, struct ts_buf *out)
{
    bool ended = true;
    if (result->query->kind == TS_QUERY_BUCKETS)
        ended = put_value_piece(result, ts_query_result_other_cells(result), result->other[0], cursor, out);
    else
        put_top_totals(result->other, out);
    if (ended)
        ts_buf_putc(out, '}');
    return !ended;
}

bool ts_query_json_piece(const struct ts_query_result *result, struct ts_cursor *cursor, struct ts_buf *out)
{
    bool buckets = result->query->kind == TS_QUERY_BUCKETS;
    switch (cursor->stage) {
    case HEAD:
        (buckets ? put_buckets_head : put_top_head)(result, out);
        cursor->stage = buckets ? LISTS : ROWS;
        return true;
    case LISTS:
        put_list_piece(result, cursor, out);
        return true;
    case ROWS:
        put_row_piece(result, cursor, out);
        return true;
    default:
        return put_other_piece(result, cursor, out);
    }
}
