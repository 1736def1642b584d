/*
 * Running queries: exact responses, limits, a damaged store, interruption, failed allocations. test_model.c has random
 * stores.
 */
#include "tests/unit/failing_alloc.h"
#include "tests/unit/lib/query/query_fixture.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

/* ---- Exact texts ---- */

#define ODD "{\"service\": \"we\\\"b,\\\\\\n\\u0001\"}"

static void fill(struct fixture *f)
{
    add_profiles(f, 173227200, "{}", (struct ts_profile_sums){2, 0, 1000000000, 4, 3});
    add_profiles(f, 173227200, WEB, (struct ts_profile_sums){1, 1, 100000000, 0, 0});
    add_profiles(f, 173227203, WEB, (struct ts_profile_sums){4, 4, 2200000000, 0, 0});
    add_profiles(f, 173227204, DB, (struct ts_profile_sums){1, 0, 1, 0, 1});
    add(f, 173227200, "{}", "sleep1", "/app/a.py", 7, (struct ts_sums){1000000000, 1, 10, 5});
    add(f, 173227200, WEB, "_sleep1", NULL, -1, (struct ts_sums){100000000, 1, 2, 2});
    add(f, 173227203, WEB, "sleep1", "/app/a.py", 7, (struct ts_sums){3100000000, 3, 0, 0});
    add(f, 173227203, WEB, "b,\"x\"\n", "", 0, (struct ts_sums){250000000, 250000000, 3, 3});
    add(f, 173227204, DB, "___", "~", -1, (struct ts_sums){-5, 0, 0, 0});
    commit(f);
}

static void buckets_as_json(void **state)
{
    struct fixture *f = *state;
    fill(f);
    expect_response(
        f, TS_QUERY_BUCKETS, "from=1732272000&to=1732272040",
        "{\"start_time\": 0, \"time_slice\": 10, \"metric\": \"cumtime\", \"unit\": \"seconds\", "
        "\"from\": 1732272000, \"to\": 1732272040, \"buckets\": [1732272000, 1732272030], \"profiles\": [3, 4], "
        "\"exact_profiles\": [1, 4], \"total_tt\": [1.1, 2.2], \"parts_missing\": [1, 0], "
        "\"functions\": [{\"function\": \"sleep1\", \"total\": 4.2, \"values\": [1.1, 3.1]}, "
        "{\"function\": \"b,\\\"x\\\"\\n\", \"total\": 0.25, \"values\": [0, 0.25]}], "
        "\"other\": {\"functions\": 0, \"total\": 0, \"values\": [0, 0]}}");
    /* A filter of functions does not change the buckets; a filter of labels does. */
    expect_response(
        f, TS_QUERY_BUCKETS, "function=__s*1&metric=ncalls&label.service=web",
        "{\"start_time\": 0, \"time_slice\": 10, \"metric\": \"ncalls\", \"unit\": \"calls\", "
        "\"from\": 1732272000, \"to\": 1732272040, \"buckets\": [1732272000, 1732272030], \"profiles\": [1, 4], "
        "\"exact_profiles\": [1, 4], \"total_tt\": [0.1, 2.2], \"parts_missing\": [0, 0], "
        "\"functions\": [{\"function\": \"sleep1\", \"total\": 2, \"values\": [2, 0]}], "
        "\"other\": {\"functions\": 0, \"total\": 0, \"values\": [0, 0]}}");
}

