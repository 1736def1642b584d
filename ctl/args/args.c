/* See args.h. */
#include "ctl/args/args.h"

#include "ctl/args/options.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void ctl_args_deinit(struct ctl_args *args)
{
    ctl_text_deinit(&args->query);
    ctl_text_deinit(&args->before_labels);
    ctl_text_deinit(&args->after_labels);
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

void ctl_args_query(const struct ctl_args *args, long top, bool csv, struct ctl_text *out)
{
    assert(!args->query.failed);
    ctl_text_reset(out);
    ctl_text_puts(out, ctl_text_str(&args->query));
    if (args->command != CTL_DIFF)
        return;
    if (top > 0)
        ctl_text_printf(out, "%stop=%ld", out->len ? "&" : "", top);
    if (csv)
        ctl_text_printf(out, "%sformat=csv", out->len ? "&" : "");
}

/* CTL_USAGE with the message. */
__attribute__((format(printf, 2, 3))) static int usage(struct ctl_text *problem, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    ctl_text_vprintf(problem, format, args);
    va_end(args);
    return CTL_USAGE;
}

/* The index of value among the names, which end with NULL; -1 with the message. */
static int choose(const struct ctl_option *o, const char *value, const char *const *names, struct ctl_text *problem)
{
    for (int i = 0; names[i]; i++)
        if (!strcmp(value, names[i]))
            return i;
    usage(problem, "--%s: %s is not one of: %s", o->name, *value ? value : "\"\"", o->help);
    return -1;
}

/* A number with the suffix or without it. */
static bool parse_number(const char *value, char suffix, double min, double max, double *ret_number)
{
    char *end;
    double number = strtod(value, &end);
    if (end == value)
        return false;
    if (*end == suffix)
        end++;
    if (*end || !(number >= min && number <= max))
        return false;
    *ret_number = number;
    return true;
}

/* Adds KEY=VALUE to the query; for diff also to the labels shown above its table. */
static int apply_label(struct ctl_args *args, const struct ctl_option *o, const char *value, struct ctl_text *problem)
{
    const char *equals = strchr(value, '=');
    if (!equals || equals == value)
        return usage(problem, "--%s: %s is not KEY=VALUE", o->name, value);
    add_parameter(args, o->parameter, value, (size_t)(equals - value), equals + 1);
    if (*o->name != 'l') {
        struct ctl_text *labels = *o->name == 'b' ? &args->before_labels : &args->after_labels;
        ctl_text_printf(labels, "%s%s", labels->len ? ", " : "", value);
    }
    return 0;
}

/* The durations of docs/interfaces.md. *ret_unit: whether a unit was given. */
static bool parse_duration(const char *value, double *ret_seconds, bool *ret_unit)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"", 1}, {"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}, {"w", 604800}, {"y", 31536000}};
    char *end;
    double number = strtod(value, &end);
    if (end == value || !(number >= 0 && number <= 1e12))
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (!strcmp(end, units[i].name)) {
            *ret_seconds = number * units[i].seconds;
            *ret_unit = *end;
            return true;
        }
    return false;
}

/* The kinds whose value is one of a few names. */
static int apply_choice(struct ctl_args *args, const struct ctl_option *o, const char *value, struct ctl_text *problem)
{
    static const char *const formats[] = {"table", "json", "csv", NULL};
    static const char *const colors[] = {"auto", "always", "never", NULL};
    int choice = choose(o, value, o->kind == FORMAT ? formats : colors, problem);
    if (choice < 0)
        return CTL_USAGE;
    if (o->kind == FORMAT)
        args->format = (enum ctl_format)(CTL_FORMAT_TABLE + choice);
    else
        args->color = (enum ctl_color)choice;
    return 0;
}

/* The kinds whose value is a number that the program itself uses. */
static int apply_number(struct ctl_args *args, const struct ctl_option *o, const char *value, struct ctl_text *problem)
{
    bool unit;
    if (o->kind == FAIL_OVER && !parse_number(value, '%', 0, 1e9, &args->fail_over))
        return usage(problem, "--fail-over: %s is not a percentage from 0", value);
    if (o->kind == IGNORE_BELOW && !parse_duration(value, &args->ignore_below, &unit))
        return usage(problem, "--ignore-below: %s is not a duration such as 1ms or 0.5s", value);
    if (o->kind == WATCH && !parse_number(value, 's', 0.1, 86400, &args->watch))
        return usage(problem, "--watch: %s is not a number of seconds from 0.1 to 86400", value);
    return 0;
}

