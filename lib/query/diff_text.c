/* The answer of diff as JSON and CSV. */
#include "lib/base/text.h"
#include "lib/query/internal.h"

enum { BEFORE, AFTER, CHANGE };
static const char eol[] = "\r\n";

static void put_totals(const char *name, const ts_i128 *totals, struct ts_buf *out)
{
    ts_buf_printf(out, ", \"%s\": {", name);
    for (int i = 0; i < TS_METRICS; i++) {
        ts_buf_printf(out, "%s\"%s\": ", i ? ", " : "", ts_metric_name((enum ts_metric)i));
        ts_query_put_value(out, totals[i], (enum ts_metric)i);
    }
    ts_buf_putc(out, '}');
}

static void put_known(struct ts_buf *out, bool known, ts_i128 value)
{
    if (known)
        ts_put_seconds(out, value);
    else
        ts_buf_puts(out, "null");
}

/* two / one, to nine decimals. */
static void put_quotient(struct ts_buf *out, bool known, ts_i128 one, ts_i128 two)
{
    ts_i128 limit = (ts_i128)1 << 96; /* two * 10^9 has to fit */
    put_known(out, known && one != 0 && two < limit && two > -limit, one ? ts_query_divide(two * TS_NS_PER_S, one) : 0);
}

static void put_per_profile(const struct ts_diff *diff, const struct ts_diff_row *row, struct ts_buf *out)
{
    static const char *const names[] = {"before", "after", "change"};
    ts_i128 values[3] = {0};
    bool known[3];
    ts_buf_puts(out, ", \"per_profile\": {");
    for (int i = 0; i < 3; i++) {
        known[i] = ts_diff_per_profile(diff, row, i, &values[i]);
        ts_buf_printf(out, "%s\"%s\": ", i ? ", " : "", names[i]);
        put_known(out, known[i], values[i]);
    }
    ts_buf_puts(out, ", \"ratio\": ");
    put_quotient(out, known[CHANGE], values[BEFORE], values[AFTER]);
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
        ts_buf_puts(out, i ? ", \"after\": " : "\"before\": ");
        put_known(out, known[i], values[i]);
    }
    ts_buf_puts(out, ", \"change\": ");
    put_known(out, known[BEFORE] && known[AFTER], values[AFTER] - values[BEFORE]);
    ts_buf_puts(out, ", \"ratio\": ");
    put_quotient(out, known[BEFORE] && known[AFTER], values[BEFORE], values[AFTER]);
    ts_buf_putc(out, '}');
}

/* The two parts of the change; the second is what the first leaves, so that they add up. */
static void put_parts(const struct ts_diff *diff, const struct ts_diff_row *row, struct ts_buf *out, const char *first,
                      const char *second)
{
    ts_i128 change = 0;
    bool known = ts_diff_per_profile(diff, row, CHANGE, &change);
    ts_buf_puts(out, first);
    put_known(out, known, row->called_more);
    ts_buf_puts(out, second);
    put_known(out, known, change - row->called_more);
}

static void put_row(const struct ts_diff *diff, const struct ts_diff_row *row, bool per_call, struct ts_buf *out)
{
    put_totals("before", row->totals[BEFORE], out);
    put_totals("after", row->totals[AFTER], out);
    put_per_profile(diff, row, out);
    if (per_call)
        put_per_call(diff, row, out);
    put_parts(diff, row, out, ", \"called_more\": ", ", \"slower_per_call\": ");
    ts_buf_putc(out, '}');
}

static void put_side(const struct ts_diff *diff, int side, struct ts_buf *out)
{
    const struct ts_query_result *result = &diff->sides[side];
    ts_buf_puts(out, side ? "\"after\": {" : "{\"before\": {");
    ts_query_put_range(result->query, &result->range, out);
    ts_buf_puts(out, "\"profiles\": ");
    ts_query_put_number(out, result->all.profiles);
    ts_buf_puts(out, ", \"total_tt\": ");
    ts_put_seconds(out, result->all.total_tt);
    ts_buf_puts(out, "}, ");
}

/* stage 0: what is before the rows; 1: the rows, and what is after them. */
bool ts_diff_json_piece(const struct ts_diff *diff, struct ts_cursor *cursor, struct ts_buf *out)
{
    enum ts_metric metric = diff->query->metric;
    if (cursor->stage == 0) {
        put_side(diff, BEFORE, out);
        put_side(diff, AFTER, out);
        ts_buf_printf(out, "\"metric\": \"%s\", \"unit\": \"%s\", \"calls\": \"%s\", \"functions\": [",
                      ts_metric_name(metric), ts_metric_is_time(metric) ? "seconds" : "calls",
                      ts_metric_name(ts_diff_calls(metric)));
        cursor->stage = 1;
        return true;
    }
    if (cursor->row < diff->n_shown) {
        const struct ts_diff_row *row = &diff->rows[cursor->row];
        ts_buf_puts(out, cursor->row++ ? ", {" : "{");
        ts_query_put_name(diff->query, row->name, out);
        put_row(diff, row, true, out);
        return true;
    }
    ts_buf_printf(out, "], \"other\": {\"functions\": %zu", diff->n - diff->n_shown);
    put_row(diff, &diff->other, false, out);
    ts_buf_putc(out, '}');
    return false;
}

static void put_csv_header(const struct ts_diff *diff, struct ts_buf *out)
{
    ts_buf_puts(out, "kind,function");
    if (diff->query->by == TS_BY_LOCATION)
        ts_buf_puts(out, ",file_name,line_number,raw_name");
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < TS_METRICS; i++)
            ts_buf_printf(out, ",%s_%s", side ? "after" : "before", ts_metric_name((enum ts_metric)i));
    }
    ts_buf_puts(out, ",change,called_more,slower_per_call");
    ts_buf_puts(out, eol);
}

bool ts_diff_csv_piece(const struct ts_diff *diff, struct ts_cursor *cursor, struct ts_buf *out)
{
    if (cursor->stage == 0) {
        put_csv_header(diff, out);
        cursor->stage = 1;
        return true;
    }
    bool other = cursor->row == diff->n_shown;
    const struct ts_diff_row *row = other ? &diff->other : &diff->rows[cursor->row];
    ts_i128 change = 0;
    ts_buf_puts(out, other ? "other," : "function,");
    ts_query_put_csv_name(diff->query, other ? NULL : row->name, out);
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < TS_METRICS; i++) {
            ts_buf_putc(out, ',');
            ts_query_put_value(out, row->totals[side][i], (enum ts_metric)i);
        }
    }
    ts_buf_putc(out, ',');
    if (ts_diff_per_profile(diff, row, CHANGE, &change)) {
        ts_put_seconds(out, change);
        put_parts(diff, row, out, ",", ",");
    } else {
        ts_buf_puts(out, ",,");
    }
    ts_buf_puts(out, eol);
    cursor->row++;
    return !other;
}
