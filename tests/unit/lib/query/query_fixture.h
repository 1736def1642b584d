/*
 * Shared by the tests of queries: a store in a temporary folder, what was added to it, and functions that run a query.
 */
#ifndef QUERY_FIXTURE_H
#define QUERY_FIXTURE_H

#include "lib/query/query.h"
#include "tests/support/query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define S TS_NS_PER_S
#define T0 INT64_C(1732272000)
#define NOW ((T0 + 100) * S)

#define WEB "{\"service\": \"web\"}"
#define DB "{\"host\": \"a\", \"service\": \"db\"}"

enum { FACTS_MAX = 4000 };

struct fact {
    int64_t bucket;
    uint32_t labels;   /* index into intern.items */
    uint32_t location; /* likewise */
    struct ts_sums sums;
};

struct profiles {
    int64_t bucket;
    uint32_t labels;
    struct ts_profile_sums sums;
};

struct fixture {
    char folder[64];
    char path[96];
    struct ts_grid grid;
    struct ts_store *store;
    struct ts_reader *reader;
    struct ts_counters counters;
    struct ts_intern locations;
    struct ts_intern label_sets;
    uint32_t committed_locations;
    uint32_t committed_label_sets;
    struct fact facts[FACTS_MAX];
    size_t n_facts;
    struct profiles profiles[FACTS_MAX];
    size_t n_profiles;
    struct ts_query_error error;
    char *text;           /* the last response, after a prefix */
    bool with_resolution; /* false: from_resolution and to_resolution are cut out of responses */
};

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    if (!f)
        return -1;
    strcpy(f->folder, "/tmp/query-test-XXXXXX");
    if (!mkdtemp(f->folder))
        return -1;
    snprintf(f->path, sizeof(f->path), "%s/t.db", f->folder);
    f->grid = (struct ts_grid){.start_time = 0, .time_slice = 10 * S};
    ts_counters_init(&f->counters);
    ts_intern_init(&f->locations);
    ts_intern_init(&f->label_sets);
    *state = f;
    return 0;
}

static inline void close_store(struct fixture *f)
{
    f->reader = ts_reader_close(f->reader);
    f->store = ts_store_close(f->store);
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", f->folder);
    close_store(f);
    ts_counters_deinit(&f->counters);
    ts_intern_deinit(&f->locations);
    ts_intern_deinit(&f->label_sets);
    free(f->text);
    free(f);
    return system(command);
}

static inline struct ts_str str(const char *text)
{
    return text ? (struct ts_str){text, strlen(text)} : (struct ts_str){0};
}

static inline void add(struct fixture *f, int64_t bucket, const char *labels, const char *raw, const char *file,
                       int line, struct ts_sums sums)
{
    struct ts_location set = {.raw_name = str(labels), .line_number = -1};
    struct ts_location location = {.raw_name = str(raw), .file_name = str(file), .line_number = line};
    struct fact *fact = &f->facts[f->n_facts++];
    assert_true(f->n_facts <= FACTS_MAX);
    *fact = (struct fact){.bucket = bucket, .sums = sums};
    assert_int_equal(ts_intern_add(&f->label_sets, &set, &fact->labels), 0);
    assert_int_equal(ts_intern_add(&f->locations, &location, &fact->location), 0);
    assert_int_equal(ts_counters_reserve(&f->counters, 1), 0);
    ts_counters_add(&f->counters, bucket, fact->labels + 1, fact->location + 1, &sums);
}

static inline void add_profiles(struct fixture *f, int64_t bucket, const char *labels, struct ts_profile_sums sums)
{
    struct ts_location set = {.raw_name = str(labels), .line_number = -1};
    struct profiles *added = &f->profiles[f->n_profiles++];
    assert_true(f->n_profiles <= FACTS_MAX);
    *added = (struct profiles){.bucket = bucket, .sums = sums};
    assert_int_equal(ts_intern_add(&f->label_sets, &set, &added->labels), 0);
    assert_int_equal(ts_counters_reserve(&f->counters, 1), 0);
    ts_counters_add_profile(&f->counters, bucket, added->labels + 1, &sums);
}

