/*
 * The command line. One table of commands and one of options (args.c) drive parsing, what each command allows, and
 * --help. Options that are parameters of the daemon are passed on as they come: the daemon judges their values.
 */
#ifndef CTL_ARGS_H
#define CTL_ARGS_H

#include "ctl/text.h"

#include <stdbool.h>
#include <stddef.h>

/* Exit codes, as the contract has them. */
enum { CTL_OK = 0, CTL_REFUSED = 1, CTL_USAGE = 2, CTL_UNREACHABLE = 3 };

enum ctl_command_id {
    CTL_BUCKETS,
    CTL_TOP,
    CTL_DIFF,
    CTL_FUNCTIONS,
    CTL_LABELS,
    CTL_STATUS,
    CTL_REJECTS,
    CTL_FLUSH,
    CTL_BACKUP,
    CTL_REGRID,
    CTL_DELETE,
    CTL_COMMANDS
};
enum ctl_action { CTL_RUN, CTL_HELP, CTL_VERSION_ONLY };
enum ctl_format { CTL_FORMAT_AUTO, CTL_FORMAT_TABLE, CTL_FORMAT_JSON, CTL_FORMAT_CSV };
enum ctl_color { CTL_COLOR_AUTO, CTL_COLOR_ALWAYS, CTL_COLOR_NEVER };

enum { CTL_DIFF_ROWS = 20 }; /* of the table of diff, unless --top says */

struct ctl_command {
    const char *name;
    const char *operand; /* what --help calls it; NULL: takes none */
    const char *method;
    const char *path;
    const char *help;
};

struct ctl_args {
    enum ctl_action action;
    enum ctl_command_id command; /* CTL_COMMANDS: none was given (only with CTL_HELP and CTL_VERSION_ONLY) */
    const char *socket;          /* NULL where url is set */
    const char *url;
    enum ctl_format format;
    enum ctl_color color;
    bool chart;
    double watch;          /* seconds; 0: once */
    struct ctl_text query; /* "a=b&c=d", encoded; of diff without top and format, which ctl_args_query adds */
    const char *by;        /* NULL: function */
    const char *metric;    /* NULL: cumtime */
    const char *operand;
    struct ctl_text before_labels, after_labels; /* of diff, as given: "version=1.2, host=a" */
    long top;                                    /* of diff; 0: not given */
    double fail_over;                            /* of diff: percent; < 0: not given */
    double ignore_below;                         /* of diff: seconds, or calls */
    bool force, yes;
    const char **given; /* the value of each option as given last, by its place in the table; NULL: not given */
};

const struct ctl_command *ctl_command(enum ctl_command_id id);

/* 0, or CTL_USAGE with the problem in words. What args holds points into argv and the environment. */
int ctl_args_parse(struct ctl_args *args, int argc, char **argv, struct ctl_text *problem);
/* The whole query: for diff with top (0: all) and the format. */
void ctl_args_query(const struct ctl_args *args, long top, bool csv, struct ctl_text *out);
void ctl_args_deinit(struct ctl_args *args);
void ctl_args_help(enum ctl_command_id command, struct ctl_text *out);

#endif
