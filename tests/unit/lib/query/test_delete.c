/*
 * Deletion requests: the rows they select, the ranges they reject, the response.
 */
#include "lib/query/delete.h"
#include "tests/unit/lib/store/store_model.h"

static const int retention[] = {10, 300, 60, 100000, 0};

struct request {
    struct ts_query *query;
    struct ts_deletion *deletion;
    struct ts_query_error error;
    struct ts_buf out;
};

/* params: "name=value" texts, NULL ends them. */
static int prepare(struct model *m, struct request *request, const char *const *params)
{
    struct ts_query_param list[8];
    char texts[8][64];
    size_t n = 0;
    struct ts_reader *reader = NULL;
    *request = (struct request){.query = NULL};
    ts_buf_init(&request->out);
    for (; params[n]; n++) {
        snprintf(texts[n], sizeof(texts[n]), "%s", params[n]);
        char *equals = strchr(texts[n], '=');
        *equals = '\0';
        list[n] = (struct ts_query_param){texts[n], equals + 1};
    }
    int r = ts_query_parse(TS_QUERY_DELETE, list, n, &m->f->grid, m->horizon, &request->query, &request->error);
    if (r)
        return r;
    assert_int_equal(ts_reader_open(m->f->path, &reader, &m->f->error), 0);
    r = ts_query_deletion(request->query, reader, &request->deletion, &request->error);
    ts_reader_close(reader);
    return r;
}

static void end(struct request *request)
{
    ts_deletion_free(request->deletion);
    ts_query_free(request->query);
    ts_buf_deinit(&request->out);
}

static void expect_response(struct model *m, const char *const *params, const char *expected)
{
    struct request request;
    bool more = true;
    if (prepare(m, &request, params))
        fail_msg("%s: %s", ts_query_error_code(request.error.kind), request.error.message);
    while (more)
        assert_int_equal(ts_deletion_step(request.deletion, m->store, 3, &more, &m->f->error), 0);
    ts_query_put_deletion(request.query, request.deletion, &request.out);
    ts_buf_append(&request.out, "", 1);
    assert_string_equal(request.out.data, expected);
    end(&request);
}

static void fill(struct model *m)
{
    model_add(m, 9990, 1, 1, 4 * S); /* a */
    model_add(m, 9991, 2, 2, 6 * S); /* _a, a function of the same name */
    model_add(m, 9992, 3, 3, 8 * S); /* b */
    model_commit(m);
}

static void response(void **state)
{
    struct model m;
    model_start(&m, *state, retention, 100000 * S, 51);
    fill(&m);
    const char *dry = "{\"dry_run\": true, \"from\": null, \"to\": null, \"functions\": 1, \"label_sets\": 2,"
                      " \"buckets\": 2, \"rows\": 2, \"profiles\": 0, \"cumtime\": 10, \"tottime\": 5, \"ncalls\": 4,"
                      " \"pcalls\": 2}\n";
    expect_response(&m, (const char *const[]){"function=a", NULL}, dry);
    model_expect_equal(&m);
    /* All functions of some label sets, so the profiles too. */
    expect_response(&m, (const char *const[]){"label.b=2", "from=99900", "to=99960", "dry_run=false", NULL},
                    "{\"dry_run\": false, \"from\": 99900, \"to\": 99960, \"functions\": 1, \"label_sets\": 1,"
                    " \"buckets\": 1, \"rows\": 1, \"profiles\": 1, \"cumtime\": 8, \"tottime\": 4, \"ncalls\": 2,"
                    " \"pcalls\": 1}\n");
    model_execute(&m, "DELETE FROM deltas WHERE labels = 3; DELETE FROM heads WHERE labels = 3");
    model_expect_equal(&m);
    /* Some functions only: profiles stay. */
    expect_response(&m, (const char *const[]){"function=a", "dry_run=false", NULL},
                    "{\"dry_run\": false, \"from\": null, \"to\": null, \"functions\": 1, \"label_sets\": 2,"
                    " \"buckets\": 2, \"rows\": 2, \"profiles\": 0, \"cumtime\": 10, \"tottime\": 5, \"ncalls\": 4,"
                    " \"pcalls\": 2}\n");
    model_execute(&m, "DELETE FROM deltas");
    model_expect_equal(&m);
    expect_response(&m, (const char *const[]){"function=a", "dry_run=false", NULL},
                    "{\"dry_run\": false, \"from\": null, \"to\": null, \"functions\": 0, \"label_sets\": 0,"
                    " \"buckets\": 0, \"rows\": 0, \"profiles\": 0, \"cumtime\": 0, \"tottime\": 0, \"ncalls\": 0,"
                    " \"pcalls\": 0}\n");
    model_end(&m);
}

static void expect_error(struct model *m, const char *const *params, enum ts_query_error_kind kind,
                         const char *parameter, const char *message)
{
    struct request request;
    assert_int_equal(prepare(m, &request, params), TS_EINVAL);
    assert_null(request.deletion);
    assert_int_equal(request.error.kind, kind);
    assert_string_equal(request.error.parameter, parameter);
    if (!strstr(request.error.message, message))
        fail_msg("%s", request.error.message);
    end(&request);
}

/* Both ends must be ends of the finest buckets that are kept there. */
static void ends_within_a_bucket(void **state)
{
    struct model m;
    struct request request;
    model_start(&m, *state, retention, 100000 * S, 52);
    fill(&m);
    m.horizon += 1000 * S;
    while (model_maintain(&m, 10).more)
        ;
    model_add(&m, 10099, 1, 1, S); /* level 0 has the buckets from 10070 on */
    model_commit(&m);
    expect_error(&m, (const char *const[]){"from=99910", "function=a", NULL}, TS_QUERY_NOT_KEPT, "from",
                 "within a bucket of 1m, the finest kept there; use 99900 or 99960");
    expect_error(&m, (const char *const[]){"to=99910", "function=a", NULL}, TS_QUERY_NOT_KEPT, "to",
                 "use 99900 or 99960");
    expect_error(&m, (const char *const[]){"from=100995", "function=a", NULL}, TS_QUERY_NOT_KEPT, "from",
                 "within a bucket of 10s, the finest kept there; use 100990 or 101000");
    /* The last bucket that is deleted counts, not the narrower one after the end. */
    expect_error(&m, (const char *const[]){"to=100700", "function=a", NULL}, TS_QUERY_NOT_KEPT, "to",
                 "within a bucket of 1m, the finest kept there; use 100680 or 100740");
    assert_int_equal(prepare(&m, &request, (const char *const[]){"from=99900", "to=100990", "function=a", NULL}), 0);
    end(&request);
    model_end(&m);
}

static void levels_being_rebuilt(void **state)
{
    static const int before[] = {10, 300, 60, 100000, 0};
    static const int after[] = {10, 300, 90, 500, 180, 100000, 0}; /* 180 s is built from 60 s */
    struct model m;
    struct request request;
    const char *const params[] = {"function=a", NULL};
    model_start(&m, *state, before, 100000 * S, 53);
    fill(&m);
    m.horizon += 1000 * S;
    while (model_maintain(&m, 10).more)
        ;
    ts_store_close(m.store);
    model_open(&m, after);
    assert_false(ts_deletion_possible(ts_store_levels(m.store)));
    expect_error(&m, params, TS_QUERY_STORE_UNAVAILABLE, "", "being rebuilt; try again later");
    while (model_maintain(&m, 10).more)
        ;
    assert_int_equal(prepare(&m, &request, params), 0);
    end(&request);
    model_end(&m);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(response),
        T(ends_within_a_bucket),
        T(levels_being_rebuilt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
