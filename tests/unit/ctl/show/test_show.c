/* ctl/show/show: from a response to text, for each command; errors; allocations that fail. */
#include "ctl/show/show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "failing_alloc.h"

#define BUCKETS \
    "{\"from\": 0, \"to\": 20, \"from_resolution\": 60, \"to_resolution\": 10, \"time_slice\": 10, " \
    "\"metric\": \"cumtime\", \"unit\": \"seconds\", \"buckets\": [0, 10], \"profiles\": [1, 2], " \
    "\"total_tt\": [1, 2], \"parts_missing\": [0, 1], \"functions\": [" \
    "{\"function\": \"send\", \"total\": 3, \"values\": [1, 2]}, " \
    "{\"function\": \"receive\", \"total\": 0.5, \"values\": [0.25, 0.25]}], " \
    "\"other\": {\"functions\": 4, \"total\": 2, \"values\": [1, 1]}}"
#define TOP \
    "{\"from\": null, \"to\": null, \"profiles\": 1, \"total_tt\": 1.5, \"functions\": [" \
    "{\"function\": \"send\", \"cumtime\": 1.5, \"tottime\": 0.5, \"ncalls\": 1234, \"pcalls\": 3, " \
    "\"percall_cumtime\": 0.5, \"percall_tottime\": null}], " \
    "\"other\": {\"functions\": 2, \"cumtime\": 1, \"tottime\": 1, \"ncalls\": 1, \"pcalls\": 1}}"
#define DIFF \
    "{\"before\": {\"from\": 0, \"to\": 60, \"profiles\": 1}, \"after\": {\"from\": 60, \"to\": null, \"profiles\": 2}, " \
    "\"metric\": \"cumtime\", \"unit\": \"seconds\", \"functions\": [{\"function\": \"send\", \"per_profile\": " \
    "{\"before\": 1, \"after\": 1.5, \"change\": 0.5, \"ratio\": 1.5}, \"called_more\": 0.1, " \
    "\"slower_per_call\": 0.4}, {\"function\": \"fresh\", \"per_profile\": {\"before\": 0, \"after\": 0.1, " \
    "\"change\": 0.1, \"ratio\": null}, \"called_more\": 0.1, \"slower_per_call\": 0}], \"other\": {\"functions\": 0}}"
#define FUNCTIONS \
    "{\"functions\": [{\"function\": \"send\", \"first_bucket\": 0, \"last_bucket\": 60, \"locations\": [" \
    "{\"raw_name\": \"_send\", \"file_name\": \"/a/net.py\", \"line_number\": 7, \"first_bucket\": 0, " \
    "\"last_bucket\": 60}, {\"raw_name\": \"send\", \"file_name\": null, \"line_number\": null}]}, " \
    "{\"function\": \"len\", \"locations\": []}]}"
#define LABELS \
    "{\"labels\": [{\"labels\": {}, \"first_bucket\": 0, \"last_bucket\": 60, \"profiles\": 3}, " \
    "{\"labels\": {\"service\": \"web\", \"host\": \"a\"}, \"first_bucket\": null, \"last_bucket\": null, " \
    "\"profiles\": 1}]}"
#define STATUS \
    "{\"version\": \"1.0.0\", \"pid\": 12345, \"uptime\": 7500.5, \"store_error\": null, \"received\": 1234567, " \
    "\"listeners\": {\"udp\": \"127.0.0.1:8137\"}, \"rejected\": {}, \"store\": {\"bytes\": 1536, \"keep\": 172800}}"
#define REJECTS \
    "{\"rejects\": [{\"time\": 0.5, \"peer\": \"udp 127.0.0.1:5555\", \"code\": \"bad_json\", " \
    "\"message\": \"expected a value\", \"text\": \"\\u001b[2J\"}]}"
