/*
 * Every allocation of a query over several levels, of a comparison and of a deletion request fails once, SQLite's too:
 * the error is reported, and the same query then gives the same response as before.
 */
#include "lib/query/delete.h"
#include "tests/support/query.h"
#include "tests/unit/failing_sqlite.h"
#include "tests/unit/lib/store/store_model.h"

static const int retention[] = {10, 300, 60, 3600, 600, 100000, 0};

struct kind {
    enum ts_query_kind kind;
    const char *params;
};

static const struct kind kinds[] = {
    {TS_QUERY_TOP, "by=location&top=2"},
    {TS_QUERY_BUCKETS, "last=2h&time_slice=600s&function=*a*"},
    {TS_QUERY_DIFF, "before=3h..1h&after=last:1h"},
    {TS_QUERY_FUNCTIONS, "function=?"},
    {TS_QUERY_LABELS, "fresh=false"},
    {TS_QUERY_BUCKETS, "format=csv&by=label.a"},
};

static int run(struct model *m, const struct kind *kind, struct ts_buf *out)
{
    struct ts_query_param params[8];
    struct ts_query_error error = {.message = ""};
    struct ts_query *query = NULL;
    struct ts_reader *reader = NULL;
    char text[128];
    snprintf(text, sizeof(text), "%s", kind->params);
    size_t n = query_params(text, params, 8);
    int r = ts_query_parse(kind->kind, params, n, &m->f->grid, m->horizon, &query, &error);
    if (!r)
        r = ts_reader_open(m->f->path, &reader, &m->f->error);
    if (!r)
        r = query_text(query, reader, out, &error);
    ts_reader_close(reader);
    ts_query_free(query);
    return r;
}

static void fill(struct model *m)
{
    for (int i = 0; i < 400; i++)
        model_add(m, m->horizon / (10 * S) - (int64_t)model_random(m, 1100), 1 + (uint32_t)model_random(m, 3),
                  1 + (uint32_t)model_random(m, 4), (int64_t)model_random(m, 1000));
    model_commit(m);
    while (model_maintain(m, 1000).more)
        ;
}

static void queries(void **state)
{
    struct model m;
    model_start(&m, *state, retention, 100000 * S, 51);
    fill(&m);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        struct ts_buf expected;
        ts_buf_init(&expected);
        assert_int_equal(run(&m, &kinds[i], &expected), 0);
        bool failed = true;
        int n = 0;
        for (; failed; n++) {
            struct ts_buf out;
            ts_buf_init(&out);
            alloc_fail_at = n;
            int r = run(&m, &kinds[i], &out);
            failed = alloc_fail_at < 0;
            alloc_fail_at = -1;
            assert_true(r == 0 || r == TS_ENOMEM || r == TS_ESTORE);
            if (r) {
                assert_int_equal(out.len, 0);
            } else {
                assert_int_equal(out.len, expected.len);
                assert_memory_equal(out.data, expected.data, out.len);
            }
            ts_buf_deinit(&out);
        }
        assert_true(n > 50);
        ts_buf_deinit(&expected);
    }
    model_end(&m);
}

static int request_deletion(struct model *m)
{
    struct ts_query_param params[8];
    struct ts_query_error error;
    struct ts_query *query = NULL;
    struct ts_reader *reader = NULL;
    struct ts_deletion *deletion = NULL;
    struct ts_buf out;
    char text[] = "function=*a&label.a=1";
    bool more = true;
    size_t n = query_params(text, params, 8);
    ts_buf_init(&out);
    int r = ts_query_parse(TS_QUERY_DELETE, params, n, &m->f->grid, m->horizon, &query, &error);
    if (!r)
        r = ts_reader_open(m->f->path, &reader, &m->f->error);
    if (!r)
        r = ts_query_deletion(query, reader, &deletion, &error);
    ts_reader_close(reader);
    while (!r && more)
        r = ts_deletion_step(deletion, m->store, 500, &more, &m->f->error); /* a dry run */
    if (!r) {
        ts_query_put_deletion(query, deletion, &out);
        r = ts_buf_failed(&out) ? TS_ENOMEM : 0;
    }
    ts_deletion_free(deletion);
    ts_query_free(query);
    ts_buf_deinit(&out);
    return r;
}

static void deletion_requests(void **state)
{
    struct model m;
    model_start(&m, *state, retention, 100000 * S, 52);
    fill(&m);
    assert_int_equal(request_deletion(&m), 0);
    bool failed = true;
    int n = 0;
    for (; failed; n++) {
        alloc_fail_at = n;
        int r = request_deletion(&m);
        failed = alloc_fail_at < 0;
        alloc_fail_at = -1;
        assert_true(r == 0 || r == TS_ENOMEM || r == TS_ESTORE);
    }
    assert_true(n > 50);
    model_expect_equal(&m);
    model_end(&m);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {T(queries), T(deletion_requests)};
    alloc_fail_once = true;
    fail_sqlite_too();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
