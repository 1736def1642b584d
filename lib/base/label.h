/* A label, and the contract's bounds on labels. */
#ifndef TS_BASE_LABEL_H
#define TS_BASE_LABEL_H

#include "lib/base/str.h"

enum {
    TS_LABELS_MAX = 16, /* in a set */
    TS_LABEL_KEY_MAX = 64,
    TS_LABEL_VALUE_MAX = 256 /* bytes */
};

struct ts_label {
    struct ts_str key;
    struct ts_str value;
};

#endif
