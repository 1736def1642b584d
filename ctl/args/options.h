/* The table of options: one row each, used by parsing (args.c) and --help (help.c). */
#ifndef CTL_OPTIONS_H
#define CTL_OPTIONS_H

#define CTL_DEFAULT_SOCKET "/run/timesliced/control.sock"

/* What parsing does with an option. */
enum ctl_option_kind {
    PARAMETER, /* sent to the daemon; the last one given counts */
    REPEATED,  /* sent as often as given */
    LABEL,     /* KEY=VALUE, sent as often as given */
    FIXED,     /* sent with a fixed value */
    TOP,       /* a PARAMETER, which diff does not always send */
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
    const char *value; /* its name in --help; NULL: the option takes none */
    unsigned commands; /* a bit for each command that accepts it */
    enum ctl_option_kind kind;
    const char *parameter; /* of the request. FIXED: with its value; LABEL: the prefix of the key */
    const char *help;
};

enum { CTL_OPTIONS = 28 };
extern const struct ctl_option ctl_options[CTL_OPTIONS];

#endif