#define DELETION(dry) \
    "{\"dry_run\": " dry ", \"from\": 0, \"to\": 60, \"functions\": 1, \"label_sets\": 1, \"buckets\": 6, " \
    "\"rows\": 12, \"profiles\": 0, \"cumtime\": 1.5, \"tottime\": 0.5, \"ncalls\": 3, \"pcalls\": 3}"

static const struct {
    enum ctl_command_id command;
    bool chart;
    const char *body, *want;
} responses[] = {
    {CTL_BUCKETS, false, BUCKETS,
     "1970-01-01 00:00:00Z to 1970-01-01 00:00:20Z, 3 profiles, total_tt 3.00 s,\n"
     "cumtime per 10 s\n"
     "This range is kept in buckets of 1 m at its beginning.\n"
     "\n"
     "time (UTC)  profiles    send  receive  other (4)\n"
     "00:00:00           1  1.00 s   250 ms     1.00 s\n"
     "00:00:10!          2  2.00 s   250 ms     1.00 s\n"
     "total              3  3.00 s   500 ms     2.00 s\n"
     "Cumtimes of callers include their callees; tottime is what adds up.\n"
     "! parts of profiles are missing; the sums of these buckets are too small\n"},
    {CTL_BUCKETS, true, BUCKETS, NULL}, /* test_chart.c */
    {CTL_TOP, false, TOP,
     "all time, 1 profile, total_tt 1.50 s\n"
     "\n"
     "function   cumtime  tottime  ncalls  pcalls  cum/call  tot/call\n"
     "send        1.50 s   500 ms   1,234       3    500 ms         -\n"
     "other (2)   1.00 s   1.00 s       1       1         -         -\n"
     "Cumtimes of callers include their callees; tottime is what adds up.\n"},
    {CTL_DIFF, false, DIFF,
     "before: 1970-01-01 00:00:00Z to 1970-01-01 00:01:00Z, 1 profile\n"
     "after:  from 1970-01-01 00:01:00Z, 2 profiles\n"
     "cumtime per profile, the largest changes first:\n"
     "\n"
     "function  before   after   change     %   called    slower\n"
     "                                            more  per call\n"
     "send      1.00 s  1.50 s  +500 ms  +50%  +100 ms   +400 ms\n"
     "fresh        0 s  100 ms  +100 ms   new  +100 ms       0 s\n"
     "Change = called more + slower per call; negative: called less, faster.\n"},
    {CTL_FUNCTIONS, false, FUNCTIONS,
     "function  raw name  location     first seen (UTC)  last seen (UTC)\n"
     "send      _send     /a/net.py:7  1970-01-01 00:00  1970-01-01 00:01\n"
     "          send      -            -                 -\n"
     "len                              -                 -\n"},
    {CTL_LABELS, false, LABELS,
     "labels              first bucket          last bucket           profiles\n"
     "(none)              1970-01-01 00:00:00Z  1970-01-01 00:01:00Z         3\n"
     "service=web host=a  -                     -                            1\n"},
    {CTL_STATUS, false, STATUS,
     "version      1.0.0\n"
     "pid          12345\n"
     "uptime       2 h 05 m\n"
     "store_error  none\n"
     "received     1.23 M\n"
     "listeners\n"
     "  udp        127.0.0.1:8137\n"
     "rejected     none\n"
     "store\n"
     "  bytes      1.50 KiB\n"
     "  keep       2 d\n"},
    {CTL_REJECTS, false, REJECTS,
     "1970-01-01 00:00:00.500Z  bad_json  from udp 127.0.0.1:5555\n"
     "  expected a value\n"
     "    \\x1b[2J\n"},
    {CTL_FLUSH, false, "{\"flushed\": true}", "flushed: everything received is on stable storage\n"},
    {CTL_DELETE, false, DELETION("true"),
     "This would be deleted: 1970-01-01 00:00:00Z to 1970-01-01 00:01:00Z\n"
     "  functions   1\n"
     "  label sets  1\n"
     "  buckets     6\n"
     "  sums        12\n"
     "  profiles    0\n"
     "  cumtime     1.50 s\n"
     "  tottime     500 ms\n"
     "  ncalls      3\n"
     "  pcalls      3\n"
     "Nothing was deleted. The same command with --yes deletes it permanently.\n"},
    {CTL_DELETE, false, "{\"dry_run\": false, \"from\": null, \"to\": null, \"rows\": 0, \"profiles\": 0}",
     "Nothing matches: nothing was deleted. Range: all time\n"},
};
enum { N_RESPONSES = sizeof(responses) / sizeof(responses[0]) };

