/* Responses in pieces: whatever size is asked for, the text is the same. */
#include "tests/unit/lib/query/query_fixture.h"

static const struct {
    enum ts_query_kind kind;
    const char *params;
} queries[] = {
    {TS_QUERY_BUCKETS, ""},
    {TS_QUERY_BUCKETS, "fill=true&top=2&by=location"},
    {TS_QUERY_BUCKETS, "format=csv&top=1"},
    {TS_QUERY_BUCKETS, "label.service=none"},
    {TS_QUERY_BUCKETS, "label.service=none&format=csv"},
    {TS_QUERY_TOP, ""},
    {TS_QUERY_TOP, "top=1&format=csv"},
    {TS_QUERY_DIFF, "before=..1732272010&after=1732272010.."},
    {TS_QUERY_DIFF, "before=..1732272010&after=1732272010..&format=csv&top=1"},
    {TS_QUERY_FUNCTIONS, ""},
    {TS_QUERY_FUNCTIONS, "function=none"},
    {TS_QUERY_LABELS, ""},
};
enum { N_QUERIES = sizeof(queries) / sizeof(queries[0]), PIECE_MAX = 700 };

static void fill(struct fixture *f)
{
    for (int i = 0; i < 30; i++) {
        char name[16];
        const char *labels = i % 2 ? WEB : DB;
        snprintf(name, sizeof(name), "%sf%d", i % 3 ? "" : "_", i % 7);
        add(f, T0 / 10 + i % 5, labels, name, i % 4 ? "a.py" : NULL, i, (struct ts_sums){i * S, i, i, i});
        add_profiles(f, T0 / 10 + i % 5, labels, (struct ts_profile_sums){1, 0, S, 0, 0});
    }
    commit(f);
}

static struct ts_response *start(struct fixture *f, int i, struct ts_query **ret_query)
{
    struct ts_response *response = NULL;
    assert_int_equal(parse(f, queries[i].kind, queries[i].params, ret_query), 0);
    assert_int_equal(ts_query_run(*ret_query, f->reader, &response, &f->error), 0);
    return response;
}

static void pieces_of_any_size_give_the_same_text(void **state)
{
    struct fixture *f = *state;
    f->with_resolution = true;
    fill(f);
    for (int i = 0; i < N_QUERIES; i++) {
        const char *expected = run(f, queries[i].kind, queries[i].params);
        assert_non_null(expected);
        for (size_t min_len = 1; min_len < 5000; min_len = min_len * 3 + 1) {
            struct ts_query *query = NULL;
            struct ts_response *response = start(f, i, &query);
            struct ts_buf out;
            bool more = true;
            ts_buf_init(&out);
            while (more) {
                size_t len = out.len;
                more = ts_response_write(response, &out, min_len);
                assert_true(!more || out.len - len >= min_len);
                assert_true(out.len - len <= min_len + PIECE_MAX);
            }
            /* Nothing follows the end. */
            size_t len = out.len;
            assert_false(ts_response_write(response, &out, min_len));
            assert_int_equal(out.len, len);
            assert_int_equal(out.len, strlen(expected));
            assert_memory_equal(out.data, expected, len);
            ts_buf_deinit(&out);
            ts_response_free(response);
            ts_query_free(query);
        }
    }
}

/* The reader may change to another state, or be closed, before the text is written. */
static void a_response_needs_no_reader(void **state)
{
    struct fixture *f = *state;
    f->with_resolution = true;
    fill(f);
    struct ts_query *started[N_QUERIES] = {NULL};
    struct ts_response *responses[N_QUERIES];
    char *expected[N_QUERIES];
    for (int i = 0; i < N_QUERIES; i++) {
        expected[i] = strdup(run(f, queries[i].kind, queries[i].params));
        responses[i] = start(f, i, &started[i]);
        assert_true(ts_response_memory(responses[i]) > 0);
    }
    add(f, T0 / 10, WEB, "other", NULL, -1, (struct ts_sums){S, S, 1, 1});
    commit(f);
    close_store(f);
    for (int i = 0; i < N_QUERIES; i++) {
        struct ts_buf out;
        ts_buf_init(&out);
        while (ts_response_write(responses[i], &out, 100)) {
        }
        assert_int_equal(out.len, strlen(expected[i]));
        assert_memory_equal(out.data, expected[i], out.len);
        ts_buf_deinit(&out);
        ts_response_free(responses[i]);
        ts_query_free(started[i]);
        free(expected[i]);
    }
    assert_null(ts_response_free(NULL));
}

static size_t memory_of(struct fixture *f, int i)
{
    struct ts_query *query = NULL;
    struct ts_response *response = start(f, i, &query);
    size_t memory = ts_response_memory(response);
    ts_response_free(response);
    ts_query_free(query);
    return memory;
}

static void the_memory_grows_with_the_result(void **state)
{
    struct fixture *f = *state;
    size_t before[N_QUERIES];
    fill(f);
    for (int i = 0; i < N_QUERIES; i++)
        before[i] = memory_of(f, i);
    for (int i = 0; i < 3000; i++) {
        char name[16];
        char labels[32];
        snprintf(name, sizeof(name), "none%d", i);
        snprintf(labels, sizeof(labels), "{\"service\": \"none%d\"}", i);
        add(f, T0 / 10, i % 2 ? WEB : labels, name, NULL, i, (struct ts_sums){S, S, 1, 1});
        add_profiles(f, T0 / 10, labels, (struct ts_profile_sums){.profiles = 1});
    }
    commit(f);
    for (int i = 0; i < N_QUERIES; i++) {
        bool names = queries[i].kind != TS_QUERY_FUNCTIONS || !*queries[i].params; /* its filter excludes them */
        size_t memory = memory_of(f, i);
        if (names ? memory < before[i] + 3000 * sizeof(uint32_t) : memory != before[i])
            fail_msg("%s: %zu bytes, then %zu", queries[i].params, before[i], memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pieces_of_any_size_give_the_same_text),
        TEST(a_response_needs_no_reader),
        TEST(the_memory_grows_with_the_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
