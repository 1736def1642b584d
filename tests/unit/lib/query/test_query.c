/*
 * Queries: exact texts of answers, parameters taken and refused, limits, damage, interruption. What the answers say
 * about random stores is in test_query_model.c.
 */
#include "tests/unit/failing_alloc.h"
#include "tests/unit/lib/query/query_store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

/* ---- Exact texts ---- */

#define ODD "{\"service\": \"we\\\"b,\\\\\\n\\u0001\"}"

static void fill(struct fixture *f)
{
    add_head(f, 173227200, "{}", (struct ts_profile_sums){2, 0, 1000000000, 4, 3});
    add_head(f, 173227200, WEB, (struct ts_profile_sums){1, 1, 100000000, 0, 0});
    add_head(f, 173227203, WEB, (struct ts_profile_sums){4, 4, 2200000000, 0, 0});
    add_head(f, 173227204, DB, (struct ts_profile_sums){1, 0, 1, 0, 1});
    add(f, 173227200, "{}", "sleep1", "/app/a.py", 7, (struct ts_sums){1000000000, 1, 10, 5});
    add(f, 173227200, WEB, "_sleep1", NULL, -1, (struct ts_sums){100000000, 1, 2, 2});
    add(f, 173227203, WEB, "sleep1", "/app/a.py", 7, (struct ts_sums){3100000000, 3, 0, 0});
    add(f, 173227203, WEB, "b,\"x\"\n", "", 0, (struct ts_sums){250000000, 250000000, 3, 3});
    add(f, 173227204, DB, "___", "~", -1, (struct ts_sums){-5, 0, 0, 0});
    commit(f);
}

static void test_buckets(void **state)
{
    struct fixture *f = *state;
    fill(f);
    expect(f, TS_QUERY_BUCKETS, "from=1732272000&to=1732272040",
           "{\"start_time\": 0, \"time_slice\": 10, \"metric\": \"cumtime\", \"unit\": \"seconds\", "
           "\"from\": 1732272000, \"to\": 1732272040, \"buckets\": [1732272000, 1732272030], \"profiles\": [3, 4], "
           "\"exact_profiles\": [1, 4], \"total_tt\": [1.1, 2.2], \"parts_missing\": [1, 0], "
           "\"functions\": [{\"function\": \"sleep1\", \"total\": 4.2, \"values\": [1.1, 3.1]}, "
           "{\"function\": \"b,\\\"x\\\"\\n\", \"total\": 0.25, \"values\": [0, 0.25]}], "
           "\"other\": {\"functions\": 0, \"total\": 0, \"values\": [0, 0]}}");
    /* A function filter leaves the buckets as they are; a label filter does not. */
    expect(f, TS_QUERY_BUCKETS, "function=__s*1&metric=ncalls&label.service=web",
           "{\"start_time\": 0, \"time_slice\": 10, \"metric\": \"ncalls\", \"unit\": \"calls\", "
           "\"from\": 1732272000, \"to\": 1732272040, \"buckets\": [1732272000, 1732272030], \"profiles\": [1, 4], "
           "\"exact_profiles\": [1, 4], \"total_tt\": [0.1, 2.2], \"parts_missing\": [0, 0], "
           "\"functions\": [{\"function\": \"sleep1\", \"total\": 2, \"values\": [2, 0]}], "
           "\"other\": {\"functions\": 0, \"total\": 0, \"values\": [0, 0]}}");
}