static void buckets_wider_than_the_stored_ones(void **state)
{
    struct fixture *f = *state;
    fill(f);
    expect_response(
        f, TS_QUERY_BUCKETS, "time_slice=30s&by=location&top=2&fill=true&from=1732271999&to=1732272061",
        "{\"start_time\": 0, \"time_slice\": 30, \"metric\": \"cumtime\", \"unit\": \"seconds\", "
        "\"from\": 1732271970, \"to\": 1732272090, \"buckets\": [1732271970, 1732272000, 1732272030, 1732272060], "
        "\"profiles\": [0, 3, 5, 0], \"exact_profiles\": [0, 1, 4, 0], \"total_tt\": [0, 1.1, 2.200000001, 0], "
        "\"parts_missing\": [0, 1, 1, 0], "
        "\"functions\": [{\"function\": \"sleep1\", \"file_name\": \"/app/a.py\", \"line_number\": 7, "
        "\"raw_name\": \"sleep1\", \"total\": 4.1, \"values\": [0, 1, 3.1, 0]}, "
        "{\"function\": \"b,\\\"x\\\"\\n\", \"file_name\": \"\", \"line_number\": 0, "
        "\"raw_name\": \"b,\\\"x\\\"\\n\", \"total\": 0.25, \"values\": [0, 0, 0.25, 0]}], "
        "\"other\": {\"functions\": 2, \"total\": 0.099999995, \"values\": [0, 0.1, -0.000000005, 0]}}");
    expect_response(f, TS_QUERY_BUCKETS, "by=label.host&time_slice=1m",
                    "{\"start_time\": 0, \"time_slice\": 60, \"metric\": \"tottime\", \"unit\": \"seconds\", "
                    "\"from\": 1732272000, \"to\": 1732272060, \"buckets\": [1732272000], \"profiles\": [8], "
                    "\"exact_profiles\": [5], \"total_tt\": [3.300000001], \"parts_missing\": [0], "
                    "\"functions\": [{\"label\": null, \"total\": 0.250000005, \"values\": [0.250000005]}, "
                    "{\"label\": \"a\", \"total\": 0, \"values\": [0]}], "
                    "\"other\": {\"functions\": 0, \"total\": 0, \"values\": [0]}}");
    expect_response(
        f, TS_QUERY_BUCKETS, "label.service=none",
        "{\"start_time\": 0, \"time_slice\": 10, \"metric\": \"cumtime\", \"unit\": \"seconds\", "
        "\"from\": null, \"to\": null, \"buckets\": [], \"profiles\": [], \"exact_profiles\": [], \"total_tt\": [], "
        "\"parts_missing\": [], \"functions\": [], \"other\": {\"functions\": 0, \"total\": 0, \"values\": []}}");
    expect_response(
        f, TS_QUERY_BUCKETS, "from=1732272000&to=1732272000&fill=true",
        "{\"start_time\": 0, \"time_slice\": 10, \"metric\": \"cumtime\", \"unit\": \"seconds\", "
        "\"from\": 1732272000, \"to\": 1732272000, \"buckets\": [], \"profiles\": [], \"exact_profiles\": [], "
        "\"total_tt\": [], \"parts_missing\": [], \"functions\": [], "
        "\"other\": {\"functions\": 0, \"total\": 0, \"values\": []}}");
    /* last=30s: 1732272070 to 1732272100 */
    expect_response(f, TS_QUERY_BUCKETS, "last=30s&fill=true",
                    "{\"start_time\": 0, \"time_slice\": 10, \"metric\": \"cumtime\", \"unit\": \"seconds\", "
                    "\"from\": 1732272070, \"to\": 1732272100, \"buckets\": [1732272070, 1732272080, 1732272090], "
                    "\"profiles\": [0, 0, 0], \"exact_profiles\": [0, 0, 0], \"total_tt\": [0, 0, 0], "
                    "\"parts_missing\": [0, 0, 0], \"functions\": [], "
                    "\"other\": {\"functions\": 0, \"total\": 0, \"values\": [0, 0, 0]}}");
}

