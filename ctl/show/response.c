/* See response.h. */
#include "ctl/show/response.h"

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
    ctl_text_printf(problem, "the response has no list \"%s\"", name);
    return NULL;
}

void ctl_row_name(const cJSON *row, struct ctl_text *ret_name, struct ctl_text *ret_location)
{
    const cJSON *label = cJSON_GetObjectItemCaseSensitive(row, "label");
    const char *name = label ? ctl_string(row, "label", "(none)") : ctl_string(row, "function", "(none)");
    ctl_text_puts(ret_name, *name ? name : "(empty)");

    const char *file = ctl_string(row, "file_name", NULL);
    double line = ctl_number(row, "line_number", -1);
    if (file)
        ctl_text_puts(ret_location, file);
    if (line >= 0)
        ctl_text_printf(ret_location, ":%.0f", line);
}
