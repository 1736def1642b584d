/* See args_table.h. */
#include "ctl/args_table.h"

#include "ctl/format.h"

enum { WIDTH = 80, HELP_COLUMN = 28 };

const struct ctl_command ctl_commands[CTL_COMMANDS] = {
    [CTL_BUCKETS] = {"buckets", NULL, "GET", "/v1/buckets", "the time of each function in each bucket"},
    [CTL_TOP] = {"top", NULL, "GET", "/v1/top", "the functions of a range, largest first"},
    [CTL_DIFF] = {"diff", NULL, "GET", "/v1/diff", "what changed between two ranges, per profile"},
    [CTL_FUNCTIONS] = {"functions", NULL, "GET", "/v1/functions", "the functions known, where and when"},
    [CTL_LABELS] = {"labels", NULL, "GET", "/v1/labels", "the label sets seen, when and how often"},
    [CTL_STATUS] = {"status", NULL, "GET", "/v1/status", "what the daemon is and how it does"},
    [CTL_REJECTS] = {"rejects", NULL, "GET", "/v1/rejects", "the last messages that were rejected, and why"},
    [CTL_FLUSH] = {"flush", NULL, "POST", "/v1/flush", "commit what is pending to stable storage"},
    [CTL_BACKUP] = {"backup", "FILE", "POST", "/v1/backup", "a copy of the database, while the daemon goes on"},
    [CTL_REGRID] = {"regrid", "FILE", "POST", "/v1/regrid", "a copy of the database with wider buckets"},
    [CTL_DELETE] = {"delete", NULL, "POST", "/v1/delete", "delete data; without --yes only say what would go"},
};

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
     "the range compared with: 2h..1h (so long ago), last:15m, or TIME..TIME, where one may be left out"},
    {"after", "RANGE", D, PARAMETER, "after", "the range compared, likewise"},
    {"before-label", "KEY=VALUE", D, LABEL, "before.label.", "before: only profiles with this label"},
    {"after-label", "KEY=VALUE", D, LABEL, "after.label.", "after: likewise; both may be repeated"},
    {"from", "TIME", B | T | X, PARAMETER, "from", "start: epoch seconds, ISO 8601, now, or -15m"},
    {"to", "TIME", B | T | X, PARAMETER, "to", "end, not included"},
    {"last", "DURATION", B | T | X, PARAMETER, "last", "from that long ago to now: 90s, 15m, 1h, 7d"},
    {"metric", "NAME", B | T | D, PARAMETER, "metric", "cumtime, tottime, ncalls or pcalls"},
    {"function", "GLOB", B | T | D | F | X, REPEATED, "function", "only functions that match; may be repeated"},
    {"label", "KEY=VALUE", B | T | D | X, LABEL, "label.", "only profiles with this label; may be repeated"},
    {"by", "WHAT", B | T | D, PARAMETER, "by", "function, location or label.KEY (diff: no label)"},
    {"top", "N", B | T | D, TOP, "top", "the N largest, the rest summed as other (diff in a table: 20 unless given)"},
    {"fail-over", "PERCENT", D, FAIL_OVER, NULL,
     "exit code 1 where a function, shown or not, grew by over so much per profile, or is new"},
    {"ignore-below", "DURATION", D, IGNORE_BELOW, NULL,
     "growth per profile that is none to --fail-over: 1ms (a number, of ncalls and pcalls)"},
    {"time-slice", "DURATION", B | G, PARAMETER, "time_slice", "wider buckets: a multiple of the stored width"},
    {"fill", NULL, B, FIXED, "fill=true", "buckets without data too"},
    {"fresh", NULL, B | T | D | F | L, FIXED, "fresh=true", "include all received so far (default on the socket)"},
    {"no-fresh", NULL, B | T | D | F | L, FIXED, "fresh=false", "what is stored will do: never waits for a commit"},
    {"chart", NULL, B, CHART, NULL, "a stacked bar per bucket (top 8 unless --top says)"},
    {"force", NULL, S, FORCE, NULL, "replace FILE where it is there"},
    {"yes", NULL, X, YES, NULL, "do delete it"},
    {"format", "FORMAT", ALL & ~S, FORMAT, NULL, "table (default on a terminal), json, csv (buckets, top, diff)"},
    {"watch", "SECONDS", READS, WATCH, NULL, "repeat until interrupted"},
    {"color", "WHEN", ALL & ~S, COLOR, NULL, "auto, always or never"},
    {"socket", "PATH", ALL, SOCKET, NULL, "control socket (default $TIMESLICED_SOCKET, else " CTL_DEFAULT_SOCKET ")"},
    {"url", "URL", ALL, URL, NULL, "the daemon's HTTP address instead of its socket"},
    {"help", NULL, ALL, HELP, NULL, "this text, or that of a command"},
    {"version", NULL, ALL, VERSION, NULL, "the version of this program"},
};

