/* See args.h. */
#include "ctl/args.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SOCKET "/run/timesliced/control.sock"

static const struct ctl_command commands[CTL_COMMANDS] = {
    [CTL_BUCKETS] = {"buckets", "GET", "/v1/buckets", "the time of each function in each bucket"},
    [CTL_TOP] = {"top", "GET", "/v1/top", "the functions of a range, largest first"},
    [CTL_FUNCTIONS] = {"functions", "GET", "/v1/functions", "the functions known, and where they are"},
    [CTL_LABELS] = {"labels", "GET", "/v1/labels", "the label sets seen, when and how often"},
    [CTL_STATUS] = {"status", "GET", "/v1/status", "what the daemon is and how it does"},
    [CTL_REJECTS] = {"rejects", "GET", "/v1/rejects", "the last messages that were rejected, and why"},
    [CTL_FLUSH] = {"flush", "POST", "/v1/flush", "commit what is pending to stable storage"},
};

enum kind { PARAMETER, REPEATED, LABEL, FIXED, SOCKET, URL, FORMAT, CHART, WATCH, COLOR, HELP, VERSION };

enum {
    B = 1 << CTL_BUCKETS,
    T = 1 << CTL_TOP,
    F = 1 << CTL_FUNCTIONS,
    L = 1 << CTL_LABELS,
    ALL = (1 << CTL_COMMANDS) - 1,
    READS = ALL & ~(1 << CTL_FLUSH),
};

static const struct option {
    const char *name;
    const char *value; /* what --help calls the value; NULL: takes none */
    unsigned commands;
    enum kind kind;
    const char *parameter; /* FIXED: with its value */
    const char *help;
} options[] = {
    {"from", "TIME", B | T, PARAMETER, "from", "start: epoch seconds, ISO 8601, now, or -15m"},
    {"to", "TIME", B | T, PARAMETER, "to", "end, not included"},
    {"last", "DURATION", B | T, PARAMETER, "last", "from that long ago to now: 90s, 15m, 1h, 7d"},
    {"metric", "NAME", B | T, PARAMETER, "metric", "cumtime, tottime, ncalls or pcalls"},
    {"function", "GLOB", B | T | F, REPEATED, "function", "only functions that match; may be repeated"},
    {"label", "KEY=VALUE", B | T, LABEL, NULL, "only profiles with this label; may be repeated"},
    {"by", "WHAT", B | T, PARAMETER, "by", "function, location or label.KEY"},
    {"top", "N", B | T, PARAMETER, "top", "the N largest, the rest summed as other"},
    {"time-slice", "DURATION", B, PARAMETER, "time_slice", "wider buckets: a multiple of the stored width"},
    {"fill", NULL, B, FIXED, "fill=true", "buckets without data too"},
    {"fresh", NULL, B | T | F | L, FIXED, "fresh=true", "include all received so far (default on the socket)"},
    {"no-fresh", NULL, B | T | F | L, FIXED, "fresh=false", "what is stored will do: never waits for a commit"},
    {"chart", NULL, B, CHART, NULL, "a stacked bar per bucket (top 8 unless --top says)"},
    {"format", "FORMAT", ALL, FORMAT, NULL, "table (default on a terminal), json, csv (buckets, top)"},
    {"watch", "SECONDS", READS, WATCH, NULL, "repeat until interrupted"},
    {"color", "WHEN", ALL, COLOR, NULL, "auto, always or never"},
    {"socket", "PATH", ALL, SOCKET, NULL, "control socket (default $TIMESLICED_SOCKET, else\n" DEFAULT_SOCKET ")"},
    {"url", "URL", ALL, URL, NULL, "the daemon's HTTP address instead of its socket"},
    {"help", NULL, ALL, HELP, NULL, "this text, or that of a command"},
    {"version", NULL, ALL, VERSION, NULL, "the version of this program"},
};
enum { N_OPTIONS = sizeof(options) / sizeof(options[0]) };

const struct ctl_command *ctl_command(enum ctl_command_id id)
{
    return &commands[id];
}

void ctl_args_deinit(struct ctl_args *args)
{
    ctl_text_deinit(&args->query);
    free(args->given);
    args->given = NULL;
}

static void encode(struct ctl_text *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-._~:", c)))
            ctl_text_putc(out, (char)c);
        else
            ctl_text_printf(out, "%%%02X", c);
    }
}

static void add_parameter(struct ctl_args *args, const char *prefix, const char *name, size_t name_len,
                          const char *value)
{
    ctl_text_puts(&args->query, args->query.len ? "&" : "");
    ctl_text_puts(&args->query, prefix);
    encode(&args->query, name, name_len);
    ctl_text_putc(&args->query, '=');
    encode(&args->query, value, strlen(value));
}

static int wrong_choice(struct ctl_text *problem, const struct option *o, const char *value)
{
    ctl_text_printf(problem, "--%s: %s is not one of them: %s", o->name, *value ? value : "(nothing)", o->help);
    return CTL_USAGE;
}