static void top_as_json(void **state)
{
    struct fixture *f = *state;
    fill(f);
    expect_response(f, TS_QUERY_TOP, "top=1",
                    "{\"from\": 1732272000, \"to\": 1732272050, \"profiles\": 8, \"total_tt\": 3.300000001, "
                    "\"metric\": \"cumtime\", \"functions\": [{\"function\": \"sleep1\", \"cumtime\": 4.2, "
                    "\"tottime\": 0.000000005, \"ncalls\": 12, \"pcalls\": 7, \"percall_cumtime\": 0.6, "
                    "\"percall_tottime\": 0}], \"other\": {\"functions\": 2, \"cumtime\": 0.249999995, "
                    "\"tottime\": 0.25, \"ncalls\": 3, \"pcalls\": 3, \"percall_cumtime\": 0.083333332, "
                    "\"percall_tottime\": 0.083333333}}");
    /* metric changes only the order. */
    expect_response(
        f, TS_QUERY_TOP, "metric=tottime&function=*x*&function=&from=1732272035",
        "{\"from\": 1732272030, \"to\": 1732272050, \"profiles\": 5, \"total_tt\": 2.200000001, "
        "\"metric\": \"tottime\", \"functions\": [{\"function\": \"b,\\\"x\\\"\\n\", \"cumtime\": 0.25, "
        "\"tottime\": 0.25, \"ncalls\": 3, \"pcalls\": 3, \"percall_cumtime\": 0.083333333, "
        "\"percall_tottime\": 0.083333333}, {\"function\": \"\", \"cumtime\": -0.000000005, \"tottime\": 0, "
        "\"ncalls\": 0, \"pcalls\": 0, \"percall_cumtime\": null, \"percall_tottime\": null}], "
        "\"other\": {\"functions\": 0, \"cumtime\": 0, \"tottime\": 0, \"ncalls\": 0, \"pcalls\": 0, "
        "\"percall_cumtime\": null, \"percall_tottime\": null}}");
    expect_response(f, TS_QUERY_TOP, "to=1000",
                    "{\"from\": null, \"to\": 1000, \"profiles\": 0, \"total_tt\": 0, \"metric\": \"cumtime\", "
                    "\"functions\": [], \"other\": {\"functions\": 0, \"cumtime\": 0, \"tottime\": 0, \"ncalls\": 0, "
                    "\"pcalls\": 0, \"percall_cumtime\": null, \"percall_tottime\": null}}");
}

static void buckets_and_top_as_csv(void **state)
{
    struct fixture *f = *state;
    fill(f);
    expect_response(f, TS_QUERY_BUCKETS, "format=csv&from=1732272000&to=1732272040&top=1",
                    "kind,bucket,function,value\r\n"
                    "function,1732272000,sleep1,1.1\r\nfunction,1732272030,sleep1,3.1\r\n"
                    "other,1732272000,,0\r\nother,1732272030,,0.25\r\n");
    expect_response(f, TS_QUERY_BUCKETS, "format=csv&by=location&time_slice=1m",
                    "kind,bucket,function,file_name,line_number,raw_name,value\r\n"
                    "function,1732272000,sleep1,/app/a.py,7,sleep1,4.1\r\n"
                    "function,1732272000,\"b,\"\"x\"\"\n\",,0,\"b,\"\"x\"\"\n\",0.25\r\n"
                    "function,1732272000,sleep1,,,_sleep1,0.1\r\nfunction,1732272000,,~,,___,-0.000000005\r\n"
                    "other,1732272000,,,,,0\r\n");
    expect_response(f, TS_QUERY_TOP, "format=csv",
                    "kind,function,cumtime,tottime,ncalls,pcalls\r\nfunction,sleep1,4.2,0.000000005,12,7\r\n"
                    "function,\"b,\"\"x\"\"\n\",0.25,0.25,3,3\r\nfunction,,-0.000000005,0,0,0\r\nother,,0,0,0,0\r\n");
    expect_response(
        f, TS_QUERY_TOP, "format=csv&by=location&top=1",
        "kind,function,file_name,line_number,raw_name,cumtime,tottime,ncalls,pcalls\r\n"
        "function,sleep1,/app/a.py,7,sleep1,4.1,0.000000004,10,5\r\nother,,,,,0.349999995,0.250000001,5,5\r\n");
    expect_response(f, TS_QUERY_TOP, "format=csv&by=label.service&function=s*",
                    "kind,label,cumtime,tottime,ncalls,pcalls\r\nfunction,web,3.2,0.000000004,2,2\r\n"
                    "function,,1,0.000000001,10,5\r\nother,,0,0,0,0\r\n");
}

/* The buckets of fill(), with a start_time of -1.5 s. */
#define FIRST "\"first_bucket\": 1732271998.5, \"last_bucket\": 1732271998.5"
#define THIRD "\"first_bucket\": 1732272028.5, \"last_bucket\": 1732272028.5"
#define FOURTH "\"first_bucket\": 1732272038.5, \"last_bucket\": 1732272038.5"
#define FIRST_TO_THIRD "\"first_bucket\": 1732271998.5, \"last_bucket\": 1732272028.5"
#define EMPTY_NAME \
    "{\"function\": \"\", " FOURTH \
    ", \"locations\": [{\"raw_name\": \"___\", \"file_name\": \"~\", \"line_number\": null, " FOURTH "}]}"