/* 0 or -1, as ctl_show. */
static int show(enum ctl_command_id command, bool chart, bool color, const char *body, struct ctl_text *out,
                struct ctl_text *problem)
{
    struct ctl_args args = {.command = command, .chart = chart, .fail_over = -1};
    struct ctl_view view = {.screen = {.width = 80, .color = color}, .finest = NAN};
    char *bytes = strdup(body); /* from libc, so it does not fail with the others */
    const struct ctl_text text = {.data = bytes, .len = strlen(body)};
    int rc = ctl_show(&args, &view, &text, out, problem);
    free(bytes);
    return rc;
}

static void test_each_command(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_RESPONSES; i++) {
        struct ctl_text out = {0}, problem = {0};
        assert_int_equal(show(responses[i].command, responses[i].chart, false, responses[i].body, &out, &problem), 0);
        assert_false(out.failed || problem.len);
        if (responses[i].want)
            assert_string_equal(ctl_text_str(&out), responses[i].want);
        ctl_text_deinit(&out);
        ctl_text_deinit(&problem);
    }
}

/* With colour, the text is the same but for the escape sequences. */
static void test_color_changes_no_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_RESPONSES; i++) {
        struct ctl_text out = {0}, plain = {0}, problem = {0};
        if (responses[i].chart)
            continue;
        assert_int_equal(show(responses[i].command, false, true, responses[i].body, &out, &problem), 0);
        for (const char *at = ctl_text_str(&out); *at; at++)
            if (*at == '\033')
                at = strchr(at, 'm');
            else
                ctl_text_putc(&plain, *at);
        assert_string_equal(ctl_text_str(&plain), responses[i].want);
        ctl_text_deinit(&out);
        ctl_text_deinit(&plain);
        ctl_text_deinit(&problem);
    }
}

