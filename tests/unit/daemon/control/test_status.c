/* daemon/state, daemon/status and daemon/metrics: every counter where it belongs, exact, summed over the threads. */
#include "daemon/base/clock.h"
#include "daemon/base/state.h"
#include "daemon/control/metrics.h"
#include "daemon/control/status.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

enum { N_COUNTS = sizeof(struct tsd_stats) / sizeof(tsd_count) };
enum { N_WRITER_COUNTS = sizeof(struct tsd_writer_stats) / sizeof(tsd_count) };

struct fixture {
    struct tsd_state state;
    struct tsd_stats threads[3];
    struct ts_buf out;
    char *text;
};

/* Distinct everywhere: counter i of thread s is 10^s * (100 + i), of the writer 1000000 + i. */
static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    if (!f || tsd_state_init(&f->state))
        return -1;
    f->state.grid = (struct ts_grid){.start_time = -1500000000, .time_slice = 250000000};
    f->state.n_retention = 2;
    f->state.retention[0] = (struct ts_retention){250000000, 172800 * TS_NS_PER_S};
    f->state.retention[1] = (struct ts_retention){60 * TS_NS_PER_S, 31536000 * TS_NS_PER_S};
    snprintf(f->state.store_path, sizeof(f->state.store_path), "/nowhere/\"t\".db");
    f->state.started_mono = tsd_clock_mono() - 90 * TS_NS_PER_S;
    f->state.started_wall = INT64_C(1732272000500000000);
    f->state.n_listeners = 2;
    f->state.listeners[0] = (struct tsd_listener){"udp", "127.0.0.1:41234"};
    f->state.listeners[1] = (struct tsd_listener){"control", "/run/\"q\\\"/\x01\xff.sock"};
    f->state.n_threads = 3;
    uint64_t factor = 1;
    for (int s = 0; s < 3; s++, factor *= 10) {
        f->state.threads[s] = &f->threads[s];
        tsd_count *counts = (tsd_count *)&f->threads[s];
        for (unsigned i = 0; i < N_COUNTS; i++)
            tsd_set(&counts[i], factor * (100 + i));
    }
    tsd_count *counts = (tsd_count *)&f->state.writer;
    for (unsigned i = 0; i < N_WRITER_COUNTS; i++)
        tsd_set(&counts[i], 1000000 + i);
    tsd_set(&f->state.control.connections_evicted, 71);
    tsd_set(&f->state.control.requests_over_share, 72);
    tsd_set(&f->state.control.responses_cut, 73);
    tsd_set(&f->state.writer.last_commit, UINT64_C(1732272010000000001));
    tsd_set(&f->state.writer.commit_ns, 2500000000U);
    ts_buf_init(&f->out);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    tsd_state_deinit(&f->state);
    ts_buf_deinit(&f->out);
    free(f->text);
    free(f);
    return 0;
}

static uint64_t total(size_t offset)
{
    return 111 * (100 + offset / sizeof(tsd_count));
}
#define TOTAL(field) total(offsetof(struct tsd_stats, field))
#define WRITER(field) (1000000 + offsetof(struct tsd_writer_stats, field) / sizeof(tsd_count))

static const char *write_status(struct fixture *f)
{
    size_t len;
    ts_buf_reset(&f->out);
    tsd_status_write(&f->state, &f->out);
    free(f->text);
    f->text = ts_buf_steal(&f->out, &len);
    assert_non_null(f->text);
    assert_int_equal(strlen(f->text), len);
    return f->text;
}

static const char *write_metrics(struct fixture *f)
{
    size_t len;
    ts_buf_reset(&f->out);
    tsd_metrics_write(&f->state, &f->out);
    free(f->text);
    f->text = ts_buf_steal(&f->out, &len);
    assert_non_null(f->text);
    return f->text;
}

static void assert_has(const char *text, const char *format, ...) TS_PRINTF(2, 3);
static void assert_has(const char *text, const char *format, ...)
{
    char expected[256];
    va_list args;
    va_start(args, format);
    vsnprintf(expected, sizeof(expected), format, args);
    va_end(args);
    if (!strstr(text, expected))
        fail_msg("no %s in %s", expected, text);
}