#define ODD_NAME \
    "{\"function\": \"b,\\\"x\\\"\\n\", " THIRD \
    ", \"locations\": [{\"raw_name\": \"b,\\\"x\\\"\\n\", \"file_name\": \"\", \"line_number\": 0, " THIRD "}]}"

static void lists_of_functions_and_label_sets(void **state)
{
    struct fixture *f = *state;
    f->grid.start_time = -1500000000;
    fill(f);
    add_profiles(f, -3, ODD, (struct ts_profile_sums){1, 0, 0, 0, 0});
    add_profiles(f, -1, ODD, (struct ts_profile_sums){2, 0, 0, 0, 0});
    commit(f);
    expect_response(f, TS_QUERY_FUNCTIONS, "",
                    "{\"functions\": [" EMPTY_NAME ", " ODD_NAME ", {\"function\": \"sleep1\", " FIRST_TO_THIRD
                    ", \"locations\": [{\"raw_name\": \"_sleep1\", \"file_name\": null, \"line_number\": null, " FIRST
                    "}, {\"raw_name\": \"sleep1\", \"file_name\": \"/app/a.py\", \"line_number\": 7, " FIRST_TO_THIRD
                    "}]}]}");
    expect_response(f, TS_QUERY_FUNCTIONS, "function=SLEEP?&format=json&fresh=false", "{\"functions\": []}");
    expect_response(f, TS_QUERY_FUNCTIONS, "function=_&function=__b*",
                    "{\"functions\": [" EMPTY_NAME ", " ODD_NAME "]}");
    expect_response(f, TS_QUERY_LABELS, "",
                    "{\"labels\": [{\"labels\": {\"host\": \"a\", \"service\": \"db\"}, " FOURTH ", \"profiles\": 1}, "
                    "{\"labels\": " ODD ", \"first_bucket\": -31.5, \"last_bucket\": -11.5, \"profiles\": 3}, "
                    "{\"labels\": {\"service\": \"web\"}, " FIRST_TO_THIRD ", \"profiles\": 5}, "
                    "{\"labels\": {}, " FIRST ", \"profiles\": 2}]}");
    /* A value with all kinds of escaped characters. */
    const char *text = run(f, TS_QUERY_TOP, "label.service=we\"b,\\\n\x01");
    assert_non_null(text);
    assert_non_null(strstr(text, "\"from\": -31.5, \"to\": -1.5, \"profiles\": 3"));
}

static void an_empty_store(void **state)
{
    struct fixture *f = *state;
    commit(f);
    expect_response(f, TS_QUERY_FUNCTIONS, "", "{\"functions\": []}");
    expect_response(f, TS_QUERY_LABELS, "", "{\"labels\": []}");
    expect_response(f, TS_QUERY_TOP, "format=csv&fresh=true",
                    "kind,function,cumtime,tottime,ncalls,pcalls\r\nother,,0,0,0,0\r\n");
    expect_response(f, TS_QUERY_BUCKETS, "format=csv&top=3", "kind,bucket,function,value\r\n");
    expect_response(f, TS_QUERY_BUCKETS, "format=csv&fill=true&by=label.x", "kind,bucket,label,value\r\n");
}

static void sums_at_the_bounds_of_64_bits(void **state)
{
    struct fixture *f = *state;
    const int64_t top = INT64_MAX;
    const int64_t low = INT64_MIN;
    for (int i = 0; i < 3; i++) {
        add_profiles(f, i, i ? WEB : "{}", (struct ts_profile_sums){top, top, top, top, low});
        add(f, i, i ? WEB : "{}", "f", NULL, -1, (struct ts_sums){top, top, top, top});
        add(f, i, i ? WEB : "{}", "g", NULL, -1, (struct ts_sums){low, low, top, top});
    }
    commit(f);
    expect_response(
        f, TS_QUERY_TOP, "format=csv",
        "kind,function,cumtime,tottime,ncalls,pcalls\r\n"
        "function,f,27670116110.564327421,27670116110.564327421,27670116110564327421,27670116110564327421\r\n"
        "function,g,-27670116110.564327424,-27670116110.564327424,27670116110564327421,27670116110564327421\r\n"
        "other,,0,0,0,0\r\n");
    expect_response(
        f, TS_QUERY_BUCKETS, "time_slice=30&top=1&metric=ncalls",
        "{\"start_time\": 0, \"time_slice\": 30, \"metric\": \"ncalls\", \"unit\": \"calls\", \"from\": 0, "
        "\"to\": 30, \"buckets\": [0], \"profiles\": [27670116110564327421], "
        "\"exact_profiles\": [27670116110564327421], \"total_tt\": [27670116110.564327421], "
        "\"parts_missing\": [55340232221128654845], \"functions\": [{\"function\": \"f\", "
        "\"total\": 27670116110564327421, \"values\": [27670116110564327421]}], "
        "\"other\": {\"functions\": 1, \"total\": 27670116110564327421, \"values\": [27670116110564327421]}}");
    const char *text = run(f, TS_QUERY_TOP, "");
    assert_non_null(strstr(text, "\"percall_cumtime\": 0.000000001,"));
    assert_non_null(strstr(text, "\"percall_cumtime\": -0.000000001,"));
}

