/* The response of /v1/delete: what was deleted, or would be. */
#ifndef CTL_DELETION_H
#define CTL_DELETION_H

#include "ctl/base/table.h"

#include <cjson/cJSON.h>

/* 0, or -1 with a message in problem. */
int ctl_show_deletion(const struct ctl_screen *screen, const cJSON *root, struct ctl_text *out,
                      struct ctl_text *problem);

#endif
