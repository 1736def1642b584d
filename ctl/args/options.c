/* See options.h. */
#include "ctl/args/options.h"

#include "ctl/args/commands.h"

#include <stddef.h>

/* Sets of commands, for the column of that name. */
enum {
    B = 1 << CTL_BUCKETS,
    T = 1 << CTL_TOP,
    D = 1 << CTL_DIFF,
    F = 1 << CTL_FUNCTIONS,
    L = 1 << CTL_LABELS,
    G = 1 << CTL_REGRID,
    S = G | 1 << CTL_BACKUP,
    X = 1 << CTL_DELETE,
    ALL = (1 << CTL_COMMANDS) - 1,
    READS = ALL & ~(1 << CTL_FLUSH | S | X),
};

const struct ctl_option ctl_options[] = {
    {"before", "RANGE", D, PARAMETER, "before",
     "the first range: 2h..1h (that long ago), last:15m, or TIME..TIME, where either end may be omitted"},
    {"after", "RANGE", D, PARAMETER, "after", "the second range, in the same form"},
    {"before-label", "KEY=VALUE", D, LABEL, "before.label.", "first range: only this label; may be repeated"},
    {"after-label", "KEY=VALUE", D, LABEL, "after.label.", "second range: only this label; may be repeated"},
    {"from", "TIME", B | T | X, PARAMETER, "from", "start: epoch seconds, ISO 8601, now, or -15m"},
    {"to", "TIME", B | T | X, PARAMETER, "to", "end, exclusive"},
    {"last", "DURATION", B | T | X, PARAMETER, "last", "from that long ago to now: 90s, 15m, 1h, 7d"},
    {"metric", "NAME", B | T | D, PARAMETER, "metric", "cumtime, tottime, ncalls or pcalls"},
    {"function", "GLOB", B | T | D | F | X, REPEATED, "function", "only functions that match; may be repeated"},
    {"label", "KEY=VALUE", B | T | D | X, LABEL, "label.", "only profiles with this label; may be repeated"},
    {"by", "WHAT", B | T | D, PARAMETER, "by", "function, location or label.KEY (diff: no label)"},
    {"top", "N", B | T | D, TOP, "top", "the N largest, the rest summed as other (default for a table of diff: 20)"},
    {"fail-over", "PERCENT", D, FAIL_OVER, NULL,
     "exit code 1 if any function, shown or not, grew by more than this per profile, or is new"},
    {"ignore-below", "DURATION", D, IGNORE_BELOW, NULL,
     "--fail-over ignores smaller growth per profile: 1ms (for ncalls and pcalls a number)"},
    {"time-slice", "DURATION", B | G, PARAMETER, "time_slice", "wider buckets: a multiple of the stored width"},
    {"fill", NULL, B, FIXED, "fill=true", "include buckets without data"},
    {"fresh", NULL, B | T | D | F | L, FIXED, "fresh=true", "commit everything received first (default on the socket)"},
    {"no-fresh", NULL, B | T | D | F | L, FIXED, "fresh=false", "query what is stored, without waiting for a commit"},
    {"chart", NULL, B, CHART, NULL, "a stacked bar per bucket (8 functions unless --top is given)"},
    {"force", NULL, S, FORCE, NULL, "replace FILE if it exists"},
    {"yes", NULL, X, YES, NULL, "delete; without it, only show what would be deleted"},
    {"format", "FORMAT", ALL & ~S, FORMAT, NULL, "table (default on a terminal), json, csv (buckets, top, diff)"},
    {"watch", "SECONDS", READS, WATCH, NULL, "repeat until interrupted"},
    {"color", "WHEN", ALL & ~S, COLOR, NULL, "auto, always or never"},
    {"socket", "PATH", ALL, SOCKET, NULL, "control socket (default $TIMESLICED_SOCKET, else " CTL_DEFAULT_SOCKET ")"},
    {"url", "URL", ALL, URL, NULL, "the daemon's HTTP address instead of its socket"},
    {"help", NULL, ALL, HELP, NULL, "show this help, or that of a command"},
    {"version", NULL, ALL, VERSION, NULL, "show the version"},
};

_Static_assert(sizeof(ctl_options) / sizeof(ctl_options[0]) == CTL_OPTIONS, "CTL_OPTIONS is out of date");