static void test_sum(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(tsd_state_sum(&f->state, offsetof(struct tsd_stats, received)), TOTAL(received));
    assert_int_equal(tsd_state_sum(&f->state, offsetof(struct tsd_stats, waiting_bytes)), TOTAL(waiting_bytes));
    f->state.n_threads = 1;
    assert_int_equal(tsd_state_sum(&f->state, offsetof(struct tsd_stats, received)), 100);
    f->state.n_threads = 0;
    assert_int_equal(tsd_state_sum(&f->state, offsetof(struct tsd_stats, received)), 0);
}

static void test_pending(void **state)
{
    struct fixture *f = *state;
    tsd_set(&f->state.writer.committed, TOTAL(accepted) - 7);
    assert_int_equal(tsd_state_pending(&f->state), 7);
    tsd_set(&f->state.writer.committed, TOTAL(accepted));
    assert_int_equal(tsd_state_pending(&f->state), 0);
    tsd_set(&f->state.writer.committed, TOTAL(accepted) + 1);
    assert_int_equal(tsd_state_pending(&f->state), 0);
}

static void test_store_error(void **state)
{
    struct fixture *f = *state;
    char text[sizeof(f->state.store_error)];
    char small[4];
    tsd_state_store_error(&f->state, text, sizeof(text));
    assert_string_equal(text, "");
    tsd_state_set_store_error(&f->state, "disk full");
    tsd_state_store_error(&f->state, text, sizeof(text));
    assert_string_equal(text, "disk full");
    tsd_state_store_error(&f->state, small, sizeof(small));
    assert_string_equal(small, "dis");
    tsd_state_set_store_error(&f->state, NULL);
    tsd_state_store_error(&f->state, text, sizeof(text));
    assert_string_equal(text, "");

    /* Cut before a character that does not fit whole: 510 bytes, then one of three. */
    char long_text[1024];
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    memcpy(long_text + 510, "\xE2\x82\xAC", 3);
    tsd_state_set_store_error(&f->state, long_text);
    tsd_state_store_error(&f->state, text, sizeof(text));
    assert_int_equal(strlen(text), 510);
    long_text[510] = long_text[511] = long_text[512] = 'x';
    tsd_state_set_store_error(&f->state, long_text);
    tsd_state_store_error(&f->state, text, sizeof(text));
    assert_int_equal(strlen(text), 511);
}

static void test_status_members(void **state)
{
    struct fixture *f = *state;
    const char *text = write_status(f);
    cJSON *root = cJSON_Parse(text);
    assert_non_null(root);
    cJSON_Delete(root);
    assert_has(text, "{\"version\": \"");
    assert_has(text, "\", \"pid\": %d, \"uptime\": 90", (int)getpid());
    assert_has(text, "\"started_at\": 1732272000.5,");
    assert_has(text, "\"time_slice\": 0.25, \"start_time\": -1.5,");
    assert_has(text, "\"retention\": [{\"width\": 0.25, \"keep\": 172800}, {\"width\": 60, \"keep\": 31536000}],");
    assert_has(
        text,
        "\"listeners\": {\"udp\": \"127.0.0.1:41234\", \"control\": \"/run/\\\"q\\\\\\\"/\\u0001\xEF\xBF\xBD.sock\"}");
    assert_has(text, "\"received\": %" PRIu64 ", \"accepted\": %" PRIu64 ", \"duplicates\": %" PRIu64 ",",
               TOTAL(received), TOTAL(accepted), TOTAL(duplicates));
    assert_has(text, "\"datagrams_dropped\": %" PRIu64 ",", TOTAL(datagrams_dropped));
    assert_has(text, "\"datagrams_over_memory\": %" PRIu64 ",", TOTAL(datagrams_over_memory));
    assert_has(text, "\"entries\": %" PRIu64 ", \"bytes\": %" PRIu64 ",", TOTAL(entries), TOTAL(bytes));
    assert_has(text, "\"waiting_bytes\": %" PRIu64 ",", TOTAL(waiting_bytes) + WRITER(waiting_bytes));
    assert_has(text, "\"connections\": {\"open\": %" PRIu64 ", \"total\": %" PRIu64 ", \"refused\": %" PRIu64 "}",
               TOTAL(connections_open), TOTAL(connections), TOTAL(connections_refused));
    assert_has(text,
               "\"answers_dropped\": %" PRIu64 ", \"control\": {\"connections_evicted\": 71,"
               " \"requests_over_share\": 72, \"responses_cut\": 73}, \"threads\": 3,",
               TOTAL(answers_dropped));
    assert_has(text, "\"functions\": %zu, \"locations\": %zu, \"label_sets\": %zu, \"clients\": %zu, \"commits\": %zu,",
               WRITER(functions), WRITER(locations), WRITER(label_sets), WRITER(clients), WRITER(commits));
    assert_has(text, "\"saturated\": %" PRIu64 ",", TOTAL(saturated) + WRITER(saturated));
    assert_has(text, "\"store\": {\"path\": \"/nowhere/\\\"t\\\".db\", \"bytes\": 0, \"log_bytes\": 0, \"rows\": %zu,",
               WRITER(rows));
    assert_has(text, "\"messages\": %zu, \"commits_failed\": %zu, \"commit_seconds\": 2.5,", WRITER(committed),
               WRITER(commits_failed));
    assert_has(text, "\"last_commit_at\": 1732272010.000000001}");
}