static int apply(struct ctl_args *args, const struct ctl_option *o, const char *value, struct ctl_text *problem)
{
    switch (o->kind) {
    case PARAMETER:
    case FIXED:
    case TOP:
        break; /* add_given adds them when all arguments are parsed */
    case REPEATED:
        add_parameter(args, "", o->parameter, strlen(o->parameter), value);
        break;
    case LABEL:
        return apply_label(args, o, value, problem);
    case FAIL_OVER:
    case IGNORE_BELOW:
    case WATCH:
        return apply_number(args, o, value, problem);
    case FORMAT:
    case COLOR:
        return apply_choice(args, o, value, problem);
    case FORCE:
        args->force = true;
        break;
    case YES:
        args->yes = true;
        break;
    case SOCKET:
    case URL:
        if (!*value)
            return usage(problem, "--%s: the value must not be empty", o->name);
        *(o->kind == URL ? &args->url : &args->socket) = value;
        break;
    case CHART:
        args->chart = true;
        break;
    case HELP:
        args->action = CTL_SHOW_HELP;
        break;
    case VERSION:
        args->action = args->action == CTL_SHOW_HELP ? CTL_SHOW_HELP : CTL_SHOW_VERSION;
        break;
    }
    return 0;
}

static const struct ctl_option *find_option(const char *name, size_t len)
{
    for (int i = 0; i < CTL_OPTIONS; i++)
        if (strlen(ctl_options[i].name) == len && !strncmp(ctl_options[i].name, name, len))
            return &ctl_options[i];
    return NULL;
}

static int parse_option(struct ctl_args *args, char **argv, int argc, int *at, struct ctl_text *problem)
{
    const char *text = argv[*at];
    if (!strcmp(text, "-h"))
        text = "--help";
    size_t len = strncmp(text, "--", 2) ? 0 : strcspn(text + 2, "=");
    const struct ctl_option *o = len ? find_option(text + 2, len) : NULL;
    if (!o)
        return usage(problem, "unknown option %.*s", len ? (int)(len + 2) : 60, text);
    const char *value = text[2 + len] == '=' ? text + 3 + len : NULL;
    if (!o->value && value)
        return usage(problem, "--%s does not take a value", o->name);
    if (o->value && !value) { /* "-15m" may be a value; "--top" means that the value is missing */
        if (*at + 1 >= argc || !strncmp(argv[*at + 1], "--", 2))
            return usage(problem, "--%s needs a value: --%s %s", o->name, o->name, o->value);
        value = argv[++*at];
    }
    args->given[o - ctl_options] = value ? value : "";
    return apply(args, o, value, problem);
}

static const char *given(const struct ctl_args *args, const char *name)
{
    const struct ctl_option *option = find_option(name, strlen(name));
    assert(option); /* name is a literal of this file */
    return args->given[option - ctl_options];
}

static int check_diff(struct ctl_args *args, struct ctl_text *problem)
{
    const char *top = given(args, "top"), *ignore = given(args, "ignore-below");
    bool counts = args->metric && (!strcmp(args->metric, "ncalls") || !strcmp(args->metric, "pcalls")), unit = false;
    char *end;
    if (!given(args, "before") && !given(args, "after") && !args->before_labels.len && !args->after_labels.len)
        return usage(problem, "diff needs two ranges (--before, --after) or labels (--before-label, --after-label)");
    if (top) { /* checked here because it is not always sent */
        args->top = strtol(top, &end, 10);
        if (end == top || *end || args->top < 1)
            return usage(problem, "--top: %s is not a number from 1", top);
    }
    if (ignore && args->fail_over < 0)
        return usage(problem, "--ignore-below needs --fail-over");
    if (ignore && parse_duration(ignore, &args->ignore_below, &unit) && unit && counts)
        return usage(problem, "--ignore-below: %s is a duration, but %s counts calls: give a number", ignore,
                     args->metric);
    return 0;
}

/* What a single command requires. */
static int check_command(struct ctl_args *args, struct ctl_text *problem)
{
    const struct ctl_command *command = &ctl_commands[args->command];
    if (command->operand && !args->operand)
        return usage(problem, "%s needs the file to write: timeslicectl %s %s", command->name, command->name,
                     command->operand);
    if (args->command == CTL_REGRID && !given(args, "time-slice"))
        return usage(problem, "regrid needs the new bucket width: --time-slice DURATION");
    if (args->command == CTL_DELETE && !args->query.len && !given(args, "from") && !given(args, "to") &&
        !given(args, "last"))
        return usage(problem, "delete needs at least one of --function, --label, --from, --to, --last");
    return args->command == CTL_DIFF ? check_diff(args, problem) : 0;
}