static int apply(struct ctl_args *args, const struct option *o, const char *value, struct ctl_text *problem)
{
    char *end;
    const char *equals;
    switch (o->kind) {
    case PARAMETER:
    case FIXED:
        break; /* the last one given counts: added once all are known */
    case REPEATED:
        add_parameter(args, "", o->parameter, strlen(o->parameter), value);
        break;
    case LABEL:
        equals = strchr(value, '=');
        if (!equals || equals == value) {
            ctl_text_printf(problem, "--label: %s is not KEY=VALUE", value);
            return CTL_USAGE;
        }
        add_parameter(args, "label.", value, (size_t)(equals - value), equals + 1);
        break;
    case SOCKET:
    case URL:
        if (!*value) {
            ctl_text_printf(problem, "--%s needs a value that is not empty", o->name);
            return CTL_USAGE;
        }
        *(o->kind == URL ? &args->url : &args->socket) = value;
        break;
    case FORMAT:
        args->format = !strcmp(value, "table")  ? CTL_FORMAT_TABLE
                       : !strcmp(value, "json") ? CTL_FORMAT_JSON
                       : !strcmp(value, "csv")  ? CTL_FORMAT_CSV
                                                : CTL_FORMAT_AUTO;
        return args->format == CTL_FORMAT_AUTO ? wrong_choice(problem, o, value) : 0;
    case COLOR:
        if (strcmp(value, "auto") != 0 && strcmp(value, "always") != 0 && strcmp(value, "never") != 0)
            return wrong_choice(problem, o, value);
        args->color = *value == 'n' ? CTL_COLOR_NEVER : value[1] == 'l' ? CTL_COLOR_ALWAYS : CTL_COLOR_AUTO;
        break;
    case WATCH:
        args->watch = strtod(value, &end);
        if (*end == 's' && end != value)
            end++;
        if (end == value || *end || !(args->watch >= 0.1 && args->watch <= 86400)) {
            ctl_text_printf(problem, "--watch: %s is not a number of seconds from 0.1 to 86400", value);
            return CTL_USAGE;
        }
        break;
    case CHART:
        args->chart = true;
        break;
    case HELP:
        args->action = CTL_HELP;
        break;
    case VERSION:
        args->action = args->action == CTL_HELP ? CTL_HELP : CTL_VERSION_ONLY;
        break;
    }
    return 0;
}

static const struct option *find_option(const char *name, size_t len)
{
    for (int i = 0; i < N_OPTIONS; i++)
        if (strlen(options[i].name) == len && !strncmp(options[i].name, name, len))
            return &options[i];
    return NULL;
}

static int parse_option(struct ctl_args *args, char **argv, int argc, int *at, struct ctl_text *problem)
{
    const char *text = argv[*at];
    if (!strcmp(text, "-h"))
        text = "--help";
    size_t len = strncmp(text, "--", 2) ? 0 : strcspn(text + 2, "=");
    const struct option *o = len ? find_option(text + 2, len) : NULL;
    if (!o) {
        ctl_text_printf(problem, "there is no option %.*s", len ? (int)(len + 2) : 60, text);
        return CTL_USAGE;
    }
    const char *value = text[2 + len] == '=' ? text + 3 + len : NULL;
    if (!o->value && value) {
        ctl_text_printf(problem, "--%s takes no value", o->name);
        return CTL_USAGE;
    }
    if (o->value && !value) { /* "-15m" is a value, "--top" is the next option: the value was forgotten */
        if (*at + 1 >= argc || !strncmp(argv[*at + 1], "--", 2)) {
            ctl_text_printf(problem, "--%s needs a value: --%s %s", o->name, o->name, o->value);
            return CTL_USAGE;
        }
        value = argv[++*at];
    }
    args->given[o - options] = value ? value : "";
    return apply(args, o, value, problem);
}

