/* ctl/args/args: command lines, the requests they become, and the messages for wrong ones. */
#include "ctl/args/args.h"
#include "ctl/args/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "failing_alloc.h"

enum { WORDS_MAX = 24 };

static char program[] = "timeslicectl";

/* Splits at spaces. The words stay valid until the next call, and so does what args borrows from them. */
static int parse(struct ctl_args *args, const char *line, struct ctl_text *problem)
{
    static char copy[512];
    char *argv[WORDS_MAX] = {program}, *rest;
    int argc = 1;
    assert_true(strlen(line) < sizeof(copy));
    strcpy(copy, line);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        assert_true(argc < WORDS_MAX);
        argv[argc++] = word;
    }
    return ctl_args_parse(args, argc, argv, problem);
}

static void parse_good(struct ctl_args *args, const char *line)
{
    struct ctl_text problem = {0};
    if (parse(args, line, &problem))
        fail_msg("%s: %s", line, ctl_text_str(&problem));
    assert_int_equal(problem.len, 0);
    ctl_text_deinit(&problem);
}

static void test_queries(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum ctl_command_id command;
        const char *query;
    } rows[] = {
        {"buckets", CTL_BUCKETS, ""},
        {"buckets --from -15m --to=now", CTL_BUCKETS, "from=-15m&to=now"},
        {"--last 1h top", CTL_TOP, "last=1h"},
        {"top --last 1h --last 2h", CTL_TOP, "last=2h"},
        {"top --top 10 --by label.service", CTL_TOP, "by=label.service&top=10"},
        {"buckets --fill --no-fresh", CTL_BUCKETS, "fill=true&fresh=false"},
        {"buckets --chart", CTL_BUCKETS, "top=8"},
        {"buckets --chart --top 3", CTL_BUCKETS, "top=3"},
        {"top --format csv", CTL_TOP, "format=csv"},
        {"top --format json", CTL_TOP, ""},
        {"functions --function a* --function b", CTL_FUNCTIONS, "function=a%2A&function=b"},
        {"buckets --label k=v=w --label x=", CTL_BUCKETS, "label.k=v%3Dw&label.x="},
        {"buckets --label k&=+", CTL_BUCKETS, "label.k%26=%2B"},
        {"buckets --function é/%", CTL_BUCKETS, "function=%C3%A9%2F%25"},
        {"regrid out.db --time-slice 60s", CTL_REGRID, "time_slice=60s"},
        {"delete --label a=b --to 2026-01-31", CTL_DELETE, "label.a=b&to=2026-01-31"},
        {"diff --before 2h..1h --after last:1h --metric ncalls", CTL_DIFF, "before=2h..1h&after=last:1h&metric=ncalls"},
        {"diff --before-label v=1 --after-label v=2", CTL_DIFF, "before.label.v=1&after.label.v=2"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ctl_args args;
        parse_good(&args, rows[i].line);
        assert_int_equal(args.action, CTL_RUN);
        assert_int_equal(args.command, rows[i].command);
        assert_string_equal(ctl_text_str(&args.query), rows[i].query);
        ctl_args_deinit(&args);
    }
}

static void test_settings(void **state)
{
    (void)state;
    struct ctl_args args;
    parse_good(&args, "buckets --chart --watch 0.5s --color never");
    assert_true(args.chart && args.watch > 0.49 && args.watch < 0.51);
    assert_int_equal(args.color, CTL_COLOR_NEVER);
    assert_int_equal(args.format, CTL_FORMAT_AUTO);
    ctl_args_deinit(&args);
    parse_good(&args, "top --by location --metric pcalls --format=table --color always");
    assert_string_equal(args.by, "location");
    assert_string_equal(args.metric, "pcalls");
    assert_int_equal(args.format, CTL_FORMAT_TABLE);
    assert_int_equal(args.color, CTL_COLOR_ALWAYS);
    ctl_args_deinit(&args);
    parse_good(&args, "backup --force out.db");
    assert_string_equal(args.operand, "out.db");
    assert_true(args.force && !args.yes);
    ctl_args_deinit(&args);
    parse_good(&args, "backup -");
    assert_string_equal(args.operand, "-");
    ctl_args_deinit(&args);
    parse_good(&args, "delete --last 1d --yes");
    assert_true(args.yes && !args.force);
    ctl_args_deinit(&args);
}

