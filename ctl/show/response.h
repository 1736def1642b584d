/* Reading the daemon's JSON. Nothing is assumed: a missing member or one of another type gives the fallback or an
 * error. */
#ifndef CTL_RESPONSE_H
#define CTL_RESPONSE_H

#include "ctl/base/text.h"

#include <cjson/cJSON.h>

/* The number, or fallback if it is absent or not a number. */
double ctl_number(const cJSON *object, const char *name, double fallback);
/* The string, or fallback if it is absent or not a string. */
const char *ctl_string(const cJSON *object, const char *name, const char *fallback);
/* The list, or NULL with a message in problem. */
const cJSON *ctl_list(const cJSON *object, const char *name, struct ctl_text *problem);

/* The name of a row, its function or label, and "file:line" (empty if it has none). */
void ctl_row_name(const cJSON *row, struct ctl_text *ret_name, struct ctl_text *ret_location);

#endif
