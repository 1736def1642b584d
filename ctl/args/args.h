/*
 * The command line, parsed and checked. The tables of commands (commands.h) and options (options.h) say what is
 * allowed. Parameters of the daemon are sent as they are: the daemon checks their values.
 */
#ifndef CTL_ARGS_H
#define CTL_ARGS_H

#include "ctl/args/commands.h"
#include "ctl/base/text.h"

#include <stdbool.h>

/* Exit codes other than 0, as in docs/interfaces.md. */
enum { CTL_ERROR = 1, CTL_USAGE = 2, CTL_UNREACHABLE = 3 };

enum ctl_action { CTL_RUN, CTL_SHOW_HELP, CTL_SHOW_VERSION };
enum ctl_format { CTL_FORMAT_AUTO, CTL_FORMAT_TABLE, CTL_FORMAT_JSON, CTL_FORMAT_CSV };
enum ctl_color { CTL_COLOR_AUTO, CTL_COLOR_ALWAYS, CTL_COLOR_NEVER };

enum { CTL_DIFF_ROWS = 20 }; /* rows in the table of diff unless --top is given */

struct ctl_args {
    enum ctl_action action;
    enum ctl_command_id command; /* CTL_COMMANDS: none (only with CTL_SHOW_HELP and CTL_SHOW_VERSION) */
    const char *socket;          /* NULL if url is set */
    const char *url;
    enum ctl_format format;
    enum ctl_color color;
    bool chart;
    double watch;          /* seconds; 0: run once */
    struct ctl_text query; /* "a=b&c=d", encoded; for diff without top and format, which ctl_args_query adds */
    const char *by;        /* NULL: function */
    const char *metric;    /* NULL: cumtime */
    const char *operand;
    struct ctl_text before_labels, after_labels; /* diff: as given, "version=1.2, host=a" */
    long top;                                    /* diff; 0: not given */
    double fail_over;                            /* diff: percent; < 0: not given */
    double ignore_below;                         /* diff: seconds, or calls */
    bool force, yes;
    const char **given; /* indexed like ctl_options: the last value given, "" if it takes none, NULL: not given */
};

/* 0, or CTL_USAGE with a message in problem. args borrows from argv and the environment. deinit in either case. */
int ctl_args_parse(struct ctl_args *args, int argc, char **argv, struct ctl_text *problem);
/* The complete query string; for diff with top (0: all) and the format. If out->failed, it must not be sent. */
void ctl_args_query(const struct ctl_args *args, long top, bool csv, struct ctl_text *out);
void ctl_args_deinit(struct ctl_args *args);

#endif
