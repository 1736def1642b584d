/* The tables of commands and options, which drive parsing (args.c) and --help (args_table.c). */
#ifndef CTL_ARGS_TABLE_H
#define CTL_ARGS_TABLE_H

#include "ctl/args.h"

#define CTL_DEFAULT_SOCKET "/run/timesliced/control.sock"

enum ctl_option_kind {
    PARAMETER,
    REPEATED,
    LABEL,
    FIXED,
    TOP,
    SOCKET,
    URL,
    FORMAT,
    CHART,
    WATCH,
    COLOR,
    FAIL_OVER,
    IGNORE_BELOW,
    FORCE,
    YES,
    HELP,
    VERSION
};

struct ctl_option {
    const char *name;
    const char *value; /* what --help calls the value; NULL: takes none */
    unsigned commands; /* a bit for each command that takes it */
    enum ctl_option_kind kind;
    const char *parameter; /* FIXED: with its value; LABEL: what stands before the key */
    const char *help;
};

extern const struct ctl_command ctl_commands[CTL_COMMANDS];
enum { CTL_OPTIONS = 28 };
extern const struct ctl_option ctl_options[CTL_OPTIONS];

#endif
