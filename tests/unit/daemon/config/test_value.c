/* Each type of value: what is accepted, how it is printed, and the message for what is rejected. */
#include "config_load.h"

static void test_accepted_values(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *shown;
    } cases[] = {
        {"aggregation.time_slice", "0.001", "1ms"},
        {"aggregation.time_slice", "1y", "1y"},
        {"aggregation.time_slice", " 90 ", "90s"},
        {"aggregation.start_time", "-90", "-90"},
        {"aggregation.start_time", "1.5", "1.5"},
        {"aggregation.start_time", "1970-01-02", "86400"},
        {"aggregation.start_time", "now", "now"},
        {"aggregation.max_future", "0", "0s"},
        {"aggregation.max_locations", "100000000", "100000000"},
        {"ingest.udp", "0.0.0.0:65535", "0.0.0.0:65535"},
        {"ingest.udp", "localhost:0", "127.0.0.1:0"},
        {"ingest.tcp", "[::]:8137", "[::]:8137"},
        {"ingest.tcp", "*:8137", "*:8137"},
        {"control.http", ":0", ":0"},
        {"ingest.tcp", "[fe80::1%lo]:1", "[fe80::1%lo]:1"},
        {"ingest.socket_mode", "0", "0000"},
        {"ingest.max_message", "1G", "1G"},
        {"ingest.max_message", "1025", "1025"},
        {"ingest.max_message", "1536K", "1536K"},
        {"ingest.memory_limit", "64K", "64K"},
        {"control.socket_group", "", ""},
        {"control.allowed_hosts", "", ""},
        {"control.allowed_hosts", ",a ,, b,", ",a ,, b,"},
        {"store.path", "\xC3\xA4 = ; # \"x\"", "\xC3\xA4 = ; # \"x\""},
        {"store.durability", "power", "power"},
        {"log.level", "warning", "warning"},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        char set[200];
        snprintf(set, sizeof(set), "%s=%s", cases[i].key, cases[i].value);
        struct tsd_config config = loaded("", set);
        char *printed = value_of(&config, cases[i].key);
        assert_string_equal(printed, cases[i].shown);
        free(printed);
        tsd_config_deinit(&config);
    }
}

