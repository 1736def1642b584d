/* See commands.h. */
#include "ctl/args/commands.h"

#include <stddef.h>

const struct ctl_command ctl_commands[CTL_COMMANDS] = {
    [CTL_BUCKETS] = {"buckets", NULL, "GET", "/v1/buckets", "the time of each function in each bucket"},
    [CTL_TOP] = {"top", NULL, "GET", "/v1/top", "the functions of a range, largest first"},
    [CTL_DIFF] = {"diff", NULL, "GET", "/v1/diff", "what changed between two ranges, per profile"},
    [CTL_FUNCTIONS] = {"functions", NULL, "GET", "/v1/functions", "the known functions, their locations and times"},
    [CTL_LABELS] = {"labels", NULL, "GET", "/v1/labels", "the label sets, when and how often they were seen"},
    [CTL_STATUS] = {"status", NULL, "GET", "/v1/status", "version, health and counters of the daemon"},
    [CTL_REJECTS] = {"rejects", NULL, "GET", "/v1/rejects", "the last rejected messages, with the reasons"},
    [CTL_FLUSH] = {"flush", NULL, "POST", "/v1/flush", "commit everything received to stable storage"},
    [CTL_BACKUP] = {"backup", "FILE", "POST", "/v1/backup", "copy the database while the daemon runs"},
    [CTL_REGRID] = {"regrid", "FILE", "POST", "/v1/regrid", "copy the database with wider buckets"},
    [CTL_DELETE] = {"delete", NULL, "POST", "/v1/delete", "delete data; a dry run unless --yes is given"},
};
