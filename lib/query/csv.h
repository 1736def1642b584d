/*
 * The responses of buckets and top as CSV (RFC 4180):
 *
 *     kind,bucket,function[,file_name,line_number,raw_name],value
 *     kind,function[,file_name,line_number,raw_name],cumtime,tottime,ncalls,pcalls
 *
 * by=label.KEY has `label` instead of `function`. A field is empty where JSON has null. The last rows are of kind
 * `other`, even if they are 0, so that the values of each bucket always add up to its total.
 */
#ifndef TS_QUERY_CSV_H
#define TS_QUERY_CSV_H

#include "lib/query/result.h"
#include "lib/query/write.h"

bool ts_query_csv_piece(const struct ts_query_result *result, struct ts_cursor *cursor, struct ts_buf *out);

#endif
