/* Printing: the format, long lists and lines, and reading the text back. */
#include "config_load.h"

#include "failing_alloc.h"

/* Reading the text gives the same configuration, and prints the same again. */
static void check_round_trip(const char *text)
{
    struct tsd_config config = loaded(text, NULL);
    char *first = printed_config(&config);
    struct tsd_config again = loaded(first, NULL);
    char *second = printed_config(&again);
    assert_string_equal(first, second);
    for (size_t i = 0; i < TSD_CONFIG_KEYS; i++) {
        if (tsd_config_keys[i].type != TSD_HOSTS) /* its separators may differ */
            assert_true(tsd_value_equal(&tsd_config_keys[i], &config, &again));
    }
    free(first);
    free(second);
    tsd_config_deinit(&config);
    tsd_config_deinit(&again);
}

static void test_format(void **state)
{
    (void)state;
    static const char expected[] = "[aggregation]\n"
                                   "time_slice = 250ms\n"
                                   "start_time = 1769853600\n"
                                   "retention = 250ms:1h 1s:1d 1m:10y\n"
                                   "max_future = off\n"
                                   "max_locations = 7\n"
                                   "max_label_sets = 8\n"
                                   "\n"
                                   "[ingest]\n"
                                   "udp = [::1]:0\n"
                                   "tcp = off\n"
                                   "unix_stream = /run/a b.sock\n"
                                   "unix_datagram = d.sock;not-a-comment\n"
                                   "socket_mode = 0600\n"
                                   "threads = 64\n"
                                   "max_message = 1K\n"
                                   "max_connections = 1\n"
                                   "memory_limit = 1M\n"
                                   "receive_buffer = 64K\n"
                                   "\n"
                                   "[control]\n"
                                   "socket = off\n"
                                   "socket_mode = 0777\n"
                                   "socket_group = root\n"
                                   "http = 127.0.0.1:9000\n"
                                   "allowed_hosts = a.example b-2.example\n"
                                   "\n"
                                   "[store]\n"
                                   "path = t.db\n"
                                   "flush_interval = 1.5s\n"
                                   "ack_interval = 1ms\n"
                                   "durability = process\n"
                                   "client_expiry = 1w\n"
                                   "\n"
                                   "[log]\n"
                                   "level = debug\n";
    struct tsd_config config = loaded(all_changed, NULL);
    char *text = printed_config(&config);
    assert_string_equal(text, expected);
    free(text);
    tsd_config_deinit(&config);
}

static void test_round_trips(void **state)
{
    (void)state;
    check_round_trip("");
    check_round_trip(all_changed);
    check_round_trip("[aggregation]\nstart_time = now\n");
    check_round_trip("[store]\npath=;not-a-comment\n");
    check_round_trip("[store]\npath = \"a\n");
    check_round_trip("[store]\npath = a=b:c\tx\n");
    /* The longest line, with and without spaces around =. */
    check_round_trip("[store]\npath = " X189);
    check_round_trip("[store]\npath=" X189 "yy");
    check_round_trip("[control]\nallowed_hosts = ,a ,, b,\n");
}

/* Lines that can be read back. */
static void test_long_lists(void **state)
{
    (void)state;
    struct ts_buf text;
    size_t len;
    ts_buf_init(&text);
    ts_buf_puts(&text, "[aggregation]\ntime_slice = 1ms\nretention =\n");
    for (int i = 0, width = 1; i < TS_RETENTION_MAX; i++, width *= 7)
        ts_buf_printf(&text, " %dms:1%012dms\n", width, i);
    ts_buf_puts(&text, "[control]\nallowed_hosts =\n");
    for (int i = 0; i < 90; i++)
        ts_buf_printf(&text, " host-%0*d.example,\n", i % 60, i);
    char *source = ts_buf_steal(&text, &len);
    check_round_trip(source);
    struct tsd_config config = loaded(source, NULL);
    char *printed = printed_config(&config);
    for (const char *line = printed; *line; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 100);
    free(printed);
    free(source);
    tsd_config_deinit(&config);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct tsd_config config = loaded(all_changed, NULL);
    int rc = TS_ENOMEM;
    int n = 0;
    for (; rc == TS_ENOMEM; n++) {
        struct ts_buf out;
        ts_buf_init(&out);
        alloc_fail_at = n;
        rc = tsd_config_show(&config, &out);
        alloc_fail_at = -1;
        assert_true(rc == 0 || rc == TS_ENOMEM);
        ts_buf_deinit(&out);
    }
    assert_true(n > 2);
    tsd_config_deinit(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_long_lists),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("config show", tests, set_up, tear_down);
}
