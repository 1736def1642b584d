/* From an answer of the daemon to what a person reads: one renderer a command (views.h). Pure: bytes in, text out. */
#ifndef CTL_SHOW_H
#define CTL_SHOW_H

#include "ctl/args.h"
#include "ctl/table.h"

enum { CTL_SHOW_MAX = 64 << 20 }; /* a parsed answer takes about 40 times its bytes */

struct ctl_view {
    struct ctl_screen screen;
    double finest; /* the stored width of buckets, in seconds; NAN: not known */
};

/* Whether the renderer would like to know the finest width. */
bool ctl_show_wants_finest(const struct ctl_text *body);
/* The stored width from the answer of status; NAN where it is not there. */
double ctl_show_finest(const struct ctl_text *status);

/* 0, or -1 with the problem in words: not the JSON that timesliced gives. */
int ctl_show(const struct ctl_args *args, const struct ctl_view *view, const struct ctl_text *body,
             struct ctl_text *out, struct ctl_text *problem);

/* The daemon's own error, from the body of an answer that is not 200. */
void ctl_show_error(long status, const struct ctl_text *body, struct ctl_text *out);

/* Whether the answer says so: "dry_run": true (1) or false (0); -1: neither. */
int ctl_show_is_dry_run(const struct ctl_text *body);

#endif
