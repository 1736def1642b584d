/* The texts of --help, laid out from the tables of commands and options. */
#ifndef CTL_HELP_H
#define CTL_HELP_H

#include "ctl/args/commands.h"
#include "ctl/base/text.h"

/* The help of one command; CTL_COMMANDS: of the program. */
void ctl_help(enum ctl_command_id command, struct ctl_text *out);

#endif
