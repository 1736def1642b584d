/* See args.h. */
#include "ctl/args_table.h"

#include <math.h>
#include <stdio.h>
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
    ctl_text_reset(out);
    ctl_text_puts(out, ctl_text_str(&args->query));
    if (args->command != CTL_DIFF)
        return;
    if (top > 0)
        ctl_text_printf(out, "%stop=%ld", out->len ? "&" : "", top);
    if (csv)
        ctl_text_printf(out, "%sformat=csv", out->len ? "&" : "");
}

static int wrong_choice(struct ctl_text *problem, const struct ctl_option *o, const char *value)
{
    ctl_text_printf(problem, "--%s: %s is not one of them: %s", o->name, *value ? value : "(nothing)", o->help);
    return CTL_USAGE;
}

/* KEY=VALUE to a parameter; of diff also to the words of its head. */
static int apply_label(struct ctl_args *args, const struct ctl_option *o, const char *value, struct ctl_text *problem)
{
    const char *equals = strchr(value, '=');
    if (!equals || equals == value) {
        ctl_text_printf(problem, "--%s: %s is not KEY=VALUE", o->name, value);
        return CTL_USAGE;
    }
    add_parameter(args, o->parameter, value, (size_t)(equals - value), equals + 1);
    if (*o->name != 'l') {
        struct ctl_text *labels = *o->name == 'b' ? &args->before_labels : &args->after_labels;
        ctl_text_printf(labels, "%s%s", labels->len ? ", " : "", value);
    }
    return 0;
}

/* Durations as everywhere; *ret_unit: one was given. */
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

static int apply_percent(struct ctl_args *args, const char *value, struct ctl_text *problem)
{
    char *end;
    args->fail_over = strtod(value, &end);
    if (end != value && *end == '%')
        end++;
    if (end != value && !*end && args->fail_over >= 0 && args->fail_over <= 1e9)
        return 0;
    ctl_text_printf(problem, "--fail-over: %s is not a number of percent from 0", value);
    return CTL_USAGE;
}

