/* The response of /v1/status as a tree of names and values. */
#ifndef CTL_STATUS_H
#define CTL_STATUS_H

#include "ctl/base/table.h"

#include <cjson/cJSON.h>

void ctl_show_status(const struct ctl_screen *screen, const cJSON *root, struct ctl_text *out);

#endif
