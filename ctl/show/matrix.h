/* The response of /v1/buckets, checked: every list has as many entries as there are buckets. */
#ifndef CTL_MATRIX_H
#define CTL_MATRIX_H

#include "ctl/base/text.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

struct ctl_series {
    struct ctl_text name;
    struct ctl_text location;
    double total;
    double *values;
};

struct ctl_matrix {
    size_t n_buckets;
    double *times;
    double *profiles;
    double *missing; /* missing parts of profiles; NULL: none */
    size_t n_series;
    struct ctl_series *series;
    struct ctl_series other;
    double other_functions; /* how many other sums */
    double time_slice;
    const char *metric; /* points into the JSON */
    bool seconds;       /* the values are durations; else counts */
};

/* 0, or -1 with a message in problem; deinit in either case. */
int ctl_matrix_load(struct ctl_matrix *matrix, const cJSON *root, struct ctl_text *problem);
void ctl_matrix_deinit(struct ctl_matrix *matrix);

#endif
