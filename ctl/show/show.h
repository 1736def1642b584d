/* From a response of the daemon to text for a person: chooses the renderer of the command. Pure: bytes in, text out. */
#ifndef CTL_SHOW_H
#define CTL_SHOW_H

#include "ctl/args/args.h"
#include "ctl/show/view.h"

enum { CTL_SHOW_MAX = 64 << 20 }; /* bytes of a response; parsed, it takes about 40 times as much memory */

/* Whether the renderer needs to know the finest width. */
bool ctl_show_wants_finest(const struct ctl_text *body);
/* The stored width from a response of /v1/status; NAN if it has none. */
double ctl_show_finest(const struct ctl_text *status);

/* 0, or -1 with a message in problem if the response is not JSON of timesliced. */
int ctl_show(const struct ctl_args *args, const struct ctl_view *view, const struct ctl_text *body,
             struct ctl_text *out, struct ctl_text *problem);

/* The daemon's error message, from the body of a response whose status is not 200. */
void ctl_show_error(long status, const struct ctl_text *body, struct ctl_text *out);

/* The member "dry_run": 1 true, 0 false, -1 neither. */
int ctl_show_is_dry_run(const struct ctl_text *body);

#endif