static void test_diff(void **state)
{
    (void)state;
    struct ctl_args args;
    struct ctl_text query = {0};
    parse_good(&args,
               "diff --after last:1h --before-label v=1 --before-label host=a --fail-over 20% --ignore-below 5ms");
    assert_string_equal(ctl_text_str(&args.before_labels), "v=1, host=a");
    assert_string_equal(ctl_text_str(&args.after_labels), "");
    assert_true(args.fail_over > 19.9 && args.fail_over < 20.1);
    assert_true(args.ignore_below > 0.0049 && args.ignore_below < 0.0051);
    assert_int_equal(args.top, 0);
    ctl_args_query(&args, 0, false, &query);
    assert_string_equal(ctl_text_str(&query), "before.label.v=1&before.label.host=a&after=last:1h");
    ctl_args_query(&args, 20, true, &query);
    assert_string_equal(ctl_text_str(&query), "before.label.v=1&before.label.host=a&after=last:1h&top=20&format=csv");
    ctl_args_deinit(&args);

    parse_good(&args, "diff --after last:1h --top 7 --metric ncalls --fail-over 0 --ignore-below 100");
    assert_int_equal(args.top, 7);
    assert_true(args.fail_over >= 0 && args.ignore_below > 99.9 && args.ignore_below < 100.1);
    ctl_args_deinit(&args);

    parse_good(&args, "diff --after last:1h");
    assert_true(args.fail_over < 0);
    ctl_args_deinit(&args);
    ctl_text_deinit(&query);
}

/* For other commands the parsed query is complete; top and csv are only for diff. */
static void test_query_of_other_commands(void **state)
{
    (void)state;
    struct ctl_args args;
    struct ctl_text query = {0};
    parse_good(&args, "top --top 3");
    ctl_args_query(&args, 20, true, &query);
    assert_string_equal(ctl_text_str(&query), "top=3");
    ctl_args_deinit(&args);
    ctl_text_deinit(&query);
}

static void test_socket_and_url(void **state)
{
    (void)state;
    struct ctl_args args;
    assert_int_equal(unsetenv("TIMESLICED_SOCKET"), 0);
    parse_good(&args, "status");
    assert_string_equal(args.socket, CTL_DEFAULT_SOCKET);
    assert_null(args.url);
    ctl_args_deinit(&args);

    assert_int_equal(setenv("TIMESLICED_SOCKET", "/tmp/a.sock", 1), 0);
    parse_good(&args, "status");
    assert_string_equal(args.socket, "/tmp/a.sock");
    ctl_args_deinit(&args);
    parse_good(&args, "--socket /tmp/b.sock status");
    assert_string_equal(args.socket, "/tmp/b.sock");
    ctl_args_deinit(&args);
    parse_good(&args, "status --url http://localhost:1");
    assert_null(args.socket);
    assert_string_equal(args.url, "http://localhost:1");
    ctl_args_deinit(&args);

    assert_int_equal(setenv("TIMESLICED_SOCKET", "", 1), 0);
    parse_good(&args, "status");
    assert_string_equal(args.socket, CTL_DEFAULT_SOCKET);
    ctl_args_deinit(&args);
    assert_int_equal(unsetenv("TIMESLICED_SOCKET"), 0);
}