static void test_buckets_wide(void **state)
{
    struct fixture *f = *state;
    fill(f);
    expect(f, TS_QUERY_BUCKETS, "time_slice=30s&by=location&top=2&fill=true&from=1732271999&to=1732272061",
           "{\"start_time\": 0, \"time_slice\": 30, \"metric\": \"cumtime\", \"unit\": \"seconds\", "
           "\"from\": 1732271970, \"to\": 1732272090, \"buckets\": [1732271970, 1732272000, 1732272030, 1732272060], "
           "\"profiles\": [0, 3, 5, 0], \"exact_profiles\": [0, 1, 4, 0], \"total_tt\": [0, 1.1, 2.200000001, 0], "
           "\"parts_missing\": [0, 1, 1, 0], "
           "\"functions\": [{\"function\": \"sleep1\", \"file_name\": \"/app/a.py\", \"line_number\": 7, "
           "\"raw_name\": \"sleep1\", \"total\": 4.1, \"values\": [0, 1, 3.1, 0]}, "
           "{\"function\": \"b,\\\"x\\\"\\n\", \"file_name\": \"\", \"line_number\": 0, "
           "\"raw_name\": \"b,\\\"x\\\"\\n\", \"total\": 0.25, \"values\": [0, 0, 0.25, 0]}], "
           "\"other\": {\"functions\": 2, \"total\": 0.099999995, \"values\": [0, 0.1, -0.000000005, 0]}}");
    expect(f, TS_QUERY_BUCKETS, "by=label.host&time_slice=1m",
           "{\"start_time\": 0, \"time_slice\": 60, \"metric\": \"tottime\", \"unit\": \"seconds\", "
           "\"from\": 1732272000, \"to\": 1732272060, \"buckets\": [1732272000], \"profiles\": [8], "
           "\"exact_profiles\": [5], \"total_tt\": [3.300000001], \"parts_missing\": [0], "
           "\"functions\": [{\"label\": null, \"total\": 0.250000005, \"values\": [0.250000005]}, "
           "{\"label\": \"a\", \"total\": 0, \"values\": [0]}], "
           "\"other\": {\"functions\": 0, \"total\": 0, \"values\": [0]}}");
    expect(f, TS_QUERY_BUCKETS, "label.service=none",
           "{\"start_time\": 0, \"time_slice\": 10, \"metric\": \"cumtime\", \"unit\": \"seconds\", "
           "\"from\": null, \"to\": null, \"buckets\": [], \"profiles\": [], \"exact_profiles\": [], \"total_tt\": [], "
           "\"parts_missing\": [], \"functions\": [], \"other\": {\"functions\": 0, \"total\": 0, \"values\": []}}");
    expect(f, TS_QUERY_BUCKETS, "from=1732272000&to=1732272000&fill=true",
           "{\"start_time\": 0, \"time_slice\": 10, \"metric\": \"cumtime\", \"unit\": \"seconds\", "
           "\"from\": 1732272000, \"to\": 1732272000, \"buckets\": [], \"profiles\": [], \"exact_profiles\": [], "
           "\"total_tt\": [], \"parts_missing\": [], \"functions\": [], "
           "\"other\": {\"functions\": 0, \"total\": 0, \"values\": []}}");
    /* last=30s: 1732272070 to 1732272100 */
    expect(f, TS_QUERY_BUCKETS, "last=30s&fill=true",
           "{\"start_time\": 0, \"time_slice\": 10, \"metric\": \"cumtime\", \"unit\": \"seconds\", "
           "\"from\": 1732272070, \"to\": 1732272100, \"buckets\": [1732272070, 1732272080, 1732272090], "
           "\"profiles\": [0, 0, 0], \"exact_profiles\": [0, 0, 0], \"total_tt\": [0, 0, 0], "
           "\"parts_missing\": [0, 0, 0], \"functions\": [], "
           "\"other\": {\"functions\": 0, \"total\": 0, \"values\": [0, 0, 0]}}");
}

static void test_top(void **state)
{
    struct fixture *f = *state;
    fill(f);
    expect(f, TS_QUERY_TOP, "top=1",
           "{\"from\": 1732272000, \"to\": 1732272050, \"profiles\": 8, \"total_tt\": 3.300000001, "
           "\"metric\": \"cumtime\", \"functions\": [{\"function\": \"sleep1\", \"cumtime\": 4.2, "
           "\"tottime\": 0.000000005, \"ncalls\": 12, \"pcalls\": 7, \"percall_cumtime\": 0.6, "
           "\"percall_tottime\": 0}], \"other\": {\"functions\": 2, \"cumtime\": 0.249999995, "
           "\"tottime\": 0.25, \"ncalls\": 3, \"pcalls\": 3, \"percall_cumtime\": 0.083333332, "
           "\"percall_tottime\": 0.083333333}}");
    /* metric orders, and nothing else */
    expect(f, TS_QUERY_TOP, "metric=tottime&function=*x*&function=&from=1732272035",
           "{\"from\": 1732272030, \"to\": 1732272050, \"profiles\": 5, \"total_tt\": 2.200000001, "
           "\"metric\": \"tottime\", \"functions\": [{\"function\": \"b,\\\"x\\\"\\n\", \"cumtime\": 0.25, "
           "\"tottime\": 0.25, \"ncalls\": 3, \"pcalls\": 3, \"percall_cumtime\": 0.083333333, "
           "\"percall_tottime\": 0.083333333}, {\"function\": \"\", \"cumtime\": -0.000000005, \"tottime\": 0, "
           "\"ncalls\": 0, \"pcalls\": 0, \"percall_cumtime\": null, \"percall_tottime\": null}], "
           "\"other\": {\"functions\": 0, \"cumtime\": 0, \"tottime\": 0, \"ncalls\": 0, \"pcalls\": 0, "
           "\"percall_cumtime\": null, \"percall_tottime\": null}}");
    expect(f, TS_QUERY_TOP, "to=1000",
           "{\"from\": null, \"to\": 1000, \"profiles\": 0, \"total_tt\": 0, \"metric\": \"cumtime\", "
           "\"functions\": [], \"other\": {\"functions\": 0, \"cumtime\": 0, \"tottime\": 0, \"ncalls\": 0, "
           "\"pcalls\": 0, \"percall_cumtime\": null, \"percall_tottime\": null}}");
}

