#include "lib/query/diff_write.h"

#include "lib/base/text.h"

/* The stages of a cursor. The row after those shown is `other`. */
enum { HEAD, ROWS };

static const char *const sides[] = {"before", "after", "change"};

/*
 * The parts of the change; both are null if it is undefined. The second is the difference to the change as it is
 * rounded in the response, so that the parts add up to it.
 */
static void put_parts(const struct ts_diff *diff, const struct ts_diff_row *row, struct ts_buf *out)
{
    ts_i128 change = 0;
    bool known = ts_diff_per_profile(diff, row, TS_CHANGE, &change);
    ts_buf_puts(out, ", \"called_more\": ");
    ts_query_put_seconds_or_null(out, known, row->called_more);
    ts_buf_puts(out, ", \"slower_per_call\": ");
    ts_query_put_seconds_or_null(out, known, change - row->called_more);
}

/* ---- JSON ---- */

/* after / before, with nine decimals. */
static void put_ratio(struct ts_buf *out, bool known, ts_i128 before, ts_i128 after)
{
    ts_i128 limit = (ts_i128)1 << 96; /* after * 10^9 must fit */
    ts_query_put_seconds_or_null(out, known && before != 0 && after < limit && after > -limit,
                                 before ? ts_query_divide(after * TS_NS_PER_S, before) : 0);
}

static void put_per_profile(const struct ts_diff *diff, const struct ts_diff_row *row, struct ts_buf *out)
{
    ts_i128 values[3] = {0};
    bool known[3];
    ts_buf_puts(out, ", \"per_profile\": {");
    for (int i = 0; i < 3; i++) {
        known[i] = ts_diff_per_profile(diff, row, i, &values[i]);
        ts_buf_printf(out, "\"%s\": ", sides[i]);
        ts_query_put_seconds_or_null(out, known[i], values[i]);
        ts_buf_puts(out, ", ");
    }
    ts_buf_puts(out, "\"ratio\": ");
    put_ratio(out, known[TS_CHANGE], values[TS_BEFORE], values[TS_AFTER]);
    ts_buf_putc(out, '}');
}

static void put_per_call(const struct ts_diff *diff, const struct ts_diff_row *row, struct ts_buf *out)
{
    enum ts_metric metric = diff->query->metric;
    enum ts_metric calls = ts_diff_calls(metric);
    ts_i128 values[2] = {0};
    bool known[2];
    ts_buf_puts(out, ", \"per_call\": {");
    for (int i = 0; i < 2; i++) {
        known[i] = ts_metric_is_time(metric) && row->totals[i][calls] != 0;
        values[i] = known[i] ? ts_query_divide(row->totals[i][metric], row->totals[i][calls]) : 0;
        ts_buf_printf(out, "\"%s\": ", sides[i]);
        ts_query_put_seconds_or_null(out, known[i], values[i]);
        ts_buf_puts(out, ", ");
    }
    bool both = known[TS_BEFORE] && known[TS_AFTER];
    ts_buf_puts(out, "\"change\": ");
    ts_query_put_seconds_or_null(out, both, values[TS_AFTER] - values[TS_BEFORE]);
    ts_buf_puts(out, ", \"ratio\": ");
    put_ratio(out, both, values[TS_BEFORE], values[TS_AFTER]);
    ts_buf_putc(out, '}');
}

/* The members of a row after its name, to the end of its object. */
static void put_row(const struct ts_diff *diff, const struct ts_diff_row *row, bool per_call, struct ts_buf *out)
{
    for (int side = 0; side < 2; side++) {
        ts_buf_printf(out, ", \"%s\": {", sides[side]);
        ts_query_put_totals(out, row->totals[side]);
        ts_buf_putc(out, '}');
    }
    put_per_profile(diff, row, out);
    if (per_call)
        put_per_call(diff, row, out);
    put_parts(diff, row, out);
    ts_buf_putc(out, '}');
}

static void put_head(const struct ts_diff *diff, struct ts_buf *out)
{
    enum ts_metric metric = diff->query->metric;
    ts_buf_putc(out, '{');
    for (int side = 0; side < 2; side++) {
        const struct ts_query_result *result = &diff->sides[side];
        ts_buf_printf(out, "\"%s\": {", sides[side]);
        ts_query_put_range(out, result->query, &result->range);
        ts_buf_puts(out, "\"profiles\": ");
        ts_query_put_integer(out, result->buckets.all.profiles);
        ts_buf_puts(out, ", \"total_tt\": ");
        ts_put_seconds(out, result->buckets.all.total_tt);
        ts_buf_puts(out, "}, ");
    }
    ts_buf_printf(out, "\"metric\": \"%s\", \"unit\": \"%s\", \"calls\": \"%s\", \"functions\": [",
                  ts_metric_name(metric), ts_metric_is_time(metric) ? "seconds" : "calls",
                  ts_metric_name(ts_diff_calls(metric)));
}

bool ts_diff_json_piece(const struct ts_diff *diff, struct ts_cursor *cursor, struct ts_buf *out)
{
    if (cursor->stage == HEAD) {
        put_head(diff, out);
        cursor->stage = ROWS;
        return true;
    }
    if (cursor->row < diff->n_shown) {
        const struct ts_diff_row *row = &diff->rows[cursor->row];
        ts_buf_puts(out, cursor->row++ ? ", {" : "{");
        ts_query_put_name(out, diff->query, row->name);
        put_row(diff, row, true, out);
        return true;
    }
    ts_buf_printf(out, "], \"other\": {\"functions\": %zu", diff->n - diff->n_shown);
    put_row(diff, &diff->other, false, out);
    ts_buf_putc(out, '}');
    return false;
}

/* ---- CSV ---- */

static void put_csv_header(const struct ts_diff *diff, struct ts_buf *out)
{
    ts_buf_puts(out, "kind,");
    ts_query_put_csv_name_header(out, diff->query);
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < TS_METRICS; i++)
            ts_buf_printf(out, ",%s_%s", sides[side], ts_metric_name((enum ts_metric)i));
    }
    ts_buf_puts(out, ",change,called_more,slower_per_call" TS_QUERY_EOL);
}

bool ts_diff_csv_piece(const struct ts_diff *diff, struct ts_cursor *cursor, struct ts_buf *out)
{
    if (cursor->stage == HEAD) {
        put_csv_header(diff, out);
        cursor->stage = ROWS;
        return true;
    }
    bool other = cursor->row == diff->n_shown;
    const struct ts_diff_row *row = other ? &diff->other : &diff->rows[cursor->row];
    ts_i128 change = 0;
    ts_buf_puts(out, other ? "other," : "function,");
    ts_query_put_csv_name(out, diff->query, row->name);
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < TS_METRICS; i++) {
            ts_buf_putc(out, ',');
            ts_query_put_value(out, row->totals[side][i], (enum ts_metric)i);
        }
    }
    if (ts_diff_per_profile(diff, row, TS_CHANGE, &change)) {
        const ts_i128 values[] = {change, row->called_more, change - row->called_more};
        for (int i = 0; i < 3; i++) {
            ts_buf_putc(out, ',');
            ts_put_seconds(out, values[i]);
        }
    } else {
        ts_buf_puts(out, ",,,");
    }
    ts_buf_puts(out, TS_QUERY_EOL);
    cursor->row++;
    return !other;
}
