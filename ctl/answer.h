/*
 * Reading the daemon's JSON: what is missing or of another type is told in words, never trusted.
 * The matrix is the answer of /v1/buckets, checked: every list has as many entries as there are buckets.
 */
#ifndef CTL_ANSWER_H
#define CTL_ANSWER_H

#include "ctl/text.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

/* Absent or not a number: fallback. */
double ctl_number(const cJSON *object, const char *name, double fallback);
/* Absent or not a string: fallback. */
const char *ctl_string(const cJSON *object, const char *name, const char *fallback);
/* The list of that name, or NULL with the problem in words. */
const cJSON *ctl_list(const cJSON *object, const char *name, struct ctl_text *problem);

/* The name of a row, by function or label, and "file:line" (empty where there is none). */
void ctl_row_name(const cJSON *row, struct ctl_text *ret_name, struct ctl_text *ret_where);

struct ctl_series {
    struct ctl_text name;
    struct ctl_text where;
    double total;
    double *values;
};

struct ctl_matrix {
    size_t n_buckets;
    double *times;
    double *profiles;
    double *missing; /* parts */
    size_t n_series;
    struct ctl_series *series;
    struct ctl_series other;
    double other_functions;
    double time_slice;
    const char *metric; /* points into the JSON */
    bool seconds;       /* values are durations, else counts */
};

/* 0, or -1 with the problem in words; deinit in either case. */
int ctl_matrix_load(struct ctl_matrix *matrix, const cJSON *root, struct ctl_text *problem);
void ctl_matrix_deinit(struct ctl_matrix *matrix);

#endif