static void test_empty_responses(void **state)
{
    (void)state;
    static const struct {
        enum ctl_command_id command;
        const char *body, *want;
    } rows[] = {
        {CTL_BUCKETS, "{\"buckets\": [], \"profiles\": [], \"functions\": []}", "no data in this range\n"},
        {CTL_TOP, "{\"functions\": []}", "no data in this range\n"},
        {CTL_FUNCTIONS, "{\"functions\": []}", "no functions\n"},
        {CTL_LABELS, "{\"labels\": []}", "no data: no profile has been received yet\n"},
        {CTL_REJECTS, "{\"rejects\": []}", "no message has been rejected since the daemon started\n"},
        {CTL_STATUS, "{}", ""},
        {CTL_DIFF, "{\"before\": {\"profiles\": 1}, \"after\": {\"profiles\": 1}, \"functions\": []}",
         "before: all time, 1 profile\nafter:  all time, 1 profile\n\nno functions in these ranges\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ctl_text out = {0}, problem = {0};
        assert_int_equal(show(rows[i].command, false, false, rows[i].body, &out, &problem), 0);
        assert_string_equal(ctl_text_str(&out), rows[i].want);
        ctl_text_deinit(&out);
        ctl_text_deinit(&problem);
    }
}

static void test_responses_of_another_program(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "<html>", "[]", "1", "{\"buckets\"", "null"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        for (int command = 0; command < CTL_COMMANDS; command++) {
            struct ctl_text out = {0}, problem = {0};
            assert_int_equal(show((enum ctl_command_id)command, false, false, bodies[i], &out, &problem), -1);
            assert_string_equal(ctl_text_str(&problem), "the response is not a JSON object: is this timesliced?");
            assert_int_equal(out.len, 0);
            ctl_text_deinit(&out);
            ctl_text_deinit(&problem);
        }
}

static void expect_error(long status, const char *body, const char *want)
{
    struct ctl_text text = {0}, out = {0};
    ctl_text_puts(&text, body);
    ctl_show_error(status, &text, &out);
    assert_string_equal(ctl_text_str(&out), want);
    ctl_text_deinit(&text);
    ctl_text_deinit(&out);
}

static void test_errors(void **state)
{
    (void)state;
    expect_error(400,
                 "{\"error\": {\"code\": \"bad_parameter\", \"parameter\": \"top\", \"message\": \"0 is too small\"}}",
                 "0 is too small (bad_parameter, parameter top)");
    expect_error(503, "{\"error\": {\"code\": \"busy\", \"message\": \"too many requests\"}}",
                 "too many requests (busy)");
    expect_error(500, "{\"error\": {\"code\": \"internal\"}}", "the daemon rejected the request (internal)");
    expect_error(500, "{\"error\": {\"message\": \"a\\u001b[2J\"}}", "a\\x1b[2J (error)");
    expect_error(502, "", "the daemon responded with HTTP status 502");
    expect_error(404, "<html>\n", "the daemon responded with HTTP status 404: <html>\\n");
    expect_error(404, "{\"error\": 7}", "the daemon responded with HTTP status 404: {\"error\": 7}");
}

static void test_dry_run_and_finest(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int dry;
    } rows[] = {{DELETION("true"), 1}, {DELETION("false"), 0}, {"{}", -1}, {"{\"dry_run\": 1}", -1}, {"x", -1}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ctl_text body = {0};
        ctl_text_puts(&body, rows[i].body);
        assert_int_equal(ctl_show_is_dry_run(&body), rows[i].dry);
        ctl_text_deinit(&body);
    }
    struct ctl_text status = {0}, buckets = {0};
    assert_true(isnan(ctl_show_finest(&status)));
    assert_false(ctl_show_wants_finest(&status));
    ctl_text_puts(&status, "{\"time_slice\": 10}");
    ctl_text_puts(&buckets, BUCKETS);
    assert_true(fabs(ctl_show_finest(&status) - 10) < 1e-9);
    assert_true(ctl_show_wants_finest(&buckets));
    ctl_text_deinit(&status);
    ctl_text_deinit(&buckets);
}

/* Whichever allocation fails, the failure is reported: an incomplete screen is never taken for a complete one. */
static void fail_each_allocation(size_t i, bool once)
{
    bool failed = true;
    for (int n = 0; failed; n++) {
        struct ctl_text out = {0}, problem = {0};
        alloc_fail_at = n;
        alloc_fail_once = once;
        alloc_calls = 0;
        int rc = show(responses[i].command, responses[i].chart, true, responses[i].body, &out, &problem);
        failed = alloc_calls > (size_t)n;
        alloc_fail_at = -1;
        if (failed && !(rc || out.failed || problem.failed))
            fail_msg("%s: the failure of allocation %d is not reported", ctl_commands[responses[i].command].name, n);
        assert_true(failed || (!rc && !out.failed));
        assert_true(n < 10000);
        ctl_text_deinit(&out);
        ctl_text_deinit(&problem);
    }
}

static void test_out_of_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_RESPONSES; i++) {
        fail_each_allocation(i, false);
        fail_each_allocation(i, true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_command),    cmocka_unit_test(test_color_changes_no_text),
        cmocka_unit_test(test_empty_responses), cmocka_unit_test(test_responses_of_another_program),
        cmocka_unit_test(test_errors),          cmocka_unit_test(test_dry_run_and_finest),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("ctl/show/show", tests, NULL, NULL);
}
