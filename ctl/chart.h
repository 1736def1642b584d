/*
 * The buckets as stacked horizontal bars, one a bucket, scaled to the largest. On a colour terminal functions differ
 * by colour and the ends are drawn to an eighth of a column; without colour by pattern (█ ▓ ▒ in turn, ░ for other)
 * and by letters that the legend repeats. Negative values count as nothing in a bar; totals are true.
 */
#ifndef CTL_CHART_H
#define CTL_CHART_H

#include "ctl/answer.h"
#include "ctl/table.h"

void ctl_chart(const struct ctl_matrix *matrix, const struct ctl_screen *screen, struct ctl_text *out);

#endif