static void test_status_rejected(void **state)
{
    struct fixture *f = *state;
    const char *text = write_status(f);
    for (int code = 1; code < TS_REJECT_COUNT; code++)
        assert_has(text, "\"%s\": %" PRIu64, ts_reject_name(code),
                   total(offsetof(struct tsd_stats, rejected) + (size_t)code * sizeof(tsd_count)));
    cJSON *root = cJSON_Parse(text);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(root, "rejected")), TS_REJECT_COUNT - 1);
    cJSON_Delete(root);
}

static void test_status_store_error(void **state)
{
    struct fixture *f = *state;
    assert_has(write_status(f), "\"store_error\": null,");
    tsd_state_set_store_error(&f->state, "\"full\"");
    assert_has(write_status(f), "\"store_error\": \"\\\"full\\\"\",");
    tsd_set(&f->state.writer.last_commit, 0);
    assert_has(write_status(f), "\"last_commit_at\": null}");
}

/* Past 2^53, where doubles end. */
static void test_exact(void **state)
{
    struct fixture *f = *state;
    f->state.n_threads = 1;
    tsd_set(&f->threads[0].received, UINT64_C(9007199254740993));
    tsd_set(&f->threads[0].bytes, UINT64_MAX);
    assert_has(write_status(f), "\"received\": 9007199254740993,");
    assert_has(f->text, "\"bytes\": 18446744073709551615,");
    assert_has(write_metrics(f), "\ntimesliced_messages_received_total 9007199254740993\n");
}

static void test_status_bare(void **state)
{
    struct fixture *f = *state;
    f->state.n_threads = f->state.n_listeners = f->state.n_retention = 0;
    cJSON *root = cJSON_Parse(write_status(f));
    assert_non_null(root);
    cJSON_Delete(root);
    assert_has(f->text, "\"retention\": [], \"listeners\": {}, \"received\": 0,");
}

static void test_store_bytes(void **state)
{
    struct fixture *f = *state;
    char folder[] = "/tmp/ts_status_XXXXXX";
    char wal[64];
    assert_non_null(mkdtemp(folder));
    snprintf(f->state.store_path, sizeof(f->state.store_path), "%s/t.db", folder);
    snprintf(wal, sizeof(wal), "%s/t.db-wal", folder);
    FILE *file = fopen(f->state.store_path, "w");
    assert_non_null(file);
    fputs("12345", file);
    fclose(file);
    assert_int_equal(tsd_status_store_bytes(&f->state), 5);
    file = fopen(wal, "w");
    assert_non_null(file);
    fputs("1234567", file);
    fclose(file);
    assert_int_equal(tsd_status_store_bytes(&f->state), 12);
    assert_has(write_metrics(f), "\ntimesliced_store_size_bytes 12\n");
    unlink(wal);
    unlink(f->state.store_path);
    rmdir(folder);
}