static void times_at_the_bounds(void **state)
{
    struct fixture *f = *state;
    f->grid = (struct ts_grid){.start_time = 250000000, .time_slice = 1000000};
    add_profiles(f, INT64_C(-9200000000000), "{}", (struct ts_profile_sums){1, 0, 0, 0, 0});
    add_profiles(f, INT64_C(9199999999999), "{}", (struct ts_profile_sums){1, 0, 0, 0, 0});
    commit(f);
    const char *text = run(f, TS_QUERY_BUCKETS, "");
    assert_non_null(strstr(text, "\"from\": -9199999999.75, \"to\": 9200000000.25, "
                                 "\"buckets\": [-9199999999.75, 9200000000.249], "));
    text = run(f, TS_QUERY_BUCKETS, "time_slice=292y&from=-9200000000&to=9200000000&fill=true");
    assert_non_null(text);
    assert_non_null(strstr(text, "\"from\": -9208511999.75, \"to\": 9208512000.25, "
                                 "\"buckets\": [-9208511999.75, 0.25], \"profiles\": [1, 1]"));
    f->grid.time_slice = 1; /* not the store's: positions are clamped */
    f->grid.start_time = INT64_C(-9200000000) * S;
    assert_non_null(run(f, TS_QUERY_TOP, "from=9199999999&to=9200000000"));
    assert_non_null(run(f, TS_QUERY_TOP, "last=292y"));
}

/* ---- Limits and failures ---- */

static void expect_too_large(struct fixture *f, enum ts_query_kind kind, const char *params)
{
    if (run(f, kind, params))
        fail_msg("%s is not rejected", params);
    assert_int_equal(f->error.kind, TS_QUERY_TOO_LARGE);
    assert_non_null(strstr(f->error.message, "more than 1000000 values"));
}

/* 1,001 functions in 1,000 buckets, inserted by SQL because commits would take longer than all other tests. */
static void too_many_values_are_rejected(void **state)
{
    struct fixture *f = *state;
    add_profiles(f, 0, "{}", (struct ts_profile_sums){1, 0, 0, 0, 0});
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
    /* Two walks over the sums; the first finds one row too many. */
    expect_too_large(f, TS_QUERY_BUCKETS, "");
    /* Exactly a million is accepted. */
    const char *text = run(f, TS_QUERY_BUCKETS, "top=1000");
    assert_non_null(text);
    assert_non_null(
        strstr(text, "\"other\": {\"functions\": 1, \"total\": 0.000000001, \"values\": [0.000000001, 0, "));
    expect_too_large(f, TS_QUERY_BUCKETS, "top=1001");
    /* One walk with few functions, two with `top`; the cells are the same. */
    char *one = strdup(run(f, TS_QUERY_BUCKETS, "function=f1*&function=f7&to=10000"));
    assert_non_null(one);
    assert_non_null(strstr(one, "{\"function\": \"f1000\", \"total\": 0.000001001, \"values\": [0, 0, 0, 0, 0, 0, 0, "
                                "0.000001001, 0,"));
    free(one);
    text = run(f, TS_QUERY_BUCKETS, "top=1&to=9");
    assert_non_null(strstr(text, "\"functions\": [{\"function\": \"f0\", \"total\": 0.000000001, \"values\": "
                                 "[0.000000001]}], \"other\": {\"functions\": 0, \"total\": 0, \"values\": [0]}}"));
    text = run(f, TS_QUERY_BUCKETS, "top=2");
    assert_non_null(strstr(text, "[{\"function\": \"f1000\", \"total\": 0.000001001, \"values\": [0, 0, 0, 0, 0, 0, 0, "
                                 "0.000001001, 0, "));
    assert_non_null(strstr(text,
                           "\"other\": {\"functions\": 999, \"total\": 0.0004995, \"values\": [0.000000001, 0, 0, "
                           "0, 0, 0.000166833, 0.000166166, 0.0001665, 0, "));
    /* Too many buckets, with or without profiles. */
    expect_too_large(f, TS_QUERY_BUCKETS, "fill=true&from=0&to=10000010&function=none");
    assert_non_null(run(f, TS_QUERY_BUCKETS, "fill=true&from=0&to=10000000&function=none"));
    sql = "INSERT INTO profiles VALUES(0, 1000000000, 1, 1, 0, 0, 0, 0)";
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    expect_too_large(f, TS_QUERY_BUCKETS, "fill=true&function=none");
    assert_non_null(run(f, TS_QUERY_BUCKETS, "function=none"));
    sqlite3_close(db);
}

