/* The responses of buckets and top as JSON. */
#ifndef TS_QUERY_JSON_H
#define TS_QUERY_JSON_H

#include "lib/query/result.h"
#include "lib/query/write.h"

bool ts_query_json_piece(const struct ts_query_result *result, struct ts_cursor *cursor, struct ts_buf *out);

#endif
