/* The response of /v1/top: a row per function with all metrics. */
#ifndef CTL_TOP_H
#define CTL_TOP_H

#include "ctl/args/args.h"
#include "ctl/show/view.h"

/* 0, or -1 with a message in problem. */
int ctl_show_top(const struct ctl_args *args, const struct ctl_view *view, const cJSON *root, struct ctl_text *out,
                 struct ctl_text *problem);

#endif