static void expect_unavailable(struct fixture *f, enum ts_query_kind kind, const char *params)
{
    if (run(f, kind, params))
        fail_msg("%s is not rejected", params);
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

static void a_damaged_store_is_reported(void **state)
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
    assert_non_null(run(f, TS_QUERY_TOP, ""));
    expect_unavailable(f, TS_QUERY_BUCKETS, "");
    damage(f, "DELETE FROM locations WHERE id = 1");
    expect_unavailable(f, TS_QUERY_TOP, "");
    damage(f, "DROP TABLE sums");
    expect_unavailable(f, TS_QUERY_TOP, "");
    expect_unavailable(f, TS_QUERY_BUCKETS, "");
    assert_non_null(run(f, TS_QUERY_LABELS, "")); /* the reader is still usable */
}

static void ids_have_gaps_after_deletions(void **state)
{
    struct fixture *f = *state;
    fill(f);
    f->store = ts_store_close(f->store);
    damage(f, "UPDATE locations SET id = 4000000000 WHERE id = 3; UPDATE sums SET location = 4000000000"
              " WHERE location = 3; UPDATE locations SET id = 900 WHERE id = 1; UPDATE sums SET location = 900"
              " WHERE location = 1; UPDATE label_sets SET id = 77 WHERE id = 2; UPDATE sums SET labels = 77 WHERE"
              " labels = 2; UPDATE profiles SET labels = 77 WHERE labels = 2; DELETE FROM label_sets WHERE id > 100");
    expect_response(f, TS_QUERY_TOP, "format=csv&label.service=web",
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

/* Another thread interrupts repeatedly, because an interrupt before the query begins is lost. */
static void a_query_can_be_interrupted(void **state)
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
        const char *text = run(f, i % 2 ? TS_QUERY_TOP : TS_QUERY_BUCKETS, params[i]);
        interrupter.done = true;
        pthread_join(thread, NULL);
        assert_null(text);
        assert_int_equal(f->error.kind, TS_QUERY_STORE_UNAVAILABLE);
        assert_non_null(strstr(f->error.message, "interrupted"));
    }
    /* The reader is still usable. */
    const char *text = run(f, TS_QUERY_TOP, "format=csv&top=1");
    assert_string_equal(text, "kind,function,cumtime,tottime,ncalls,pcalls\r\nfunction,sleep1,4.2,0.000000005,12,7\r\n"
                              "other,,0.250199996,0.250200001,200004,200004\r\n");
}

/* For each n, all allocations from the n-th on fail. */
static void every_failed_allocation_is_reported(void **state)
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
    for (int i = 0; i < 300; i++) { /* so many that tables must grow */
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
        TEST(buckets_as_json),
        TEST(buckets_wider_than_the_stored_ones),
        TEST(top_as_json),
        TEST(buckets_and_top_as_csv),
        TEST(lists_of_functions_and_label_sets),
        TEST(an_empty_store),
        TEST(sums_at_the_bounds_of_64_bits),
        TEST(times_at_the_bounds),
        TEST(too_many_values_are_rejected),
        TEST(a_damaged_store_is_reported),
        TEST(ids_have_gaps_after_deletions),
        TEST(a_query_can_be_interrupted),
        TEST(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
