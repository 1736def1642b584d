/*
 * The answer of /v1/diff, read: rows as they come (the largest change first), what is beyond the first ones summed, and
 * the verdict of --fail-over over all of them.
 *
 * Everything is per profile, so that a range with more traffic is no slower one. A growth is at fault where it is over
 * the limit in percent of what was before, or came from nothing, and is not below --ignore-below.
 */
#ifndef CTL_DIFF_H
#define CTL_DIFF_H

#include "ctl/answer.h"
#include "ctl/args.h"

struct ctl_change {
    struct ctl_text name, where;
    double before, after, change; /* of the metric, per profile; NAN where a side has no profiles */
    double ratio;                 /* after / before; NAN where there was nothing before */
    double more, slower;          /* the parts of change: called more, slower per call; NAN: not told */
};

struct ctl_diff {
    double profiles_before, profiles_after;
    bool seconds;
    struct ctl_text metric;
    size_t n;
    struct ctl_change *rows;
    struct ctl_change other;
    double other_functions;
};

/* keep: as many rows as are wanted, the others summed into other; 0: all. 0, or -1 with the problem in words; deinit in
 * either case. */
int ctl_diff_load(struct ctl_diff *diff, const cJSON *root, size_t keep, struct ctl_text *problem);
void ctl_diff_deinit(struct ctl_diff *diff);

/* A side without any profile, in words; false where both have some. */
bool ctl_diff_is_one_sided(const struct ctl_diff *diff, struct ctl_text *words);

/* 0: nothing is at fault; -1: who is, in one line without end. The diff must hold all rows. */
int ctl_diff_judge(const struct ctl_diff *diff, double percent, double ignore_below, struct ctl_text *words);

#endif
