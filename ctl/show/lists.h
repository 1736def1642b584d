/* The lists of functions, labels and rejects. */
#ifndef CTL_LISTS_H
#define CTL_LISTS_H

#include "ctl/base/table.h"

#include <cjson/cJSON.h>

/* Each: 0, or -1 with a message in problem. */
int ctl_show_functions(const struct ctl_screen *screen, const cJSON *root, struct ctl_text *out,
                       struct ctl_text *problem);
int ctl_show_labels(const struct ctl_screen *screen, const cJSON *root, struct ctl_text *out, struct ctl_text *problem);
int ctl_show_rejects(const struct ctl_screen *screen, const cJSON *root, struct ctl_text *out,
                     struct ctl_text *problem);

#endif
