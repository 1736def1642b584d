/* See help.h. */
#include "ctl/args/help.h"

#include "ctl/args/options.h"
#include "ctl/base/display.h"

#include <assert.h>

enum { WIDTH = 80, HELP_COLUMN = 28 };

struct text_of {
    enum ctl_command_id command;
    const char *text;
};

static const struct text_of examples[] = {
    {CTL_BUCKETS, "buckets --last 1h --time-slice 1m --chart"},
    {CTL_BUCKETS, "buckets --from -15m --metric ncalls --label service=web"},
    {CTL_TOP, "top --last 1h --top 10 --by location"},
    {CTL_DIFF, "diff --before 2h..1h --after last:1h"},
    {CTL_DIFF, "diff --before-label v=1 --after-label v=2 --fail-over 20%"},
    {CTL_BACKUP, "backup /var/backups/timesliced.db"},
    {CTL_REGRID, "regrid minutes.db --time-slice 60s"},
    {CTL_DELETE, "delete --label service=old --to 2026-01-31 --yes"},
};

static const struct text_of notes[] = {
    {CTL_DIFF, "Each change per profile is split into two parts: the function was called more often, and each call was "
               "slower. Negative: called less often, faster. --fail-over names the functions that grew too much on "
               "standard error, the largest growth first. It also fails if a range has no profiles. With --watch, "
               "the first failure ends the program."},
    {CTL_BACKUP, "FILE is created complete and on stable storage, or not at all. - writes to standard output."},
    {CTL_REGRID, "FILE is created complete and on stable storage, or not at all. - writes to standard output. To use "
                 "FILE, stop the daemon, replace the database with it, and set aggregation.time_slice."},
    {CTL_DELETE, "Without --yes nothing is deleted; the output shows what would be. The ends of the range must not cut "
                 "a bucket of any level that is kept there."},
};

/* The option, and its help from HELP_COLUMN on. */
static void put_option(const struct ctl_option *option, struct ctl_text *out)
{
    struct ctl_text left = {0}, help = {0};
    ctl_text_printf(&left, "  --%s %s", option->name, option->value ? option->value : "");
    ctl_wrap(&help, option->help, WIDTH, HELP_COLUMN);
    int width = ctl_width(ctl_text_str(&left));
    assert(width < HELP_COLUMN);
    ctl_text_puts(out, ctl_text_str(&left));
    ctl_text_spaces(out, HELP_COLUMN - width);
    ctl_text_puts(out, ctl_text_str(&help) + (help.len ? HELP_COLUMN : 0)); /* without the indent of the first line */
    out->failed = out->failed || left.failed || help.failed;
    ctl_text_deinit(&left);
    ctl_text_deinit(&help);
}

void ctl_help(enum ctl_command_id command, struct ctl_text *out)
{
    bool one = command != CTL_COMMANDS;
    const char *operand = one ? ctl_commands[command].operand : NULL;
    ctl_text_printf(out, "Usage: timeslicectl [--socket PATH | --url URL] %s%s%s [OPTIONS]\n\n",
                    one ? ctl_commands[command].name : "COMMAND", operand ? " " : "", operand ? operand : "");
    if (one) {
        ctl_text_printf(out, "%s: %s.\n\nOptions:\n", ctl_commands[command].name, ctl_commands[command].help);
    } else {
        ctl_text_puts(out, "Queries and controls timesliced, the statsd for Python profiles.\n\nCommands:\n");
        for (int i = 0; i < CTL_COMMANDS; i++)
            ctl_text_printf(out, "  %-11s %s\n", ctl_commands[i].name, ctl_commands[i].help);
        ctl_text_puts(out, "\nOptions (timeslicectl COMMAND --help lists those of one command):\n");
    }
    for (int i = 0; i < CTL_OPTIONS; i++)
        if (!one || ctl_options[i].commands & 1u << command)
            put_option(&ctl_options[i], out);
    const char *example = NULL;
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++)
        if (!one || examples[i].command == command) {
            ctl_text_printf(out, "%s  timeslicectl %s\n", example ? "" : "\nExamples:\n", examples[i].text);
            example = examples[i].text;
        }
    for (size_t i = 0; one && i < sizeof(notes) / sizeof(notes[0]); i++)
        if (notes[i].command == command) {
            ctl_text_putc(out, '\n');
            ctl_wrap(out, notes[i].text, WIDTH, 0);
        }
    if (!one) {
        ctl_text_putc(out, '\n');
        ctl_wrap(out,
                 "Exit codes: 0 success; 1 an error from the daemon, an incomplete response, or growth found by "
                 "--fail-over; 2 wrong usage; 3 the daemon cannot be reached.",
                 WIDTH, 0);
    }
}
