/*
 * The response of /v1/diff: a row per function, the largest change per profile first. For times, each change is split
 * into two parts: more calls and slower calls. For counts of calls there is nothing to split.
 */
#ifndef CTL_DIFF_TABLE_H
#define CTL_DIFF_TABLE_H

#include "ctl/args/args.h"
#include "ctl/show/view.h"

/* 0, or -1 with a message in problem. */
int ctl_show_diff(const struct ctl_args *args, const struct ctl_view *view, const cJSON *root, struct ctl_text *out,
                  struct ctl_text *problem);

#endif