static void test_metrics_values(void **state)
{
    struct fixture *f = *state;
    const char *text = write_metrics(f);
    assert_has(text, "\ntimesliced_build_info{version=\"");
    assert_has(text, "\ntimesliced_start_time_seconds 1732272000.5\n");
    assert_has(text, "\ntimesliced_ingest_threads 3\n");
    assert_has(text, "\ntimesliced_listener_info{listener=\"udp\",address=\"127.0.0.1:41234\"} 1\n");
    assert_has(text, "{listener=\"control\",address=\"/run/\\\"q\\\\\\\"/?\?.sock\"} 1\n");
    assert_has(text, "\ntimesliced_messages_received_total %" PRIu64 "\n", TOTAL(received));
    assert_has(text, "\ntimesliced_messages_accepted_total %" PRIu64 "\n", TOTAL(accepted));
    assert_has(text, "\ntimesliced_messages_duplicate_total %" PRIu64 "\n", TOTAL(duplicates));
    for (int code = 1; code < TS_REJECT_COUNT; code++)
        assert_has(text, "\ntimesliced_messages_rejected_total{code=\"%s\"} %" PRIu64 "\n", ts_reject_name(code),
                   total(offsetof(struct tsd_stats, rejected) + (size_t)code * sizeof(tsd_count)));
    assert_has(text, "\ntimesliced_entries_total %" PRIu64 "\n", TOTAL(entries));
    assert_has(text, "\ntimesliced_message_bytes_total %" PRIu64 "\n", TOTAL(bytes));
    assert_has(text, "\ntimesliced_datagrams_dropped_total %" PRIu64 "\n", TOTAL(datagrams_dropped));
    assert_has(text, "\ntimesliced_datagrams_over_memory_total %" PRIu64 "\n", TOTAL(datagrams_over_memory));
    assert_has(text, "\ntimesliced_connections_total %" PRIu64 "\n", TOTAL(connections));
    assert_has(text, "\ntimesliced_connections_refused_total %" PRIu64 "\n", TOTAL(connections_refused));
    assert_has(text, "\ntimesliced_connections_cut_total %" PRIu64 "\n", TOTAL(connections_cut));
    assert_has(text, "\ntimesliced_connections_open %" PRIu64 "\n", TOTAL(connections_open));
    assert_has(text, "\ntimesliced_control_connections_evicted_total 71\n");
    assert_has(text, "\ntimesliced_control_requests_over_share_total 72\n");
    assert_has(text, "\ntimesliced_control_responses_cut_total 73\n");
    assert_has(text, "\ntimesliced_answers_dropped_total %" PRIu64 "\n", TOTAL(answers_dropped));
    assert_has(text, "\ntimesliced_waiting_bytes %" PRIu64 "\n", TOTAL(waiting_bytes) + WRITER(waiting_bytes));
    assert_has(text, "\ntimesliced_saturated_total %" PRIu64 "\n", TOTAL(saturated) + WRITER(saturated));
    assert_has(text, "\ntimesliced_messages_committed_total %zu\n", WRITER(committed));
    assert_has(text, "\ntimesliced_commits_total %zu\n", WRITER(commits));
    assert_has(text, "\ntimesliced_commits_failed_total %zu\n", WRITER(commits_failed));
    assert_has(text, "\ntimesliced_rows_written_total %zu\n", WRITER(rows));
    assert_has(text, "\ntimesliced_log_truncations_total %zu\n", WRITER(log_truncations));
    assert_has(text, "\ntimesliced_store_log_size_bytes 0\n");
    assert_has(text, "\ntimesliced_functions %zu\n", WRITER(functions));
    assert_has(text, "\ntimesliced_locations %zu\n", WRITER(locations));
    assert_has(text, "\ntimesliced_label_sets %zu\n", WRITER(label_sets));
    assert_has(text, "\ntimesliced_commit_duration_seconds_sum 2.5\n");
    assert_has(text, "\ntimesliced_last_commit_timestamp_seconds 1732272010.000000001\n");
    assert_has(text, "\ntimesliced_store_up 1\n");
    tsd_state_set_store_error(&f->state, "full");
    assert_has(write_metrics(f), "\ntimesliced_store_up 0\n");
}

