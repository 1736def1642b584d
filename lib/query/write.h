/* How numbers, names and ranges are written in responses. */
#ifndef TS_QUERY_WRITE_H
#define TS_QUERY_WRITE_H

#include "lib/query/first_last.h"
#include "lib/query/range.h"
#include "lib/query/spec.h"

/*
 * A position in the text of a response. The functions that write a response, ..._piece(), write a small piece, advance
 * the cursor and return false after the last piece. Each defines what the members mean; all are zero at the start.
 */
struct ts_cursor {
    int stage;
    size_t row;
    size_t column;
};

/* value / by, rounded to the nearest integer, halves away from zero. by != 0. */
ts_i128 ts_query_divide(ts_i128 value, ts_i128 by);

void ts_query_put_integer(struct ts_buf *out, ts_i128 value);
/* In seconds if the metric is a time. */
void ts_query_put_value(struct ts_buf *out, ts_i128 value, enum ts_metric metric);

/* ---- JSON ---- */

void ts_query_put_seconds_or_null(struct ts_buf *out, bool known, ts_i128 ns);
/* value (ns) / calls, in seconds; null if calls is 0. */
void ts_query_put_per_call(struct ts_buf *out, ts_i128 value, ts_i128 calls);
/* "cumtime": 1, ... for all metrics. */
void ts_query_put_totals(struct ts_buf *out, const ts_i128 *totals);
/* "function": or "label":, and by location file_name, line_number, raw_name. */
void ts_query_put_name(struct ts_buf *out, const struct ts_query *query, const struct ts_location *name);
/* , "file_name": "a.py", "line_number": 1 */
void ts_query_put_file_and_line(struct ts_buf *out, const struct ts_location *location);
/* "from": 1, "to": 2, "from_resolution": 10, "to_resolution": 10, with ", " at the end */
void ts_query_put_range(struct ts_buf *out, const struct ts_query *query, const struct ts_query_range *range);
/* , "first_bucket": 1, "last_bucket": 2 */
void ts_query_put_first_last(struct ts_buf *out, const struct ts_grid *grid, const struct ts_first_last *first_last);

/* ---- CSV ---- */

#define TS_QUERY_EOL "\r\n"

/* The headings of the columns of a name. */
void ts_query_put_csv_name_header(struct ts_buf *out, const struct ts_query *query);
/* The columns of a name; empty ones if it is NULL. */
void ts_query_put_csv_name(struct ts_buf *out, const struct ts_query *query, const struct ts_location *name);

#endif