/* --help wins over --version and over a missing command or operand, but not over a wrong option. */
static void test_help_and_version(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum ctl_action action;
        enum ctl_command_id command;
    } rows[] = {
        {"--help", CTL_SHOW_HELP, CTL_COMMANDS},           {"-h", CTL_SHOW_HELP, CTL_COMMANDS},
        {"--version", CTL_SHOW_VERSION, CTL_COMMANDS},     {"--version --help", CTL_SHOW_HELP, CTL_COMMANDS},
        {"--help --version", CTL_SHOW_HELP, CTL_COMMANDS}, {"diff --help", CTL_SHOW_HELP, CTL_DIFF},
        {"backup --help", CTL_SHOW_HELP, CTL_BACKUP},      {"top --version", CTL_SHOW_VERSION, CTL_TOP},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ctl_args args;
        parse_good(&args, rows[i].line);
        assert_int_equal(args.action, rows[i].action);
        assert_int_equal(args.command, rows[i].command);
        ctl_args_deinit(&args);
    }
}

static void test_wrong_usage(void **state)
{
    (void)state;
    static const struct {
        const char *line, *message;
    } rows[] = {
        {"", "no command given: buckets, top, diff, functions, labels, status, rejects, flush, backup, regrid, delete"},
        {"bucket", "unknown command bucket"},
        {"top extra", "unexpected argument extra after the command top"},
        {"backup a b", "unexpected argument b after the command backup"},
        {"top --nonsense", "unknown option --nonsense"},
        {"top --nonsense=1", "unknown option --nonsense"},
        {"top -x", "unknown option -x"},
        {"top --to", "--to needs a value: --to TIME"},
        {"top --to --from 1", "--to needs a value: --to TIME"},
        {"buckets --fill=yes", "--fill does not take a value"},
        {"status --top 3", "status does not accept --top"},
        {"top --fill --help", "top does not accept --fill"},
        {"top --label service", "--label: service is not KEY=VALUE"},
        {"top --label =x", "--label: =x is not KEY=VALUE"},
        {"top --format xml",
         "--format: xml is not one of: table (default on a terminal), json, csv (buckets, top, diff)"},
        {"top --format=",
         "--format: \"\" is not one of: table (default on a terminal), json, csv (buckets, top, diff)"},
        {"status --format csv", "status has no CSV format (only buckets, top and diff have)"},
        {"top --color red", "--color: red is not one of: auto, always or never"},
        {"top --watch 0", "--watch: 0 is not a number of seconds from 0.1 to 86400"},
        {"top --watch nan", "--watch: nan is not a number of seconds from 0.1 to 86400"},
        {"top --watch 1m", "--watch: 1m is not a number of seconds from 0.1 to 86400"},
        {"top --socket=", "--socket: the value must not be empty"},
        {"top --url=", "--url: the value must not be empty"},
        {"top --socket a --url b", "--socket cannot be combined with --url"},
        {"top --fresh --no-fresh", "--fresh cannot be combined with --no-fresh"},
        {"buckets --chart --format json", "--chart cannot be combined with --format json or csv"},
        {"backup", "backup needs the file to write: timeslicectl backup FILE"},
        {"regrid a.db", "regrid needs the new bucket width: --time-slice DURATION"},
        {"delete --yes", "delete needs at least one of --function, --label, --from, --to, --last"},
        {"diff", "diff needs two ranges (--before, --after) or labels (--before-label, --after-label)"},
        {"diff --after last:1h --top 0", "--top: 0 is not a number from 1"},
        {"diff --after last:1h --top 3x", "--top: 3x is not a number from 1"},
        {"diff --after last:1h --fail-over -1", "--fail-over: -1 is not a percentage from 0"},
        {"diff --after last:1h --fail-over 5s", "--fail-over: 5s is not a percentage from 0"},
        {"diff --after last:1h --fail-over 5 --ignore-below 1x",
         "--ignore-below: 1x is not a duration such as 1ms or 0.5s"},
        {"diff --after last:1h --ignore-below 1ms", "--ignore-below needs --fail-over"},
        {"diff --after last:1h --metric ncalls --fail-over 5 --ignore-below 1s",
         "--ignore-below: 1s is a duration, but ncalls counts calls: give a number"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ctl_args args;
        struct ctl_text problem = {0};
        assert_int_equal(parse(&args, rows[i].line, &problem), CTL_USAGE);
        assert_string_equal(ctl_text_str(&problem), rows[i].message);
        ctl_text_deinit(&problem);
        ctl_args_deinit(&args);
    }
}

/* Words that a line split at spaces cannot contain. */
static void test_empty_words(void **state)
{
    (void)state;
    struct ctl_args args;
    struct ctl_text problem = {0};
    char empty[] = "", backup[] = "backup", top[] = "top", function[] = "--function";
    char *command[] = {program, empty}, *operand[] = {program, backup, empty},
         *value[] = {program, top, function, empty};
    assert_int_equal(ctl_args_parse(&args, 2, command, &problem), CTL_USAGE);
    assert_string_equal(ctl_text_str(&problem), "unknown command \"\"");
    ctl_args_deinit(&args);
    ctl_text_reset(&problem);
    assert_int_equal(ctl_args_parse(&args, 3, operand, &problem), CTL_USAGE);
    assert_string_equal(ctl_text_str(&problem), "FILE must not be empty");
    ctl_args_deinit(&args);
    ctl_text_reset(&problem);
    assert_int_equal(ctl_args_parse(&args, 4, value, &problem), 0); /* the daemon judges its parameters */
    assert_string_equal(ctl_text_str(&args.query), "function=");
    ctl_args_deinit(&args);
    ctl_text_deinit(&problem);
}

/* A filter that is lost for want of memory would change the meaning of a request, above all of a deletion. */
static void test_out_of_memory(void **state)
{
    (void)state;
    static const char line[] =
        "delete --function a_long_name_so_that_the_query_grows_more_than_once_while_it_is_built --last 1d "
        "--label service=another_long_value_so_that_the_query_grows_more_than_once --yes";
    bool failed = true;
    for (int n = 0; failed; n++) {
        struct ctl_args args;
        struct ctl_text problem = {0}, query = {0};
        alloc_fail_at = n;
        alloc_fail_once = true;
        alloc_calls = 0;
        int rc = parse(&args, line, &problem);
        if (!rc)
            ctl_args_query(&args, 0, false, &query);
        failed = alloc_calls > (size_t)n;
        alloc_fail_at = -1;
        assert_int_equal(failed, rc || query.failed);
        ctl_args_deinit(&args);
        ctl_text_deinit(&problem);
        ctl_text_deinit(&query);
    }
}

static bool is_accepted(const char *command, const struct ctl_option *option)
{
    struct ctl_args args;
    struct ctl_text problem = {0}, line = {0};
    ctl_text_printf(&line, "%s --help --%s%s", command, option->name,
                    !option->value                        ? ""
                    : !strcmp(option->value, "KEY=VALUE") ? " a=b"
                                                          : " 1");
    int rc = parse(&args, ctl_text_str(&line), &problem);
    bool rejected = rc && strstr(ctl_text_str(&problem), " does not accept ");
    ctl_args_deinit(&args);
    ctl_text_deinit(&problem);
    ctl_text_deinit(&line);
    return !rejected;
}

/* Each command accepts exactly the options that the table lists for it. */
static void test_options_of_each_command(void **state)
{
    (void)state;
    for (int c = 0; c < CTL_COMMANDS; c++)
        for (int i = 0; i < CTL_OPTIONS; i++) {
            const struct ctl_option *option = &ctl_options[i];
            if (option->kind == FORMAT || option->kind == COLOR) /* 1 is a wrong value of these */
                continue;
            assert_int_equal(is_accepted(ctl_commands[c].name, option), (option->commands & 1u << c) != 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queries),        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_diff),           cmocka_unit_test(test_query_of_other_commands),
        cmocka_unit_test(test_socket_and_url), cmocka_unit_test(test_help_and_version),
        cmocka_unit_test(test_wrong_usage),    cmocka_unit_test(test_empty_words),
        cmocka_unit_test(test_out_of_memory),  cmocka_unit_test(test_options_of_each_command),
    };
    return cmocka_run_group_tests_name("ctl/args/args", tests, NULL, NULL);
}