/* What can only be judged once the whole line is known. */
static int conclude(struct ctl_args *args, struct ctl_text *problem)
{
    for (int i = 0; i < N_OPTIONS; i++)
        if (args->given[i] && args->command != CTL_COMMANDS && !(options[i].commands & 1u << args->command)) {
            ctl_text_printf(problem, "%s does not take --%s", commands[args->command].name, options[i].name);
            return CTL_USAGE;
        }
    if (args->action != CTL_RUN)
        return 0;
    if (args->command == CTL_COMMANDS) {
        ctl_text_puts(problem, "no command given (buckets, top, functions, labels, status, rejects or flush)");
        return CTL_USAGE;
    }
    if (args->socket && args->url) {
        ctl_text_puts(problem, "--socket and --url exclude each other");
        return CTL_USAGE;
    }
    bool is_series = args->command == CTL_BUCKETS || args->command == CTL_TOP;
    if (args->format == CTL_FORMAT_CSV && !is_series) {
        ctl_text_printf(problem, "%s has no csv form (only buckets and top have)", commands[args->command].name);
        return CTL_USAGE;
    }
    if (args->chart && (args->format == CTL_FORMAT_CSV || args->format == CTL_FORMAT_JSON)) {
        ctl_text_puts(problem, "--chart and --format json or csv exclude each other");
        return CTL_USAGE;
    }
    bool has_top = false;
    const char *fresh = NULL;
    for (int i = 0; i < N_OPTIONS; i++) {
        const struct option *o = &options[i];
        if (!args->given[i])
            continue;
        if (o->kind == PARAMETER)
            add_parameter(args, "", o->parameter, strlen(o->parameter), args->given[i]);
        if (o->kind == FIXED && !strncmp(o->parameter, "fresh", 5) && fresh) {
            ctl_text_puts(problem, "--fresh and --no-fresh exclude each other");
            return CTL_USAGE;
        }
        if (o->kind == FIXED)
            ctl_text_printf(&args->query, "%s%s", args->query.len ? "&" : "", o->parameter);
        if (o->kind == FIXED && !strncmp(o->parameter, "fresh", 5))
            fresh = o->parameter;
        has_top = has_top || !strcmp(o->name, "top");
        args->by = !strcmp(o->name, "by") ? args->given[i] : args->by;
    }
    if (args->chart && !has_top)
        add_parameter(args, "", "top", 3, "8");
    if (args->format == CTL_FORMAT_CSV)
        add_parameter(args, "", "format", 6, "csv");

    const char *from_env = getenv("TIMESLICED_SOCKET");
    if (!args->socket && !args->url)
        args->socket = from_env && *from_env ? from_env : DEFAULT_SOCKET;
    return 0;
}

int ctl_args_parse(struct ctl_args *args, int argc, char **argv, struct ctl_text *problem)
{
    *args = (struct ctl_args){.command = CTL_COMMANDS};
    args->given = calloc(N_OPTIONS, sizeof(*args->given));
    if (!args->given) {
        ctl_text_puts(problem, "out of memory");
        return CTL_USAGE;
    }
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1]) {
            int rc = parse_option(args, argv, argc, &i, problem);
            if (rc)
                return rc;
            continue;
        }
        int id = 0;
        while (id < CTL_COMMANDS && strcmp(argv[i], commands[id].name) != 0)
            id++;
        if (args->command != CTL_COMMANDS) {
            ctl_text_printf(problem, "unexpected argument %s after the command %s", argv[i],
                            commands[args->command].name);
            return CTL_USAGE;
        }
        if (id == CTL_COMMANDS) {
            ctl_text_printf(problem, "there is no command %s", *argv[i] ? argv[i] : "\"\"");
            return CTL_USAGE;
        }
        args->command = (enum ctl_command_id)id;
    }
    return conclude(args, problem);
}

void ctl_args_help(enum ctl_command_id command, struct ctl_text *out)
{
    bool one = command != CTL_COMMANDS;
    ctl_text_printf(out, "Usage: timeslicectl [--socket PATH | --url URL] %s [OPTIONS]\n\n",
                    one ? commands[command].name : "COMMAND");
    if (one) {
        const char *help = commands[command].help;
        ctl_text_printf(out, "%s: %s.\n\nOptions:\n", commands[command].name, help);
    } else {
        ctl_text_puts(out,
                      "Asks timesliced, the statsd for Python profiles, through its control socket.\n\nCommands:\n");
        for (int i = 0; i < CTL_COMMANDS; i++)
            ctl_text_printf(out, "  %-11s %s\n", commands[i].name, commands[i].help);
        ctl_text_puts(out, "\nOptions (timeslicectl COMMAND --help shows those of a command):\n");
    }
    for (int i = 0; i < N_OPTIONS; i++) {
        const struct option *o = &options[i];
        if (one && !(o->commands & 1u << command))
            continue;
        char left[40];
        snprintf(left, sizeof(left), "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
        const char *newline = strchr(o->help, '\n');
        int first = newline ? (int)(newline - o->help) : (int)strlen(o->help);
        ctl_text_printf(out, "  %-22s %.*s\n", left, first, o->help);
        if (newline)
            ctl_text_printf(out, "  %-22s %s\n", "", newline + 1);
    }
    if (!one || command == CTL_BUCKETS)
        ctl_text_puts(out, "\nExamples:\n  timeslicectl buckets --last 1h --time-slice 1m --chart\n"
                           "  timeslicectl buckets --from -15m --metric ncalls --label service=web\n");
    if (!one || command == CTL_TOP)
        ctl_text_printf(out, "%s  timeslicectl top --last 1h --top 10 --by location\n", one ? "\nExample:\n" : "");
    if (!one)
        ctl_text_puts(out, "\nExit codes: 0, 1 an error from the daemon, 2 wrong usage, 3 no daemon reached.\n");
}
