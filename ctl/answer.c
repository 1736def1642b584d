/* See answer.h. */
#include "ctl/answer.h"

#include <stdlib.h>
#include <string.h>

double ctl_number(const cJSON *object, const char *name, double fallback)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : fallback;
}

const char *ctl_string(const cJSON *object, const char *name, const char *fallback)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsString(item) ? item->valuestring : fallback;
}

const cJSON *ctl_list(const cJSON *object, const char *name, struct ctl_text *problem)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(object, name);
    if (cJSON_IsArray(list))
        return list;
    ctl_text_printf(problem, "the answer has no list \"%s\"", name);
    return NULL;
}

void ctl_row_name(const cJSON *row, struct ctl_text *ret_name, struct ctl_text *ret_where)
{
    const cJSON *label = cJSON_GetObjectItemCaseSensitive(row, "label");
    const char *name = label ? ctl_string(row, "label", "(none)") : ctl_string(row, "function", "(none)");
    ctl_text_puts(ret_name, *name ? name : "(empty)");

    const char *file = ctl_string(row, "file_name", NULL);
    double line = ctl_number(row, "line_number", -1);
    if (file)
        ctl_text_puts(ret_where, file);
    if (line >= 0)
        ctl_text_printf(ret_where, ":%.0f", line);
}

/* Fills n values from the list; fails on another length or type. */
static int load_values(const cJSON *object, const char *name, const char *of, size_t n, double **ret_values,
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
    ctl_text_printf(problem, "in the answer, \"%s\"%s%s is not a list of %zu numbers", name, *of ? " of " : "", of, n);
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

static int load_series(struct ctl_matrix *m, const cJSON *root, struct ctl_text *problem)
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
        ctl_row_name(row, &series->name, &series->where);
        series->total = ctl_number(row, "total", 0);
        if (load_values(row, "values", ctl_text_str(&series->name), m->n_buckets, &series->values, problem))
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
    return load_values(other, "values", "other", m->n_buckets, &m->other.values, problem);
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
    if (load_values(root, "buckets", "", m->n_buckets, &m->times, problem) ||
        load_values(root, "profiles", "", m->n_buckets, &m->profiles, problem))
        return -1;
    if (cJSON_GetObjectItemCaseSensitive(root, "parts_missing") &&
        load_values(root, "parts_missing", "", m->n_buckets, &m->missing, problem))
        return -1;
    return load_series(m, root, problem);
}

static void series_deinit(struct ctl_series *series)
{
    ctl_text_deinit(&series->name);
    ctl_text_deinit(&series->where);
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
