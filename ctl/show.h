/* From an answer of the daemon to what a person reads: one renderer a command. Pure: bytes in, text out. */
#ifndef CTL_SHOW_H
#define CTL_SHOW_H

#include "ctl/args.h"
#include "ctl/table.h"

enum { CTL_SHOW_MAX = 64 << 20 }; /* a parsed answer takes about 40 times its bytes */

/* 0, or -1 with the problem in words: not the JSON that timesliced gives, or too much of it. */
int ctl_show(const struct ctl_args *args, const struct ctl_screen *screen, const struct ctl_text *body,
             struct ctl_text *out, struct ctl_text *problem);

/* The daemon's own error, from the body of an answer that is not 200. */
void ctl_show_error(long status, const struct ctl_text *body, struct ctl_text *out);

#endif
