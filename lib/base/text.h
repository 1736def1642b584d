/* Values as text, appended to a buffer: JSON strings, CSV fields, decimal seconds. */
#ifndef TS_BASE_TEXT_H
#define TS_BASE_TEXT_H

#include "lib/base/buf.h"
#include "lib/base/int.h"

/* Appends the bytes as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD. */
void ts_put_json_string(struct ts_buf *buf, const char *text, size_t len);
/* Appends one CSV field, quoted only if RFC 4180 requires it: it has a quote, a comma or a line break. */
void ts_put_csv_field(struct ts_buf *buf, const char *text, size_t len);
/* Appends nanoseconds as decimal seconds: "1.5", "-0.000000001", "10"; never an exponent, no trailing zeros. */
void ts_put_seconds(struct ts_buf *buf, ts_i128 nanoseconds);

#endif