static void test_csv(void **state)
{
    struct fixture *f = *state;
    fill(f);
    expect(f, TS_QUERY_BUCKETS, "format=csv&from=1732272000&to=1732272040&top=1",
           "kind,bucket,function,value\r\n"
           "function,1732272000,sleep1,1.1\r\nfunction,1732272030,sleep1,3.1\r\n"
           "other,1732272000,,0\r\nother,1732272030,,0.25\r\n");
    expect(f, TS_QUERY_BUCKETS, "format=csv&by=location&time_slice=1m",
           "kind,bucket,function,file_name,line_number,raw_name,value\r\n"
           "function,1732272000,sleep1,/app/a.py,7,sleep1,4.1\r\n"
           "function,1732272000,\"b,\"\"x\"\"\n\",,0,\"b,\"\"x\"\"\n\",0.25\r\n"
           "function,1732272000,sleep1,,,_sleep1,0.1\r\nfunction,1732272000,,~,,___,-0.000000005\r\n"
           "other,1732272000,,,,,0\r\n");
    expect(f, TS_QUERY_TOP, "format=csv",
           "kind,function,cumtime,tottime,ncalls,pcalls\r\nfunction,sleep1,4.2,0.000000005,12,7\r\n"
           "function,\"b,\"\"x\"\"\n\",0.25,0.25,3,3\r\nfunction,,-0.000000005,0,0,0\r\nother,,0,0,0,0\r\n");
    expect(f, TS_QUERY_TOP, "format=csv&by=location&top=1",
           "kind,function,file_name,line_number,raw_name,cumtime,tottime,ncalls,pcalls\r\n"
           "function,sleep1,/app/a.py,7,sleep1,4.1,0.000000004,10,5\r\nother,,,,,0.349999995,0.250000001,5,5\r\n");
    expect(f, TS_QUERY_TOP, "format=csv&by=label.service&function=s*",
           "kind,label,cumtime,tottime,ncalls,pcalls\r\nfunction,web,3.2,0.000000004,2,2\r\n"
           "function,,1,0.000000001,10,5\r\nother,,0,0,0,0\r\n");
}

static void test_lists(void **state)
{
    struct fixture *f = *state;
    f->grid.start_time = -1500000000;
    fill(f);
    add_head(f, -3, ODD, (struct ts_profile_sums){1, 0, 0, 0, 0});
    add_head(f, -1, ODD, (struct ts_profile_sums){2, 0, 0, 0, 0});
    commit(f);
#define SEEN(first, last) "\"first_bucket\": " first ", \"last_bucket\": " last
#define EMPTY_NAME \
    "{\"function\": \"\", " SEEN( \
        "1732272038.5", "1732272038.5") ", \"locations\": [{\"raw_name\": \"___\"," \
                                        " \"file_name\": \"~\", \"line_number\": null, " SEEN("1732272038.5", \
                                                                                              "1732272038.5") "}]}"
#define ODD_NAME \
    "{\"function\": \"b,\\\"x\\\"\\n\", " SEEN( \
        "1732272028.5", \
        "1732272028.5") ", \"locations\": [{" \
                        "\"raw_name\": \"b,\\\"x\\\"\\n\", \"file_name\": \"\", \"line_number\": 0, " SEEN( \
                            "1732272028.5", "1732272028.5") "}]}"
    expect(
        f, TS_QUERY_FUNCTIONS, "",
        "{\"functions\": [" EMPTY_NAME ", " ODD_NAME ", {\"function\": \"sleep1\", " SEEN(
            "1732271998.5",
            "1732272028.5") ", \"locations\": [{\"raw_name\": \"_sleep1\","
                            " \"file_name\": null, \"line_number\": null, " SEEN(
                                "1732271998.5",
                                "1732271998.5") "}, {\"raw_name\":"
                                                " \"sleep1\", \"file_name\": \"/app/a.py\", \"line_number\": 7, " SEEN(
                                                    "1732271998.5", "1732272028.5") "}]}]}");
    expect(f, TS_QUERY_FUNCTIONS, "function=SLEEP?&format=json&fresh=false", "{\"functions\": []}");
    expect(f, TS_QUERY_FUNCTIONS, "function=_&function=__b*", "{\"functions\": [" EMPTY_NAME ", " ODD_NAME "]}");
    expect(f, TS_QUERY_LABELS, "",
           "{\"labels\": [{\"labels\": {\"host\": \"a\", \"service\": \"db\"}, \"first_bucket\": 1732272038.5, "
           "\"last_bucket\": 1732272038.5, \"profiles\": 1}, "
           "{\"labels\": " ODD ", \"first_bucket\": -31.5, \"last_bucket\": -11.5, \"profiles\": 3}, "
           "{\"labels\": {\"service\": \"web\"}, \"first_bucket\": 1732271998.5, \"last_bucket\": 1732272028.5, "
           "\"profiles\": 5}, "
           "{\"labels\": {}, \"first_bucket\": 1732271998.5, \"last_bucket\": 1732271998.5, \"profiles\": 2}]}");
    /* A value with everything that is escaped. */
    const char *text = ask(f, TS_QUERY_TOP, "label.service=we\"b,\\\n\x01");
    assert_non_null(text);
    assert_non_null(strstr(text, "\"from\": -31.5, \"to\": -1.5, \"profiles\": 3"));
}

