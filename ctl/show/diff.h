/*
 * The response of /v1/diff: its rows in their order (the largest change first), rows beyond a limit summed, and the
 * check of --fail-over.
 *
 * Every value is per profile, so that more traffic does not look like a slowdown. A function fails the check if it grew
 * by more than the given percentage of its value before, or had none before, and the growth is at least --ignore-below.
 */
#ifndef CTL_DIFF_H
#define CTL_DIFF_H

#include "ctl/base/text.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

struct ctl_change {
    struct ctl_text name, location;
    double before, after, change; /* of the metric, per profile; NAN if a range has no profiles */
    double ratio;                 /* after / before; NAN if before is 0 */
    double more, slower;          /* parts of change: called more, slower per call; NAN: not in the response */
};

struct ctl_diff {
    double profiles_before, profiles_after;
    bool seconds;
    struct ctl_text metric;
    size_t n;
    struct ctl_change *rows;
    struct ctl_change other;
    double other_functions; /* how many other sums */
};

/* keep: the number of rows wanted, the others are summed into other; 0: all. 0, or -1 with a message in problem; deinit
 * in either case. */
int ctl_diff_load(struct ctl_diff *diff, const cJSON *root, size_t keep, struct ctl_text *problem);
void ctl_diff_deinit(struct ctl_diff *diff);

/* Whether a range has no profiles; if so, with a message in text. */
bool ctl_diff_is_one_sided(const struct ctl_diff *diff, struct ctl_text *text);

/* 0, or -1 if functions fail the check, named in text on one line without newline. The diff must hold all rows. */
int ctl_diff_check(const struct ctl_diff *diff, double percent, double ignore_below, struct ctl_text *text);

#endif