/* Each commit is in the bucket of the first bound that it does not pass, and in all after it. */
static void test_metrics_histogram(void **state)
{
    struct fixture *f = *state;
    struct tsd_writer_stats *writer = &f->state.writer;
    for (size_t i = 0; i <= TSD_COMMIT_BOUNDS; i++)
        tsd_set(&writer->commit_took[i], 0);
    tsd_set(&writer->commit_ns, 0);
    static const int64_t took[] = {0, 1000000, 1000001, 2500000, 49000000, INT64_C(10000000000), INT64_C(10000000001)};
    for (size_t i = 0; i < sizeof(took) / sizeof(took[0]); i++)
        tsd_stats_add_commit(writer, took[i]);
    assert_has(write_metrics(f), "# TYPE timesliced_commit_duration_seconds histogram\n"
                                 "timesliced_commit_duration_seconds_bucket{le=\"0.001\"} 2\n"
                                 "timesliced_commit_duration_seconds_bucket{le=\"0.0025\"} 4\n"
                                 "timesliced_commit_duration_seconds_bucket{le=\"0.005\"} 4\n"
                                 "timesliced_commit_duration_seconds_bucket{le=\"0.01\"} 4\n"
                                 "timesliced_commit_duration_seconds_bucket{le=\"0.025\"} 4\n"
                                 "timesliced_commit_duration_seconds_bucket{le=\"0.05\"} 5\n");
    assert_has(f->text, "timesliced_commit_duration_seconds_bucket{le=\"5\"} 5\n"
                        "timesliced_commit_duration_seconds_bucket{le=\"10\"} 6\n"
                        "timesliced_commit_duration_seconds_bucket{le=\"+Inf\"} 7\n"
                        "timesliced_commit_duration_seconds_sum 20.053500002\n"
                        "timesliced_commit_duration_seconds_count 7\n");
    for (size_t i = 1; i < TSD_COMMIT_BOUNDS; i++)
        assert_true(tsd_commit_bounds[i] > tsd_commit_bounds[i - 1]);
}

static void test_metrics_levels(void **state)
{
    struct fixture *f = *state;
    assert_null(strstr(write_metrics(f), "timesliced_level_"));
    f->state.n_levels = 3;
    struct tsd_level_stats *levels = f->state.levels;
    levels[0].width = 10 * TS_NS_PER_S;
    levels[0].keep = 172800 * TS_NS_PER_S;
    tsd_set(&levels[0].oldest, UINT64_C(1732272000000000000));
    levels[1].width = 60 * TS_NS_PER_S;
    levels[1].keep = 2592000 * TS_NS_PER_S;
    tsd_set(&levels[1].oldest, (uint64_t)(-90 * TS_NS_PER_S));
    levels[2].width = 3600 * TS_NS_PER_S;
    levels[2].keep = 63072000 * TS_NS_PER_S;
    tsd_set(&levels[2].oldest, TSD_NO_BUCKET);
    assert_has(write_metrics(f), "\ntimesliced_level_width_seconds{level=\"10s\"} 10\n"
                                 "timesliced_level_width_seconds{level=\"1m\"} 60\n"
                                 "timesliced_level_width_seconds{level=\"1h\"} 3600\n");
    assert_has(f->text, "\ntimesliced_level_keep_seconds{level=\"10s\"} 172800\n"
                        "timesliced_level_keep_seconds{level=\"1m\"} 2592000\n"
                        "timesliced_level_keep_seconds{level=\"1h\"} 63072000\n");
    assert_has(f->text, "\ntimesliced_level_oldest_bucket_timestamp_seconds{level=\"10s\"} 1732272000\n"
                        "timesliced_level_oldest_bucket_timestamp_seconds{level=\"1m\"} -90\n");
    assert_null(strstr(f->text, "oldest_bucket_timestamp_seconds{level=\"1h\"}"));
}

/* Each family: HELP, TYPE, then its samples; counters end in _total and nothing else does. */
static void test_metrics_form(void **state)
{
    struct fixture *f = *state;
    char *rest = NULL;
    char name[128] = "";
    write_metrics(f);
    assert_int_equal(f->text[strlen(f->text) - 1], '\n');
    unsigned families = 0;
    for (char *line = strtok_r(f->text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char kind[16];
        char type_of[128];
        size_t len = strlen(name);
        if (sscanf(line, "# HELP %127s", name) == 1) {
            families++;
            assert_memory_equal(name, "timesliced_", strlen("timesliced_"));
            assert_int_equal(line[strlen(line) - 1], '.');
        } else if (sscanf(line, "# TYPE %127s %15s", type_of, kind) == 2) {
            assert_string_equal(type_of, name);
            bool ends = len > 6 && !strcmp(name + len - 6, "_total");
            assert_int_equal(ends, !strcmp(kind, "counter"));
        } else {
            assert_memory_equal(line, name, len);
            assert_non_null(strchr(" {_", line[len]));
        }
    }
    assert_true(families > 25);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_sum),
        CASE(test_pending),
        CASE(test_store_error),
        CASE(test_status_members),
        CASE(test_status_rejected),
        CASE(test_status_store_error),
        CASE(test_exact),
        CASE(test_status_bare),
        CASE(test_store_bytes),
        CASE(test_metrics_values),
        CASE(test_metrics_histogram),
        CASE(test_metrics_levels),
        CASE(test_metrics_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
