/* Reads and writes label sets in their canonical form, as stored: {"key": "value", "key": "value"}, keys ascending. */
#ifndef TS_AGGREGATE_LABELS_H
#define TS_AGGREGATE_LABELS_H

#include "lib/base/buf.h"
#include "lib/base/label.h"

/* Appends the canonical form. The labels are ascending by key. */
void ts_labels_write(const struct ts_label *labels, size_t n, struct ts_buf *out);

struct ts_labels_reader {
    const char *at;
    const char *end;
    bool started;
};

void ts_labels_reader_init(struct ts_labels_reader *reader, const char *json, size_t len);
/*
 * Reads the next pair. 1; 0: the end of the set; TS_EINVAL: not the canonical form; TS_ENOMEM. ret_key is a view of the
 * set; value is overwritten with the decoded bytes.
 */
int ts_labels_next(struct ts_labels_reader *reader, struct ts_str *ret_key, struct ts_buf *value) TS_MUST_USE;

#endif