static int apply(struct ctl_args *args, const struct ctl_option *o, const char *value, struct ctl_text *problem)
{
    char *end;
    bool unit;
    switch (o->kind) {
    case PARAMETER:
    case FIXED:
    case TOP:
        break; /* the last one given counts: added once all are known */
    case REPEATED:
        add_parameter(args, "", o->parameter, strlen(o->parameter), value);
        break;
    case LABEL:
        return apply_label(args, o, value, problem);
    case FAIL_OVER:
        return apply_percent(args, value, problem);
    case IGNORE_BELOW:
        if (parse_duration(value, &args->ignore_below, &unit))
            break;
        ctl_text_printf(problem, "--ignore-below: %s is not a duration such as 1ms or 0.5s", value);
        return CTL_USAGE;
    case FORCE:
        args->force = true;
        break;
    case YES:
        args->yes = true;
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
    args->given[o - ctl_options] = value ? value : "";
    return apply(args, o, value, problem);
}

static const char *given(const struct ctl_args *args, const char *name)
{
    return args->given[find_option(name, strlen(name)) - ctl_options];
}

static int conclude_diff(struct ctl_args *args, struct ctl_text *problem)
{
    const char *top = given(args, "top"), *ignore = given(args, "ignore-below");
    bool counts = args->metric && (!strcmp(args->metric, "ncalls") || !strcmp(args->metric, "pcalls")), unit = false;
    char *end;
    if (!given(args, "before") && !given(args, "after") && !args->before_labels.len && !args->after_labels.len) {
        ctl_text_puts(problem,
                      "diff needs something to compare: --before and --after, or --before-label, --after-label");
        return CTL_USAGE;
    }
    if (top) { /* judged here, because it is not always passed on */
        args->top = strtol(top, &end, 10);
        if (end == top || *end || args->top < 1) {
            ctl_text_printf(problem, "--top: %s is not a number from 1", top);
            return CTL_USAGE;
        }
    }
    if (ignore && args->fail_over < 0) {
        ctl_text_puts(problem, "--ignore-below says what --fail-over ignores: it needs that");
        return CTL_USAGE;
    }
    if (ignore && parse_duration(ignore, &args->ignore_below, &unit) && unit && counts) {
        ctl_text_printf(problem, "--ignore-below: %s is a duration, and %s are calls: give a number", ignore,
                        args->metric);
        return CTL_USAGE;
    }
    return 0;
}

/* What only one command needs. */
static int conclude_command(struct ctl_args *args, struct ctl_text *problem)
{
    const struct ctl_command *command = &ctl_commands[args->command];
    if (command->operand && !args->operand) {
        ctl_text_printf(problem, "%s needs the name of the file to write: timeslicectl %s %s", command->name,
                        command->name, command->operand);
        return CTL_USAGE;
    }
    if (args->command == CTL_REGRID && !given(args, "time-slice")) {
        ctl_text_puts(problem, "regrid needs the new width of the buckets: --time-slice DURATION");
        return CTL_USAGE;
    }
    if (args->command == CTL_DELETE && !args->query.len && !given(args, "from") && !given(args, "to") &&
        !given(args, "last")) {
        ctl_text_puts(problem, "delete needs to know what: --function, --label, --from, --to or --last");
        return CTL_USAGE;
    }
    return args->command == CTL_DIFF ? conclude_diff(args, problem) : 0;
}

static int exclude(struct ctl_text *problem, const char *one, const char *other)
{
    ctl_text_printf(problem, "%s and %s exclude each other", one, other);
    return CTL_USAGE;
}

/* The parameters that are sent once, however often they were given. */
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

/* What can only be judged once the whole line is known. */
static int conclude(struct ctl_args *args, struct ctl_text *problem)
{
    for (int i = 0; i < CTL_OPTIONS; i++)
        if (args->given[i] && args->command != CTL_COMMANDS && !(ctl_options[i].commands & 1u << args->command)) {
            ctl_text_printf(problem, "%s does not take --%s", ctl_commands[args->command].name, ctl_options[i].name);
            return CTL_USAGE;
        }
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
    if (args->format == CTL_FORMAT_CSV && !has_csv) {
        ctl_text_printf(problem, "%s has no csv form (only buckets, top and diff have)",
                        ctl_commands[args->command].name);
        return CTL_USAGE;
    }
    if (args->chart && (args->format == CTL_FORMAT_CSV || args->format == CTL_FORMAT_JSON))
        return exclude(problem, "--chart", "--format json or csv");
    if (given(args, "fresh") && given(args, "no-fresh"))
        return exclude(problem, "--fresh", "--no-fresh");
    args->by = given(args, "by");
    args->metric = given(args, "metric");
    int rc = conclude_command(args, problem);
    if (rc)
        return rc;
    add_given(args);

    const char *from_env = getenv("TIMESLICED_SOCKET");
    if (!args->socket && !args->url)
        args->socket = from_env && *from_env ? from_env : CTL_DEFAULT_SOCKET;
    return 0;
}

/* The command, then its operand. */
static int parse_word(struct ctl_args *args, const char *word, struct ctl_text *problem)
{
    if (args->command != CTL_COMMANDS && ctl_commands[args->command].operand && !args->operand) {
        if (!*word) {
            ctl_text_printf(problem, "%s needs a name that is not empty", ctl_commands[args->command].operand);
            return CTL_USAGE;
        }
        args->operand = word;
        return 0;
    }
    if (args->command != CTL_COMMANDS) {
        ctl_text_printf(problem, "unexpected argument %s after the command %s", word, ctl_commands[args->command].name);
        return CTL_USAGE;
    }
    int id = 0;
    while (id < CTL_COMMANDS && strcmp(word, ctl_commands[id].name) != 0)
        id++;
    if (id == CTL_COMMANDS) {
        ctl_text_printf(problem, "there is no command %s", *word ? word : "\"\"");
        return CTL_USAGE;
    }
    args->command = (enum ctl_command_id)id;
    return 0;
}

int ctl_args_parse(struct ctl_args *args, int argc, char **argv, struct ctl_text *problem)
{
    *args = (struct ctl_args){.command = CTL_COMMANDS, .fail_over = -1};
    args->given = calloc(CTL_OPTIONS, sizeof(*args->given));
    if (!args->given) {
        ctl_text_puts(problem, "out of memory");
        return CTL_USAGE;
    }
    for (int i = 1; i < argc; i++) {
        bool is_option = argv[i][0] == '-' && argv[i][1];
        int rc = is_option ? parse_option(args, argv, argc, &i, problem) : parse_word(args, argv[i], problem);
        if (rc)
            return rc;
    }
    return conclude(args, problem);
}