static int exclude(struct ctl_text *problem, const char *one, const char *other)
{
    return usage(problem, "%s cannot be combined with %s", one, other);
}

/* Adds the parameters that are sent once; the last value given counts. */
static void add_given(struct ctl_args *args)
{
    for (int i = 0; i < CTL_OPTIONS; i++) {
        const struct ctl_option *o = &ctl_options[i];
        if (!args->given[i] || (o->kind == TOP && args->command == CTL_DIFF))
            continue;
        if (o->kind == PARAMETER || o->kind == TOP)
            add_parameter(args, "", o->parameter, strlen(o->parameter), args->given[i]);
        else if (o->kind == FIXED)
            ctl_text_printf(&args->query, "%s%s", args->query.len ? "&" : "", o->parameter);
    }
    if (args->chart && !given(args, "top"))
        add_parameter(args, "", "top", 3, "8");
    if (args->format == CTL_FORMAT_CSV && args->command != CTL_DIFF)
        add_parameter(args, "", "format", 6, "csv");
}

/* The checks that need all arguments, and what follows from them. */
static int finish(struct ctl_args *args, struct ctl_text *problem)
{
    for (int i = 0; i < CTL_OPTIONS; i++)
        if (args->given[i] && args->command != CTL_COMMANDS && !(ctl_options[i].commands & 1u << args->command))
            return usage(problem, "%s does not accept --%s", ctl_commands[args->command].name, ctl_options[i].name);
    if (args->action != CTL_RUN)
        return 0;
    if (args->command == CTL_COMMANDS) {
        ctl_text_puts(problem, "no command given:");
        for (int i = 0; i < CTL_COMMANDS; i++)
            ctl_text_printf(problem, "%s %s", i ? "," : "", ctl_commands[i].name);
        return CTL_USAGE;
    }
    if (args->socket && args->url)
        return exclude(problem, "--socket", "--url");
    bool has_csv = args->command == CTL_BUCKETS || args->command == CTL_TOP || args->command == CTL_DIFF;
    if (args->format == CTL_FORMAT_CSV && !has_csv)
        return usage(problem, "%s has no CSV format (only buckets, top and diff have)",
                     ctl_commands[args->command].name);
    if (args->chart && (args->format == CTL_FORMAT_CSV || args->format == CTL_FORMAT_JSON))
        return exclude(problem, "--chart", "--format json or csv");
    if (given(args, "fresh") && given(args, "no-fresh"))
        return exclude(problem, "--fresh", "--no-fresh");
    args->by = given(args, "by");
    args->metric = given(args, "metric");
    int rc = check_command(args, problem);
    if (rc)
        return rc;
    add_given(args);
    if (args->query.failed || args->before_labels.failed || args->after_labels.failed)
        return usage(problem, "out of memory"); /* never a request without one of its filters */

    const char *from_env = getenv("TIMESLICED_SOCKET");
    if (!args->socket && !args->url)
        args->socket = from_env && *from_env ? from_env : CTL_DEFAULT_SOCKET;
    return 0;
}

/* The command, or its operand. */
static int parse_operand(struct ctl_args *args, const char *word, struct ctl_text *problem)
{
    if (args->command != CTL_COMMANDS && ctl_commands[args->command].operand && !args->operand) {
        if (!*word)
            return usage(problem, "%s must not be empty", ctl_commands[args->command].operand);
        args->operand = word;
        return 0;
    }
    if (args->command != CTL_COMMANDS)
        return usage(problem, "unexpected argument %s after the command %s", word, ctl_commands[args->command].name);
    int id = 0;
    while (id < CTL_COMMANDS && strcmp(word, ctl_commands[id].name) != 0)
        id++;
    if (id == CTL_COMMANDS)
        return usage(problem, "unknown command %s", *word ? word : "\"\"");
    args->command = (enum ctl_command_id)id;
    return 0;
}

int ctl_args_parse(struct ctl_args *args, int argc, char **argv, struct ctl_text *problem)
{
    *args = (struct ctl_args){.command = CTL_COMMANDS, .fail_over = -1};
    args->given = calloc(CTL_OPTIONS, sizeof(*args->given));
    if (!args->given)
        return usage(problem, "out of memory");
    for (int i = 1; i < argc; i++) {
        bool is_option = argv[i][0] == '-' && argv[i][1];
        int rc = is_option ? parse_option(args, argv, argc, &i, problem) : parse_operand(args, argv[i], problem);
        if (rc)
            return rc;
    }
    return finish(args, problem);
}