static void test_rejected_values(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *part;
    } cases[] = {
        {"aggregation.time_slice", "0", "from 1ms to 1y"},
        {"aggregation.time_slice", "0.9ms", "from 1ms to 1y"},
        {"aggregation.time_slice", "366d", "\"366d\""},
        {"aggregation.time_slice", "-10s", "\"-10s\""},
        {"aggregation.time_slice", "10 s", "\"10 s\""},
        {"aggregation.time_slice", "10S", "a number with ms, s, m, h, d, w or y"},
        {"aggregation.time_slice", "", "\"\""},
        {"aggregation.time_slice", "off", "\"off\""},
        {"aggregation.time_slice", "99999999999999999999s", "from 1ms"},
        {"aggregation.start_time", "tomorrow", "or now"},
        {"aggregation.start_time", "9200000001", "epoch seconds"},
        {"aggregation.start_time", "", "epoch seconds"},
        {"aggregation.max_future", "-1", "or off"},
        {"aggregation.max_future", "OFF", "or off"},
        {"aggregation.max_locations", "0", "from 1 to 100000000"},
        {"aggregation.max_locations", "100000001", "from 1 to 100000000"},
        {"aggregation.max_locations", "4294967297", "from 1 to"},
        {"aggregation.max_locations", "10K", "an integer"},
        {"aggregation.max_label_sets", "1.5", "an integer"},
        {"aggregation.max_label_sets", "", "an integer"},
        {"ingest.udp", "8137", "HOST:PORT"},
        {"ingest.udp", "", "HOST:PORT"},
        {"ingest.udp", "host:8137", "0.0.0.0"},
        {"ingest.udp", "example.org:8137", "names other than localhost are not looked up"},
        {"ingest.udp", "127.0.0.1", "HOST:PORT"},
        {"ingest.udp", "127.1:80", "the host is not an address"},
        {"ingest.udp", "127.0.0.1:65536", "the port is not a number from 0 to 65535"},
        {"ingest.udp", "127.0.0.1:", "the port"},
        {"ingest.udp", "127.0.0.1:-1", "the port"},
        {"ingest.udp", "127.0.0.1:+1", "the port"},
        {"ingest.udp", "127.0.0.1:80x", "the port"},
        {"ingest.udp", "127.0.0.1:http", "the port"},
        {"ingest.udp", "127.0.0.1:4294967376", "the port"},
        {"ingest.tcp", "::1:8137", "in brackets"},
        {"ingest.tcp", "[::1]", "[IPV6]:PORT"},
        {"ingest.tcp", "[::1:8137", "[IPV6]:PORT"},
        {"ingest.tcp", "[]:1", "the host is not an address"},
        {"ingest.tcp", "[127.0.0.1]:80", "the host is not an address"},
        {"ingest.tcp", "[fe80::1%nosuchif]:80", "interface"},
        {"control.http", "on", "HOST:PORT"},
        {"ingest.unix_stream", "", "a path, or off"},
        {"ingest.unix_stream", "/run/", "is a folder"},
        {"ingest.unix_stream", "/run/a\nb", "control character, byte 0x0a"},
        {"ingest.socket_mode", "0888", "0000 to 0777"},
        {"ingest.socket_mode", "1777", "0000 to 0777"},
        {"ingest.socket_mode", "00666", "in octal"},
        {"ingest.socket_mode", "", "in octal"},
        {"ingest.socket_mode", "-1", "in octal"},
        {"ingest.socket_mode", "rw", "in octal"},
        {"ingest.threads", "0", "from 1 to 64"},
        {"ingest.threads", "65", "from 1 to 64"},
        {"ingest.max_message", "1023", "from 1K to 1G"},
        {"ingest.max_message", "1025M", "from 1K to 1G"},
        {"ingest.max_message", "16 M", "with K, M or G"},
        {"ingest.max_message", "16777216G", "from 1K to 1G"},
        {"ingest.max_connections", "0", "from 1"},
        {"ingest.memory_limit", "65535", "from 64K to 1024G"},
        {"ingest.receive_buffer", "0", "from 4K to 1G"},
        {"control.socket_group", "no-such-group-here", "no such group"},
        {"control.allowed_hosts", "a.example b.example:80", "\"b.example:80\" is not a host name"},
        {"control.allowed_hosts", "a/b", "without ports"},
        {"store.path", "", "a path"},
        {"store.path", "off", "off is not allowed here"},
        {"store.path", "/var/lib/", "is a folder"},
        {"store.flush_interval", "0", "from 1ms to 1d"},
        {"store.flush_interval", "25h", "from 1ms to 1d"},
        {"store.ack_interval", "off", "from 1ms to 1d"},
        {"store.durability", "none", "power (survives power loss) or process"},
        {"store.client_expiry", "0", "from 1ms"},
        {"log.level", "INFO", "error, warning, info or debug"},
        {"log.level", "", "error, warning, info or debug"},
        {"log.level", "err", "error, warning, info or debug"},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        char set[200], begin[100], text[200];
        snprintf(set, sizeof(set), "%s=%s", cases[i].key, cases[i].value);
        snprintf(begin, sizeof(begin), "--set %s: ", cases[i].key);
        check_message(rejection("", 0, set), begin, cases[i].part);
        if (strchr(cases[i].value, '\n'))
            continue;
        /* The same from a file. */
        int dot = (int)strcspn(cases[i].key, ".");
        snprintf(text, sizeof(text), "\n[%.*s]\n\n%s = %s\n", dot, cases[i].key, cases[i].key + dot + 1,
                 cases[i].value);
        snprintf(begin, sizeof(begin), "4: %s: ", cases[i].key);
        check_message(rejection(text, strlen(text), NULL), begin, cases[i].part);
    }
}

static void test_path_lengths(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int allowed;
    } cases[] = {
        {"ingest.unix_stream", 107}, {"ingest.unix_datagram", 107}, {"control.socket", 107}, {"store.path", 4000}};
    for (size_t i = 0; i < LEN(cases); i++) {
        char set[4100], part[40];
        snprintf(set, sizeof(set), "%s=/%0*d", cases[i].key, cases[i].allowed - 1, 0);
        struct tsd_config config = loaded("", set);
        char *printed = value_of(&config, cases[i].key);
        assert_int_equal(strlen(printed), cases[i].allowed);
        free(printed);
        tsd_config_deinit(&config);
        strcat(set, "0");
        snprintf(part, sizeof(part), "has %d bytes, the limit is %d", cases[i].allowed + 1, cases[i].allowed);
        check_message(rejection("", 0, set), "--set ", part);
    }
}

static void test_host_lengths(void **state)
{
    (void)state;
    static const struct {
        int name, times; /* number of names and bytes of each, without the comma */
        const char *part;
    } cases[] = {{253, 1, NULL},
                 {254, 1, "is not a host name"},
                 {15, 256, NULL},
                 {240, 17, "the list has 4097 bytes, the limit is 4096"}};
    for (size_t i = 0; i < LEN(cases); i++) {
        char set[4300] = "control.allowed_hosts=";
        char *end = set + strlen(set);
        for (int n = 0; n < cases[i].times; n++)
            end += sprintf(end, "%0*d,", cases[i].name, 0);
        if (cases[i].part) {
            check_message(rejection("", 0, set), "--set control.allowed_hosts: ", cases[i].part);
            continue;
        }
        struct tsd_config config = loaded("", set);
        assert_string_equal(config.control.allowed_hosts, strchr(set, '=') + 1);
        tsd_config_deinit(&config);
    }
}

