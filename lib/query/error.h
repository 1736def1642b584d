/* Fills in struct ts_query_error. */
#ifndef TS_QUERY_ERROR_H
#define TS_QUERY_ERROR_H

#include "lib/query/query.h"

/* Sets the error, with texts that are valid UTF-8, and returns TS_EINVAL. */
int ts_query_fail(struct ts_query_error *error, enum ts_query_error_kind kind, const char *parameter,
                  const char *format, ...) TS_PRINTF(4, 5);
/*
 * Sets the error for TS_ENOMEM, TS_ESTORE or TS_ECANCELED and returns the code. With TS_EINVAL, the error must have
 * been set by ts_query_fail() already.
 */
int ts_query_fail_with(struct ts_query_error *error, int code);

#endif
