/* The table of commands: one row each, used by parsing (args.c), --help (help.c) and the requests. */
#ifndef CTL_COMMANDS_H
#define CTL_COMMANDS_H

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

struct ctl_command {
    const char *name;
    const char *operand; /* its name in --help; NULL: the command takes none */
    const char *method;  /* of the HTTP request */
    const char *path;
    const char *help;
};

extern const struct ctl_command ctl_commands[CTL_COMMANDS];

#endif