_Static_assert(sizeof(ctl_options) / sizeof(ctl_options[0]) == CTL_OPTIONS, "CTL_OPTIONS is their number");

const struct ctl_command *ctl_command(enum ctl_command_id id)
{
    return &ctl_commands[id];
}

struct words {
    enum ctl_command_id command;
    const char *words;
};

static const struct words examples[] = {
    {CTL_BUCKETS, "buckets --last 1h --time-slice 1m --chart"},
    {CTL_BUCKETS, "buckets --from -15m --metric ncalls --label service=web"},
    {CTL_TOP, "top --last 1h --top 10 --by location"},
    {CTL_DIFF, "diff --before 2h..1h --after last:1h"},
    {CTL_DIFF, "diff --before-label v=1 --after-label v=2 --fail-over 20%"},
    {CTL_BACKUP, "backup /var/backups/timesliced.db"},
    {CTL_REGRID, "regrid minutes.db --time-slice 60s"},
    {CTL_DELETE, "delete --label service=old --to 2026-01-31 --yes"},
};

static const struct words notes[] = {
    {CTL_DIFF, "A change per profile is split into what comes of calling the function more often and what of each call "
               "being slower; negative: less often, faster. With --fail-over, the functions at fault are named on "
               "standard error, the largest growth first; a side without any profile fails too, and --watch ends at "
               "the first failure."},
    {CTL_BACKUP, "FILE appears whole and on stable storage, or not at all. - in its place: to standard output."},
    {CTL_REGRID, "FILE appears whole and on stable storage, or not at all. - in its place: to standard output. To use "
                 "it, stop the daemon, put it in place of the database, and set aggregation.time_slice."},
    {CTL_DELETE, "Without --yes nothing is deleted, and what would be is shown. Bounds have to lie between buckets of "
                 "every width that is kept there."},
};

void ctl_args_help(enum ctl_command_id command, struct ctl_text *out)
{
    bool one = command != CTL_COMMANDS;
    struct ctl_text line = {0}, help = {0};
    const char *operand = one ? ctl_commands[command].operand : NULL;
    ctl_text_printf(out, "Usage: timeslicectl [--socket PATH | --url URL] %s%s%s [OPTIONS]\n\n",
                    one ? ctl_commands[command].name : "COMMAND", operand ? " " : "", operand ? operand : "");
    if (one) {
        ctl_text_printf(out, "%s: %s.\n\nOptions:\n", ctl_commands[command].name, ctl_commands[command].help);
    } else {
        ctl_text_puts(out,
                      "Asks timesliced, the statsd for Python profiles, through its control socket.\n\nCommands:\n");
        for (int i = 0; i < CTL_COMMANDS; i++)
            ctl_text_printf(out, "  %-11s %s\n", ctl_commands[i].name, ctl_commands[i].help);
        ctl_text_puts(out, "\nOptions (timeslicectl COMMAND --help shows those of a command):\n");
    }
    for (int i = 0; i < CTL_OPTIONS; i++) {
        const struct ctl_option *o = &ctl_options[i];
        if (one && !(o->commands & 1u << command))
            continue;
        ctl_text_reset(&help);
        ctl_text_printf(&line, "  --%s %s", o->name, o->value ? o->value : "");
        ctl_wrap(&help, o->help, WIDTH, HELP_COLUMN);
        int left = ctl_width(ctl_text_str(&line));
        ctl_text_puts(out, ctl_text_str(&line));
        ctl_text_spaces(out, HELP_COLUMN - left);
        ctl_text_puts(out, ctl_text_str(&help) + (help.len ? HELP_COLUMN : 0)); /* the first line is begun */
        ctl_text_reset(&line);
    }
    const char *example = NULL;
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++)
        if (!one || examples[i].command == command) {
            ctl_text_printf(out, "%s  timeslicectl %s\n", example ? "" : "\nExamples:\n", examples[i].words);
            example = examples[i].words;
        }
    for (size_t i = 0; one && i < sizeof(notes) / sizeof(notes[0]); i++)
        if (notes[i].command == command) {
            ctl_text_putc(out, '\n');
            ctl_wrap(out, notes[i].words, WIDTH, 0);
        }
    if (!one) {
        ctl_text_putc(out, '\n');
        ctl_wrap(
            out,
            "Exit codes: 0; 1 an error from the daemon, an answer that broke off, or what --fail-over finds; 2 wrong "
            "usage; 3 no daemon reached.",
            WIDTH, 0);
    }
    out->failed = out->failed || line.failed || help.failed;
    ctl_text_deinit(&line);
    ctl_text_deinit(&help);
}
