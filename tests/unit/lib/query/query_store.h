/*
 * What the tests of queries share: a real store in a folder of the test's own, what was put into it, and the asking.
 */
#ifndef TESTS_QUERY_STORE_H
#define TESTS_QUERY_STORE_H

#include "lib/query/query.h"
#include "tests/support/query_text.h"

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

struct head {
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
    struct head heads[FACTS_MAX];
    size_t n_heads;
    struct ts_query_error error;
    char *text; /* of the last answer */
    bool with_resolution;
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

static inline void close_all(struct fixture *f)
{
    f->reader = ts_reader_close(f->reader);
    f->store = ts_store_close(f->store);
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", f->folder);
    close_all(f);
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

static inline void add_head(struct fixture *f, int64_t bucket, const char *labels, struct ts_profile_sums sums)
{
    struct ts_location set = {.raw_name = str(labels), .line_number = -1};
    struct head *head = &f->heads[f->n_heads++];
    assert_true(f->n_heads <= FACTS_MAX);
    *head = (struct head){.bucket = bucket, .sums = sums};
    assert_int_equal(ts_intern_add(&f->label_sets, &set, &head->labels), 0);
    assert_int_equal(ts_counters_reserve(&f->counters, 1), 0);
    ts_counters_add_profile(&f->counters, bucket, head->labels + 1, &sums);
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

/* "a=b&c=d" as it stands, nothing decoded; "a" has no value. */
static inline int parse(struct fixture *f, enum ts_query_kind kind, const char *text, struct ts_query **ret_query)
{
    struct ts_query_param params[128];
    size_t n = 0;
    char *copy = strdup(text);
    char *rest = NULL;
    assert_non_null(copy);
    for (char *one = strtok_r(copy, "&", &rest); one; one = strtok_r(NULL, "&", &rest)) {
        char *equals = strchr(one, '=');
        if (equals)
            *equals = '\0';
        params[n++] = (struct ts_query_param){one, equals ? equals + 1 : NULL};
    }
    memset(&f->error, 0, sizeof(f->error));
    int r = ts_query_parse(kind, params, n, &f->grid, NOW, ret_query, &f->error);
    free(copy);
    return r;
}

/* The answer's text, or NULL with f->error. */
static inline const char *ask(struct fixture *f, enum ts_query_kind kind, const char *params)
{
    struct ts_query *query = NULL;
    struct ts_buf out;
    size_t len;
    ts_buf_init(&out);
    ts_buf_puts(&out, "before");
    free(f->text);
    f->text = NULL;
    int r = parse(f, kind, params, &query);
    if (!r)
        r = query_text(query, f->reader, &out, &f->error);
    ts_query_free(query);
    if (r) {
        assert_int_equal(out.len, 6); /* as it was */
        ts_buf_deinit(&out);
        return NULL;
    }
    f->text = ts_buf_steal(&out, &len);
    assert_non_null(f->text);
    assert_int_equal(strlen(f->text), len);
    assert_memory_equal(f->text, "before", 6);
    /* Of the tests that have one level only; those of levels look at it. */
    char *at = f->with_resolution ? NULL : strstr(f->text, "\"from_resolution\": ");
    char *after = at ? strstr(strstr(at, "\"to_resolution\": "), ", ") + 2 : NULL;
    if (at)
        memmove(at, after, strlen(after) + 1);
    return f->text + 6;
}

static inline void expect(struct fixture *f, enum ts_query_kind kind, const char *params, const char *expected)
{
    const char *text = ask(f, kind, params);
    if (!text)
        fail_msg("%s: %s: %s", params, ts_query_error_code(f->error.kind), f->error.message);
    if (strcmp(text, expected) != 0)
        fail_msg("%s:\n%s\nis not\n%s", params, text, expected);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