static void test_empty_store(void **state)
{
    struct fixture *f = *state;
    commit(f);
    expect(f, TS_QUERY_FUNCTIONS, "", "{\"functions\": []}");
    expect(f, TS_QUERY_LABELS, "", "{\"labels\": []}");
    expect(f, TS_QUERY_TOP, "format=csv&fresh=true",
           "kind,function,cumtime,tottime,ncalls,pcalls\r\nother,,0,0,0,0\r\n");
    expect(f, TS_QUERY_BUCKETS, "format=csv&top=3", "kind,bucket,function,value\r\n");
    expect(f, TS_QUERY_BUCKETS, "format=csv&fill=true&by=label.x", "kind,bucket,label,value\r\n");
}

/* Stored sums at their bound, several of them: no overflow anywhere. */
static void test_saturated(void **state)
{
    struct fixture *f = *state;
    const int64_t top = INT64_MAX;
    const int64_t low = INT64_MIN;
    for (int i = 0; i < 3; i++) {
        add_head(f, i, i ? WEB : "{}", (struct ts_profile_sums){top, top, top, top, low});
        add(f, i, i ? WEB : "{}", "f", NULL, -1, (struct ts_sums){top, top, top, top});
        add(f, i, i ? WEB : "{}", "g", NULL, -1, (struct ts_sums){low, low, top, top});
    }
    commit(f);
    expect(f, TS_QUERY_TOP, "format=csv",
           "kind,function,cumtime,tottime,ncalls,pcalls\r\n"
           "function,f,27670116110.564327421,27670116110.564327421,27670116110564327421,27670116110564327421\r\n"
           "function,g,-27670116110.564327424,-27670116110.564327424,27670116110564327421,27670116110564327421\r\n"
           "other,,0,0,0,0\r\n");
    expect(f, TS_QUERY_BUCKETS, "time_slice=30&top=1&metric=ncalls",
           "{\"start_time\": 0, \"time_slice\": 30, \"metric\": \"ncalls\", \"unit\": \"calls\", \"from\": 0, "
           "\"to\": 30, \"buckets\": [0], \"profiles\": [27670116110564327421], "
           "\"exact_profiles\": [27670116110564327421], \"total_tt\": [27670116110.564327421], "
           "\"parts_missing\": [55340232221128654845], \"functions\": [{\"function\": \"f\", "
           "\"total\": 27670116110564327421, \"values\": [27670116110564327421]}], "
           "\"other\": {\"functions\": 1, \"total\": 27670116110564327421, \"values\": [27670116110564327421]}}");
    const char *text = ask(f, TS_QUERY_TOP, "");
    assert_non_null(strstr(text, "\"percall_cumtime\": 0.000000001,"));
    assert_non_null(strstr(text, "\"percall_cumtime\": -0.000000001,"));
}

/* A bucket may lie outside 64 bits of nanoseconds, widths reach 292 years. */
static void test_far(void **state)
{
    struct fixture *f = *state;
    f->grid = (struct ts_grid){.start_time = 250000000, .time_slice = 1000000};
    add_head(f, INT64_C(-9200000000000), "{}", (struct ts_profile_sums){1, 0, 0, 0, 0});
    add_head(f, INT64_C(9199999999999), "{}", (struct ts_profile_sums){1, 0, 0, 0, 0});
    commit(f);
    const char *text = ask(f, TS_QUERY_BUCKETS, "");
    assert_non_null(strstr(text, "\"from\": -9199999999.75, \"to\": 9200000000.25, "
                                 "\"buckets\": [-9199999999.75, 9200000000.249], "));
    text = ask(f, TS_QUERY_BUCKETS, "time_slice=292y&from=-9200000000&to=9200000000&fill=true");
    assert_non_null(text);
    assert_non_null(strstr(text, "\"from\": -9208511999.75, \"to\": 9208512000.25, "
                                 "\"buckets\": [-9208511999.75, 0.25], \"profiles\": [1, 1]"));
    f->grid.time_slice = 1; /* not the store's: bounds that no bucket number reaches */
    f->grid.start_time = INT64_C(-9200000000) * S;
    assert_non_null(ask(f, TS_QUERY_TOP, "from=9199999999&to=9200000000"));
    assert_non_null(ask(f, TS_QUERY_TOP, "last=292y"));
}

/* ---- Parameters ---- */