static void test_retention(void **state)
{
    (void)state;
    static const struct {
        const char *time_slice, *retention, *levels, *part;
    } cases[] = {
        {"10s", "10s:2d 1m:30d", "10s:2d 1m:30d", NULL},
        {"60s", "1m:1h", "1m:1h", NULL},
        {"10s", "10s:10s", "10s:10s", NULL},
        {"10s", "10s:1d 1m:1d", "10s:1d 1m:1d", NULL},
        {"10s", " \t10s:290y\t", "10s:290y", NULL},
        {"1s", "1s:1d 2s:1d 4s:1d 8s:1d 16s:1d 32s:1d 64s:1d 128s:1d", NULL, NULL},
        /* Defaults: those that are wider and a multiple of the previous one. */
        {"10s", NULL, "10s:2d 1m:30d 1h:2y", NULL},
        {"250ms", NULL, "250ms:2d 1m:30d 1h:2y", NULL},
        {"7s", NULL, "7s:2d", NULL},
        {"45s", NULL, "45s:2d 1h:2y", NULL},
        {"1m", NULL, "1m:2d 1h:2y", NULL},
        {"1h", NULL, "1h:2d", NULL},
        {"1d", NULL, "1d:2d", NULL},
        {"1w", NULL, "1w:1w", NULL},
        {"10s", "1m:2d", NULL, "the width of the first level is 1m, but must equal aggregation.time_slice, 10s"},
        {"10s", "10s:2d 25s:30d", NULL, "the width of 25s:30d is not a multiple of the previous width, 10s"},
        {"10s", "10s:2d 10s:30d", NULL, "the width of 10s:30d"},
        {"1m", "1m:2d 10s:30d", NULL, "finest first"},
        {"10s", "10s:9s", NULL, "10s:9s keeps less than the width"},
        {"10s", "10s:2d 1h:1d", NULL, "1h:1d is kept for less time than the previous, finer level of 10s"},
        {"10s", "", NULL, "the value is empty"},
        {"10s", "10s", NULL, "\"10s\" is not valid: expected WIDTH:KEEP"},
        {"10s", "10s:", NULL, "WIDTH:KEEP"},
        {"10s", ":2d", NULL, "WIDTH:KEEP"},
        {"10s", "0:2d", NULL, "WIDTH:KEEP"},
        {"10s", "10s:2d,1m:30d", NULL, "WIDTH:KEEP"},
        {"10s", "10s:2d:3d", NULL, "WIDTH:KEEP"},
        {"10s", "10s:off", NULL, "WIDTH:KEEP"},
        {"10s", "10s:293y", NULL, "WIDTH:KEEP"},
        {"1s", "1s:1d 2s:1d 4s:1d 8s:1d 16s:1d 32s:1d 64s:1d 128s:1d 256s:1d", NULL, "more than 8 levels"},
        {"10s",
         "10s:000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
         "000000000000000000000000000000000000002d",
         NULL, "WIDTH:KEEP"},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        char text[400];
        snprintf(text, sizeof(text), "[aggregation]\ntime_slice = %s\n", cases[i].time_slice);
        char set[300];
        if (cases[i].retention)
            snprintf(set, sizeof(set), "aggregation.retention=%s", cases[i].retention);
        const char *given = cases[i].retention ? set : NULL;
        if (cases[i].part) {
            check_message(rejection(text, strlen(text), given), "--set aggregation.retention: ", cases[i].part);
            continue;
        }
        struct tsd_config config = loaded(text, given);
        if (cases[i].levels) {
            char *printed = value_of(&config, "aggregation.retention");
            assert_string_equal(printed, cases[i].levels);
            free(printed);
        } else {
            assert_int_equal(config.aggregation.n_retention, TS_RETENTION_MAX);
        }
        tsd_config_deinit(&config);
    }
    /* The message has the line of the retention, wherever the time_slice was set. */
    static const char text[] = "[aggregation]\nretention = 10s:2d\n";
    check_message(rejection(text, strlen(text), "aggregation.time_slice=5s"),
                  "2: aggregation.retention: ", "time_slice, 5s");
}

static void test_start_time_now(void **state)
{
    (void)state;
    struct tsd_config now = loaded("", "aggregation.start_time=now");
    assert_true(now.aggregation.start_time_is_now);
    assert_int_equal(now.aggregation.start_time, 1732272009 * S);
    struct tsd_config relative = loaded("", "aggregation.start_time=-90s");
    assert_true(relative.aggregation.start_time_is_now);
    assert_int_equal(relative.aggregation.start_time, 1732271919 * S);
    tsd_config_deinit(&relative);
    tsd_config_deinit(&now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted_values), cmocka_unit_test(test_rejected_values),
        cmocka_unit_test(test_path_lengths),    cmocka_unit_test(test_host_lengths),
        cmocka_unit_test(test_retention),       cmocka_unit_test(test_start_time_now),
    };
    return cmocka_run_group_tests_name("config_value", tests, set_up, tear_down);
}
