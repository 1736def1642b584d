/*
 * A chart of the buckets: one stacked horizontal bar per bucket, scaled to the largest. With colour, each function has
 * a colour and bars end on an eighth of a column. Without colour, each function has a pattern (█ ▓ ▒ in turn, ░ for
 * other) and a letter that the legend repeats. Negative values are drawn as 0; the printed totals include them.
 */
#ifndef CTL_CHART_H
#define CTL_CHART_H

#include "ctl/base/table.h"
#include "ctl/show/matrix.h"

void ctl_chart(const struct ctl_matrix *matrix, const struct ctl_screen *screen, struct ctl_text *out);

#endif