static void expect_rejected(struct fixture *f, enum ts_query_kind kind, const char *params, const char *parameter,
                            const char *message)
{
    struct ts_query *query = NULL;
    int r = parse(f, kind, params, &query);
    if (r != TS_EINVAL || query)
        fail_msg("\"%s\" is accepted (%d)", params, r);
    assert_int_equal(f->error.kind, TS_QUERY_BAD_PARAMETER);
    assert_string_equal(f->error.parameter, parameter);
    if (!strstr(f->error.message, message))
        fail_msg("%s: \"%s\" is not in: %s", params, message, f->error.message);
}

static void test_rejected(void **state)
{
    struct fixture *f = *state;
    static const struct {
        int kind;
        const char *params;
        const char *parameter;
        const char *message;
    } table[] = {
        {TS_QUERY_BUCKETS, "form=1", "form",
         "unknown parameter \"form\"; buckets accepts from, to, last, metric, function, "
         "label.KEY, by, top, time_slice, fill, format, fresh"},
        {TS_QUERY_TOP, "time_slice=10s", "time_slice", "top accepts from"},
        {TS_QUERY_TOP, "fill=true", "fill", "top accepts"},
        {TS_QUERY_FUNCTIONS, "from=1", "from", "functions accepts function, format, fresh"},
        {TS_QUERY_LABELS, "function=a", "function", "labels accepts format, fresh"},
        {TS_QUERY_TOP, "=1", "", "unknown parameter \"\""},
        {TS_QUERY_TOP, "From=1", "From", "unknown parameter"},
        {TS_QUERY_TOP, "label=web", "label", "unknown parameter"},
        {TS_QUERY_TOP, "from=1&from=1", "from", "more than once"},
        {TS_QUERY_TOP, "fresh=true&fresh=true", "fresh", "more than once"},
        {TS_QUERY_TOP, "metric=ncalls&by=function&metric=ncalls", "metric", "more than once"},
        {TS_QUERY_TOP, "from", "from", "no value"},
        {TS_QUERY_TOP, "function", "function", "no value"},
        {TS_QUERY_TOP, "label.a", "label.a", "no value"},
        {TS_QUERY_TOP, "from=", "from", "\"\" is not a time: epoch seconds"},
        {TS_QUERY_TOP, "to=yesterday", "to", "\"yesterday\" is not a time"},
        {TS_QUERY_TOP, "from=2&to=1", "from", "from 2 is after to 1"},
        {TS_QUERY_TOP, "from=now&to=-1ms", "from", "is after"},
        {TS_QUERY_TOP, "last=1h&from=1", "last", "cannot be combined"},
        {TS_QUERY_TOP, "to=now&last=1h", "last", "cannot be combined"},
        {TS_QUERY_TOP, "last=-1h", "last", "\"-1h\" is not a duration"},
        {TS_QUERY_TOP, "last=1 h", "last", "not a duration"},
        {TS_QUERY_TOP, "metric=calls", "metric", "\"calls\" is not one of cumtime, tottime, ncalls, pcalls"},
        {TS_QUERY_TOP, "metric=", "metric", "is not one of"},
        {TS_QUERY_TOP, "by=file", "by", "\"file\" is not one of function, location, label.KEY"},
        {TS_QUERY_TOP, "by=label.", "by", "is not a label key"},
        {TS_QUERY_TOP, "by=label.a-b", "by", "\"a-b\" is not a label key"},
        {TS_QUERY_TOP, "by=label.1a", "by", "\"1a\" is not a label key"},
        {TS_QUERY_TOP, "label.=x", "label.", "not a label key"},
        {TS_QUERY_TOP, "label.a b=x", "label.a b", "not a label key"},
        {TS_QUERY_TOP, "label.abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklm=x",
         "label.abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklm", "up to 64 bytes"},
        {TS_QUERY_TOP, "top=0", "top", "\"0\" is not a positive integer"},
        {TS_QUERY_TOP, "top=-1", "top", "not a positive integer"},
        {TS_QUERY_TOP, "top=", "top", "not a positive integer"},
        {TS_QUERY_TOP, "top=1.5", "top", "not a positive integer"},
        {TS_QUERY_TOP, "top=10x", "top", "not a positive integer"},
        {TS_QUERY_TOP, "top=+1", "top", "not a positive integer"},
        {TS_QUERY_BUCKETS, "time_slice=7s", "time_slice", "7s is not a multiple of the stored time_slice 10s"},
        {TS_QUERY_BUCKETS, "time_slice=5", "time_slice", "5 is not a multiple of the stored time_slice 10s"},
        {TS_QUERY_BUCKETS, "time_slice=10001ms", "time_slice", "10001ms is not a multiple"},
        {TS_QUERY_BUCKETS, "time_slice=0", "time_slice", "must not be 0; the stored time_slice is 10s"},
        {TS_QUERY_BUCKETS, "time_slice=-10s", "time_slice", "not a duration"},
        {TS_QUERY_BUCKETS, "fill=1", "fill", "\"1\" is not one of true, false"},
        {TS_QUERY_BUCKETS, "fill=TRUE", "fill", "true, false"},
        {TS_QUERY_BUCKETS, "fresh=", "fresh", "true, false"},
        {TS_QUERY_BUCKETS, "format=xml", "format", "\"xml\" is not one of json, csv"},
        {TS_QUERY_FUNCTIONS, "format=csv", "format", "functions supports only the format json"},
        {TS_QUERY_LABELS, "format=xml", "format", "is not one of json"},
        {TS_QUERY_TOP, "function=\xff", "function", "\"?\" is not a valid pattern: it must be UTF-8"},
        {TS_QUERY_TOP, "fr\xc3=1", "fr?", "unknown parameter \"fr?\""},
        /* The value is truncated, the last one within a character. */
        {TS_QUERY_TOP, "metric=123456789012345678901234567890123456789012345678901234567890", "metric",
         "7890\" is not"},
        {TS_QUERY_TOP, "metric=12345678901234567890123456789012345678901234567890123456789\xc3\xa9", "metric",
         "789?\" is not"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        expect_rejected(f, (enum ts_query_kind)table[i].kind, table[i].params, table[i].parameter, table[i].message);

    char many[4096] = "";
    for (int i = 0; i < 65; i++)
        strcat(many, "function=a&");
    expect_rejected(f, TS_QUERY_TOP, many, "function", "more than 64");
    many[0] = '\0';
    for (int i = 0; i < 65; i++)
        strcat(many, "label.a=b&");
    expect_rejected(f, TS_QUERY_TOP, many, "label.a", "more than 64");
    memset(many, 'a', 2000);
    memcpy(many, "function=", 9);
    many[2000] = '\0';
    expect_rejected(f, TS_QUERY_TOP, many, "function", "up to 1024 bytes");
    memset(many, 'a', 2000);
    expect_rejected(f, TS_QUERY_TOP, many,
                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                    "aaaaaaaaaaaaaa",
                    "unknown parameter");
}

static void test_accepted(void **state)
{
    struct fixture *f = *state;
    static const char *const good[] = {
        "",
        "from=1&to=1",
        "from=-90s&to=now",
        "from=2026-01-31&to=2026-01-31T10:00:00Z",
        "last=0",
        "last=1.5h",
        "top=1",
        "top=99999999999999999999999999999999",
        "top=007",
        "by=location&metric=pcalls",
        "by=label._x9",
        "label.a=&label.a=b&label.b=c",
        "function=&function=*&function=[",
        "time_slice=10",
        "time_slice=10000ms",
        "time_slice=1w",
        "fill=false",
        "format=csv&fresh=false",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct ts_query *query = NULL;
        if (parse(f, TS_QUERY_BUCKETS, good[i], &query))
            fail_msg("%s: %s", good[i], f->error.message);
        assert_int_equal(ts_query_csv(query), strstr(good[i], "csv") != NULL);
        assert_int_equal(ts_query_fresh(query, true), strstr(good[i], "fresh") == NULL);
        assert_false(ts_query_fresh(query, false));
        assert_null(ts_query_free(query));
    }
    struct ts_query *query = NULL;
    assert_int_equal(parse(f, TS_QUERY_LABELS, "fresh=true", &query), 0);
    assert_true(ts_query_fresh(query, false));
    ts_query_free(query);
    assert_null(ts_query_free(NULL));
}

/* ---- Limits and failures ---- */

static void expect_too_large(struct fixture *f, enum ts_query_kind kind, const char *params)
{
    if (ask(f, kind, params))
        fail_msg("%s is answered", params);
    assert_int_equal(f->error.kind, TS_QUERY_TOO_LARGE);
    assert_non_null(strstr(f->error.message, "more than 1000000 values"));
}

/* 1,001 functions in 1,000 buckets, by SQL: the store's own way would take longer than all other tests. */
static void test_too_large(void **state)
{
    struct fixture *f = *state;
    add_head(f, 0, "{}", (struct ts_profile_sums){1, 0, 0, 0, 0});
    add(f, 0, "{}", "f0", NULL, -1, (struct ts_sums){1, 1, 1, 1});
    commit(f);
    sqlite3 *db;
    f->store = ts_store_close(f->store);
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    const char *sql =
        "BEGIN;"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
        " INSERT INTO locations(id, raw_name) SELECT i + 1, 'f' || i FROM n;"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999)"
        " INSERT INTO profiles SELECT 0, i, 1, 1, 0, 0, 0, 0 FROM n;"
        "INSERT INTO sums SELECT 0, 5 + l.id % 3, 1, l.id, l.id, 0, 1, 1 FROM locations AS l WHERE l.id > 1;"
        "COMMIT";
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    /* Two walks, and the one row too many is found in the first. */
    expect_too_large(f, TS_QUERY_BUCKETS, "");
    /* Exactly a million is not more than that. */
    const char *text = ask(f, TS_QUERY_BUCKETS, "top=1000");
    assert_non_null(text);
    assert_non_null(
        strstr(text, "\"other\": {\"functions\": 1, \"total\": 0.000000001, \"values\": [0.000000001, 0, "));
    expect_too_large(f, TS_QUERY_BUCKETS, "top=1001");
    /* By name the 999th are out, so it is one walk, or two for `top`; the cells are the same. */
    char *one = strdup(ask(f, TS_QUERY_BUCKETS, "function=f1*&function=f7&to=10000"));
    assert_non_null(one);
    assert_non_null(strstr(one, "{\"function\": \"f1000\", \"total\": 0.000001001, \"values\": [0, 0, 0, 0, 0, 0, 0, "
                                "0.000001001, 0,"));
    free(one);
    text = ask(f, TS_QUERY_BUCKETS, "top=1&to=9");
    assert_non_null(strstr(text, "\"functions\": [{\"function\": \"f0\", \"total\": 0.000000001, \"values\": "
                                 "[0.000000001]}], \"other\": {\"functions\": 0, \"total\": 0, \"values\": [0]}}"));
    text = ask(f, TS_QUERY_BUCKETS, "top=2");
    assert_non_null(strstr(text, "[{\"function\": \"f1000\", \"total\": 0.000001001, \"values\": [0, 0, 0, 0, 0, 0, 0, "
                                 "0.000001001, 0, "));
    assert_non_null(strstr(text,
                           "\"other\": {\"functions\": 999, \"total\": 0.0004995, \"values\": [0.000000001, 0, 0, "
                           "0, 0, 0.000166833, 0.000166166, 0.0001665, 0, "));
    /* Buckets alone: asked for, or found far apart. */
    expect_too_large(f, TS_QUERY_BUCKETS, "fill=true&from=0&to=10000010&function=none");
    assert_non_null(ask(f, TS_QUERY_BUCKETS, "fill=true&from=0&to=10000000&function=none"));
    sql = "INSERT INTO profiles VALUES(0, 1000000000, 1, 1, 0, 0, 0, 0)";
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    expect_too_large(f, TS_QUERY_BUCKETS, "fill=true&function=none");
    assert_non_null(ask(f, TS_QUERY_BUCKETS, "function=none"));
    sqlite3_close(db);
}

static void expect_unavailable(struct fixture *f, enum ts_query_kind kind, const char *params)
{
    if (ask(f, kind, params))
        fail_msg("%s is answered", params);
    assert_int_equal(f->error.kind, TS_QUERY_STORE_UNAVAILABLE);
    assert_true(f->error.message[0]);
}

static void damage(struct fixture *f, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_damage(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{} ",
        "{\"a\"}",
        "{\"a\": 1}",
        "{\"a\": \"b\"",
        "{\"a\": \"b}",
        "{\"a\": \"b\", }",
        "{\"a\":\"b\"}",
        "{\"a\": \"\\x\"}",
        "{\"a\": \"\\u0\"}",
        "{\"a\": \"\\u0100\"}",
        "{\"a\": \"\\",
        "{\"a\": \"\\u00gg\"}",
        "{\"a\": \"b\"}}",
        "{\"a\": \"b\",\"c\": \"d\"}",
        "{, \"a\": \"b\"}",
    };
    fill(f);
    f->store = ts_store_close(f->store);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *sql = sqlite3_mprintf("UPDATE label_sets SET labels = %Q WHERE id = 2", bad[i]);
        damage(f, sql);
        sqlite3_free(sql);
        expect_unavailable(f, TS_QUERY_TOP, "");
        expect_unavailable(f, TS_QUERY_LABELS, "");
    }
    damage(f, "UPDATE label_sets SET labels = '{}' || id");
    damage(f, "DELETE FROM label_sets WHERE id = 2; UPDATE label_sets SET labels = '{\"a\": \"' || id || '\"}'");
    expect_unavailable(f, TS_QUERY_TOP, "");
    expect_unavailable(f, TS_QUERY_LABELS, "");
    damage(f, "INSERT INTO label_sets VALUES(2, '{}'); DELETE FROM profiles WHERE bucket = 173227203");
    assert_non_null(ask(f, TS_QUERY_TOP, ""));
    expect_unavailable(f, TS_QUERY_BUCKETS, "");
    damage(f, "DELETE FROM locations WHERE id = 1");
    expect_unavailable(f, TS_QUERY_TOP, "");
    damage(f, "DROP TABLE sums");
    expect_unavailable(f, TS_QUERY_TOP, "");
    expect_unavailable(f, TS_QUERY_BUCKETS, "");
    assert_non_null(ask(f, TS_QUERY_LABELS, "")); /* the reader is still good for what is there */
}

