/* The response of /v1/buckets: a row per bucket and as many columns of functions as fit, or the chart. */
#ifndef CTL_BUCKET_TABLE_H
#define CTL_BUCKET_TABLE_H

#include "ctl/args/args.h"
#include "ctl/show/view.h"

/* 0, or -1 with a message in problem. */
int ctl_show_buckets(const struct ctl_args *args, const struct ctl_view *view, const cJSON *root, struct ctl_text *out,
                     struct ctl_text *problem);

#endif
