/* The response of diff as JSON and as CSV. */
#ifndef TS_QUERY_DIFF_WRITE_H
#define TS_QUERY_DIFF_WRITE_H

#include "lib/query/diff.h"
#include "lib/query/write.h"

bool ts_diff_json_piece(const struct ts_diff *diff, struct ts_cursor *cursor, struct ts_buf *out);
bool ts_diff_csv_piece(const struct ts_diff *diff, struct ts_cursor *cursor, struct ts_buf *out);

#endif