/* Numbers with gaps, as deleted names leave them. */
static void test_gaps(void **state)
{
    struct fixture *f = *state;
    fill(f);
    f->store = ts_store_close(f->store);
    damage(f, "UPDATE locations SET id = 4000000000 WHERE id = 3; UPDATE sums SET location = 4000000000"
              " WHERE location = 3; UPDATE locations SET id = 900 WHERE id = 1; UPDATE sums SET location = 900"
              " WHERE location = 1; UPDATE label_sets SET id = 77 WHERE id = 2; UPDATE sums SET labels = 77 WHERE"
              " labels = 2; UPDATE profiles SET labels = 77 WHERE labels = 2; DELETE FROM label_sets WHERE id > 100");
    expect(f, TS_QUERY_TOP, "format=csv&label.service=web",
           "kind,function,cumtime,tottime,ncalls,pcalls\r\nfunction,sleep1,3.2,0.000000004,2,2\r\n"
           "function,\"b,\"\"x\"\"\n\",0.25,0.25,3,3\r\nother,,0,0,0,0\r\n");
}

struct interrupter {
    struct ts_reader *reader;
    atomic_bool done;
};

static void *interrupt(void *data)
{
    struct interrupter *interrupter = data;
    while (!interrupter->done) {
        ts_reader_interrupt(interrupter->reader);
        usleep(100);
    }
    return NULL;
}