static inline void commit(struct fixture *f)
{
    struct ts_store_error error = {""};
    uint64_t saturated;
    if (!f->store) {
        struct ts_store_config config = {.path = f->path, .grid = f->grid, .busy_ms = 100};
        assert_int_equal(ts_store_open(&config, &f->store, &f->grid, &error), 0);
    }
    struct ts_store_batch batch = {
        .counters = &f->counters,
        .locations = f->locations.n ? f->locations.items + f->committed_locations : NULL,
        .n_locations = f->locations.n - f->committed_locations,
        .first_location = f->committed_locations + 1,
        .label_sets = f->label_sets.n ? f->label_sets.items + f->committed_label_sets : NULL,
        .n_label_sets = f->label_sets.n - f->committed_label_sets,
        .first_label_set = f->committed_label_sets + 1,
    };
    if (ts_store_commit(f->store, &batch, &saturated, &error))
        fail_msg("%s", error.message);
    f->committed_locations = f->locations.n;
    f->committed_label_sets = f->label_sets.n;
    ts_counters_clear(&f->counters);
    if (!f->reader)
        assert_int_equal(ts_reader_open(f->path, &f->reader, &error), 0);
}

/* text: as of query_params(). */
static inline int parse(struct fixture *f, enum ts_query_kind kind, const char *text, struct ts_query **ret_query)
{
    struct ts_query_param params[128];
    char *copy = strdup(text);
    assert_non_null(copy);
    size_t n = query_params(copy, params, 128);
    memset(&f->error, 0, sizeof(f->error));
    int r = ts_query_parse(kind, params, n, &f->grid, NOW, ret_query, &f->error);
    free(copy);
    return r;
}

#define PREFIX "before" /* what the buffer has before the response */

/* The text of the response; NULL and f->error if the query fails. */
static inline const char *run(struct fixture *f, enum ts_query_kind kind, const char *params)
{
    struct ts_query *query = NULL;
    struct ts_buf out;
    size_t len;
    ts_buf_init(&out);
    ts_buf_puts(&out, PREFIX);
    free(f->text);
    f->text = NULL;
    int r = parse(f, kind, params, &query);
    if (!r)
        r = query_text(query, f->reader, &out, &f->error);
    ts_query_free(query);
    if (r) {
        assert_int_equal(out.len, strlen(PREFIX));
        ts_buf_deinit(&out);
        return NULL;
    }
    f->text = ts_buf_steal(&out, &len);
    assert_non_null(f->text);
    assert_int_equal(strlen(f->text), len);
    assert_memory_equal(f->text, PREFIX, strlen(PREFIX));
    char *at = f->with_resolution ? NULL : strstr(f->text, "\"from_resolution\": ");
    char *next = at ? strstr(strstr(at, "\"to_resolution\": "), ", ") + 2 : NULL;
    if (at)
        memmove(at, next, strlen(next) + 1);
    return f->text + strlen(PREFIX);
}

static inline void expect_response(struct fixture *f, enum ts_query_kind kind, const char *params, const char *expected)
{
    const char *text = run(f, kind, params);
    if (!text)
        fail_msg("%s: %s: %s", params, ts_query_error_code(f->error.kind), f->error.message);
    if (strcmp(text, expected) != 0)
        fail_msg("%s:\n%s\nexpected:\n%s", params, text, expected);
}

/* The same; expected: the parts of the text, NULL ends them. */
static inline void expect_parts(struct fixture *f, enum ts_query_kind kind, const char *params,
                                const char *const *expected)
{
    struct ts_buf text;
    ts_buf_init(&text);
    while (*expected)
        ts_buf_puts(&text, *expected++);
    ts_buf_putc(&text, '\0');
    assert_false(ts_buf_failed(&text));
    expect_response(f, kind, params, text.data);
    ts_buf_deinit(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
