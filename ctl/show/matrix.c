/* See matrix.h. */
#include "ctl/show/matrix.h"

#include "ctl/show/response.h"

#include <stdlib.h>
#include <string.h>

/* Reads a list of exactly n numbers. */
static int read_values(const cJSON *object, const char *name, const char *of, size_t n, double **ret_values,
                       struct ctl_text *problem)
{
    const cJSON *list = ctl_list(object, name, problem);
    if (!list)
        return -1;
    double *values = calloc(n ? n : 1, sizeof(*values));
    if (!values) {
        problem->failed = true;
        return -1;
    }
    *ret_values = values;
    size_t i = 0;
    const cJSON *item;
    cJSON_ArrayForEach (item, list) {
        if (i == n || !cJSON_IsNumber(item))
            break;
        values[i++] = item->valuedouble;
    }
    if (i == n && !item)
        return 0;
    ctl_text_printf(problem, "in the response, \"%s\"%s%s is not a list of %zu numbers", name, *of ? " of " : "", of,
                    n);
    return -1;
}

static size_t list_len(const cJSON *list)
{
    size_t n = 0;
    const cJSON *item;
    cJSON_ArrayForEach (item, list)
        n++;
    return n;
}

static int read_series(struct ctl_matrix *m, const cJSON *root, struct ctl_text *problem)
{
    const cJSON *functions = ctl_list(root, "functions", problem), *row;
    if (!functions)
        return -1;
    size_t n = list_len(functions);
    m->series = calloc(n ? n : 1, sizeof(*m->series));
    if (!m->series) {
        problem->failed = true;
        return -1;
    }
    cJSON_ArrayForEach (row, functions) {
        struct ctl_series *series = &m->series[m->n_series++];
        ctl_row_name(row, &series->name, &series->location);
        if (series->name.failed || series->location.failed) {
            problem->failed = true;
            return -1;
        }
        series->total = ctl_number(row, "total", 0);
        if (read_values(row, "values", ctl_text_str(&series->name), m->n_buckets, &series->values, problem))
            return -1;
    }
    const cJSON *other = cJSON_GetObjectItemCaseSensitive(root, "other");
    if (!cJSON_IsObject(other)) {
        m->other.values = calloc(m->n_buckets ? m->n_buckets : 1, sizeof(double));
        problem->failed = problem->failed || !m->other.values;
        return m->other.values ? 0 : -1;
    }
    m->other_functions = ctl_number(other, "functions", 0);
    m->other.total = ctl_number(other, "total", 0);
    return read_values(other, "values", "other", m->n_buckets, &m->other.values, problem);
}

int ctl_matrix_load(struct ctl_matrix *m, const cJSON *root, struct ctl_text *problem)
{
    *m = (struct ctl_matrix){0};
    const cJSON *buckets = ctl_list(root, "buckets", problem);
    if (!buckets)
        return -1;
    m->n_buckets = list_len(buckets);
    m->time_slice = ctl_number(root, "time_slice", 0);
    m->metric = ctl_string(root, "metric", "value");
    m->seconds = !strcmp(ctl_string(root, "unit", ""), "seconds");
    if (read_values(root, "buckets", "", m->n_buckets, &m->times, problem) ||
        read_values(root, "profiles", "", m->n_buckets, &m->profiles, problem))
        return -1;
    if (cJSON_GetObjectItemCaseSensitive(root, "parts_missing") &&
        read_values(root, "parts_missing", "", m->n_buckets, &m->missing, problem))
        return -1;
    return read_series(m, root, problem);
}

static void series_deinit(struct ctl_series *series)
{
    ctl_text_deinit(&series->name);
    ctl_text_deinit(&series->location);
    free(series->values);
}

void ctl_matrix_deinit(struct ctl_matrix *m)
{
    for (size_t i = 0; i < m->n_series; i++)
        series_deinit(&m->series[i]);
    free(m->series);
    series_deinit(&m->other);
    free(m->times);
    free(m->profiles);
    free(m->missing);
    *m = (struct ctl_matrix){0};
}