/* Another thread interrupts, again and again: one that comes before the query begins does not count. */
static void test_canceled(void **state)
{
    struct fixture *f = *state;
    static const char *const params[] = {"", "top=1", "by=location", "by=label.a"};
    fill(f);
    f->store = ts_store_close(f->store);
    damage(f, "BEGIN; INSERT INTO sums WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)"
              " SELECT 0, 173227203, 2, 1000 + i, 1, 1, 1, 1 FROM n; INSERT INTO locations(id, raw_name) SELECT"
              " location, 'f' || location FROM sums WHERE location >= 1000; COMMIT");
    for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
        struct interrupter interrupter = {.reader = f->reader};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, interrupt, &interrupter), 0);
        const char *text = ask(f, i % 2 ? TS_QUERY_TOP : TS_QUERY_BUCKETS, params[i]);
        interrupter.done = true;
        pthread_join(thread, NULL);
        assert_null(text);
        assert_int_equal(f->error.kind, TS_QUERY_STORE_UNAVAILABLE);
        assert_non_null(strstr(f->error.message, "interrupted"));
    }
    /* The reader is as good as before. */
    const char *text = ask(f, TS_QUERY_TOP, "format=csv&top=1");
    assert_string_equal(text, "kind,function,cumtime,tottime,ncalls,pcalls\r\nfunction,sleep1,4.2,0.000000005,12,7\r\n"
                              "other,,0.250199996,0.250200001,200004,200004\r\n");
}

/* Every allocation of every kind of query fails once, from the n-th on. */
static void test_no_memory(void **state)
{
    struct fixture *f = *state;
    static const struct {
        int kind;
        struct ts_query_param params[4];
        size_t n;
    } table[] = {
        {TS_QUERY_BUCKETS, {{"by", "location"}, {"function", "*"}, {"label.service", "web"}, {"top", "1"}}, 4},
        {TS_QUERY_BUCKETS, {{"fill", "true"}, {"from", "1732271000"}, {"format", "csv"}}, 3},
        {TS_QUERY_TOP, {{"by", "label.service"}, {"function", "f*"}}, 2},
        {TS_QUERY_FUNCTIONS, {{"function", "f[0-9]*"}}, 1},
        {TS_QUERY_LABELS, {{"fresh", "true"}}, 1},
    };
    for (int i = 0; i < 300; i++) { /* tables grow on the way */
        char name[16];
        snprintf(name, sizeof(name), "f%d", i);
        add(f, 173227203, WEB, name, "/app/b.py", i, (struct ts_sums){1, 1, 1, 1});
    }
    fill(f);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        int failures = 0;
        for (int r = TS_ENOMEM; r; failures++) {
            struct ts_query *query = NULL;
            struct ts_query_error error = {0};
            struct ts_buf out;
            ts_buf_init(&out);
            alloc_fail_at = failures;
            r = ts_query_parse((enum ts_query_kind)table[i].kind, table[i].params, table[i].n, &f->grid, NOW, &query,
                               &error);
            if (!r)
                r = query_text(query, f->reader, &out, &error);
            alloc_fail_at = -1;
            assert_int_equal(r == 0, out.len > 0);
            if (r) {
                assert_int_equal(r, TS_ENOMEM);
                assert_int_equal(error.kind, TS_QUERY_INTERNAL);
            }
            ts_query_free(query);
            ts_buf_deinit(&out);
        }
        assert_true(failures > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_buckets),     TEST(test_buckets_wide), TEST(test_top),  TEST(test_csv),      TEST(test_lists),
        TEST(test_empty_store), TEST(test_saturated),    TEST(test_far),  TEST(test_rejected), TEST(test_accepted),
        TEST(test_too_large),   TEST(test_damage),       TEST(test_gaps), TEST(test_canceled), TEST(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
