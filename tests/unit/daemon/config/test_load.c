/* Loading: defaults, every key, --set, the environment, unreadable files, rules between keys, lack of memory. */
#include "config_load.h"

#include "daemon/base/log.h"
#include "daemon/config/reload.h"

#include <sys/stat.h>

#include "failing_alloc.h"

static void test_defaults(void **state)
{
    (void)state;
    struct tsd_config c = loaded("", NULL);
    assert_int_equal(c.aggregation.time_slice, 10 * S);
    assert_int_equal(c.aggregation.start_time, 0);
    assert_false(c.aggregation.start_time_is_now);
    assert_int_equal(c.aggregation.n_retention, 3);
    assert_int_equal(c.aggregation.retention[0].width, 10 * S);
    assert_int_equal(c.aggregation.retention[0].keep, 2 * 86400 * S);
    assert_int_equal(c.aggregation.retention[1].width, 60 * S);
    assert_int_equal(c.aggregation.retention[1].keep, 30 * 86400 * S);
    assert_int_equal(c.aggregation.retention[2].width, 3600 * S);
    assert_int_equal(c.aggregation.retention[2].keep, 2 * 365 * 86400 * S);
    assert_int_equal(c.aggregation.max_future, 600 * S);
    assert_int_equal(c.aggregation.max_locations, 200000);
    assert_int_equal(c.aggregation.max_label_sets, 1000);
    assert_string_equal(c.ingest.udp, "127.0.0.1:8137");
    assert_string_equal(c.ingest.tcp, "127.0.0.1:8137");
    assert_null(c.ingest.unix_stream);
    assert_null(c.ingest.unix_datagram);
    assert_int_equal(c.ingest.socket_mode, 0666);
    assert_int_equal(c.ingest.threads, 1);
    assert_int_equal(c.ingest.max_message, 16777216);
    assert_int_equal(c.ingest.max_connections, 1024);
    assert_int_equal(c.ingest.memory_limit, 268435456);
    assert_int_equal(c.ingest.receive_buffer, 8388608);
    assert_string_equal(c.control.socket, "/run/timesliced/control.sock");
    assert_int_equal(c.control.socket_mode, 0660);
    assert_null(c.control.socket_group);
    assert_null(c.control.http);
    assert_string_equal(c.control.allowed_hosts, "");
    assert_string_equal(c.store.path, "/var/lib/timesliced/timesliced.db");
    assert_int_equal(c.store.flush_interval, S);
    assert_int_equal(c.store.ack_interval, S / 20);
    assert_true(c.store.durability_power);
    assert_int_equal(c.store.client_expiry, 7 * 86400 * S);
    assert_int_equal(c.log.level, TSD_LOG_INFO);
    tsd_config_deinit(&c);
    tsd_config_deinit(&c);
}

static void check_all_changed(const struct tsd_config *c)
{
    assert_int_equal(c->aggregation.time_slice, S / 4);
    assert_int_equal(c->aggregation.start_time, 1769853600 * S);
    assert_int_equal(c->aggregation.n_retention, 3);
    assert_int_equal(c->aggregation.retention[1].width, S);
    assert_int_equal(c->aggregation.retention[1].keep, 86400 * S);
    assert_int_equal(c->aggregation.retention[2].keep, 3650 * 86400 * S);
    assert_int_equal(c->aggregation.max_future, -1);
    assert_int_equal(c->aggregation.max_locations, 7);
    assert_int_equal(c->aggregation.max_label_sets, 8);
    assert_string_equal(c->ingest.udp, "[::1]:0");
    assert_null(c->ingest.tcp);
    assert_string_equal(c->ingest.unix_stream, "/run/a b.sock");
    assert_string_equal(c->ingest.unix_datagram, "d.sock;not-a-comment");
    assert_int_equal(c->ingest.socket_mode, 0600);
    assert_int_equal(c->ingest.threads, 64);
    assert_int_equal(c->ingest.max_message, 1024);
    assert_int_equal(c->ingest.max_connections, 1);
    assert_int_equal(c->ingest.memory_limit, 1 << 20);
    assert_int_equal(c->ingest.receive_buffer, 65536);
    assert_null(c->control.socket);
    assert_int_equal(c->control.socket_mode, 0777);
    assert_string_equal(c->control.socket_group, "root");
    assert_string_equal(c->control.http, "127.0.0.1:9000");
    assert_string_equal(c->control.allowed_hosts, "a.example, b-2.example");
    assert_string_equal(c->store.path, "t.db");
    assert_int_equal(c->store.flush_interval, 3 * S / 2);
    assert_int_equal(c->store.ack_interval, S / 1000);
    assert_false(c->store.durability_power);
    assert_int_equal(c->store.client_expiry, 7 * 86400 * S);
    assert_int_equal(c->log.level, TSD_LOG_DEBUG);
}

/* "section.key=value" of every key. */
static void sets_of(const struct tsd_config *config, char *ret_sets[TSD_CONFIG_KEYS])
{
    for (size_t i = 0; i < TSD_CONFIG_KEYS; i++) {
        size_t len;
        struct ts_buf out;
        ts_buf_init(&out);
        ts_buf_printf(&out, "%s=", tsd_config_keys[i].name);
        tsd_value_write(&tsd_config_keys[i], config, &out);
        ret_sets[i] = ts_buf_steal(&out, &len);
        assert_non_null(ret_sets[i]);
    }
}

/* From a file; then the same values by --set, which overrides another file. */
static void test_every_key(void **state)
{
    (void)state;
    char *sets[TSD_CONFIG_KEYS];
    struct tsd_config first = loaded(all_changed, NULL);
    struct tsd_config second;
    check_all_changed(&first);
    sets_of(&first, sets);
    write_file("[log]\nlevel = error\n", strlen("[log]\nlevel = error\n"));
    assert_int_equal(tsd_config_load(file, (const char *const *)sets, TSD_CONFIG_KEYS, NOW, &second, &error), 0);
    check_all_changed(&second);
    assert_same(&first, &second);
    tsd_config_deinit(&first);
    tsd_config_deinit(&second);
    for (size_t i = 0; i < TSD_CONFIG_KEYS; i++)
        free(sets[i]);
}

static void test_sets(void **state)
{
    (void)state;
    static const struct {
        const char *set, *begin, *part;
    } cases[] = {
        {"ingest.udp", "--set ingest.udp: ", "SECTION.KEY=VALUE"},
        {"", "--set ", "SECTION.KEY=VALUE"},
        {"=", "--set : ", "no such key"},
        {"ingest.udq=off", "--set ingest.udq: ", "did you mean ingest.udp?"},
        {"time_slice=5s", "--set time_slice: ", "did you mean aggregation.time_slice?"},
        {"ingest.udp =off", "--set ingest.udp : ", "did you mean ingest.udp?"},
        {X196 X196 "=1", "--set xxx", "no such key"},
        {"aggregation=1", "--set aggregation: ", "no such key"},
    };
    for (size_t i = 0; i < LEN(cases); i++)
        check_message(rejection("", 0, cases[i].set), cases[i].begin, cases[i].part);

    static const char text[] = "[ingest]\nudp = 127.0.0.1:1\ntcp = 127.0.0.1:2\n";
    static const char *const sets[] = {"ingest.udp=127.0.0.1:3", "ingest.udp=127.0.0.1:4", "store.path=a=b"};
    struct tsd_config config;
    write_file(text, strlen(text));
    assert_int_equal(tsd_config_load(file, sets, LEN(sets), NOW, &config, &error), 0);
    assert_string_equal(config.ingest.udp, "127.0.0.1:4");
    assert_string_equal(config.ingest.tcp, "127.0.0.1:2");
    assert_string_equal(config.store.path, "a=b");
    tsd_config_deinit(&config);
    /* An overridden value must also be valid. */
    check_message(rejection("[ingest]\nudp = x\n", strlen("[ingest]\nudp = x\n"), "ingest.udp=off"),
                  "2: ingest.udp: ", "");
}

static void test_paths_collide(void **state)
{
    (void)state;
    static const char sockets[] = "[ingest]\nunix_stream = /run/x\nunix_datagram = /run/x\n";
    check_message(rejection(sockets, strlen(sockets), NULL),
                  "3: ingest.unix_datagram: ", "ingest.unix_stream has the same path");
    check_message(rejection("[store]\npath = c\n", strlen("[store]\npath = c\n"), "control.socket=c"),
                  "2: store.path: ", "control.socket has the same path");
    struct tsd_config config =
        loaded("[ingest]\nunix_stream = off\nunix_datagram = off\n[control]\nsocket = off\n", NULL);
    tsd_config_deinit(&config);
}

static void test_unreadable_files(void **state)
{
    (void)state;
    struct tsd_config config;
    char path[300];
    snprintf(path, sizeof(path), "%s/none.conf", folder);
    assert_int_equal(tsd_config_load(path, NULL, 0, NOW, &config, &error), TS_EINVAL);
    check_message(error.message, "cannot read /tmp/test_config.", "/none.conf: No such file or directory");
    assert_int_equal(tsd_config_load(folder, NULL, 0, NOW, &config, &error), TS_EINVAL);
    check_message(error.message, "cannot read /tmp/test_config.", "Is a directory");
    write_file("", 0);
    snprintf(path, sizeof(path), "%s/below", file);
    assert_int_equal(tsd_config_load(path, NULL, 0, NOW, &config, &error), TS_EINVAL);
    check_message(error.message, "cannot read ", "Not a directory");
    if (geteuid() != 0) { /* root can read every file */
        assert_int_equal(chmod(file, 0), 0);
        assert_int_equal(tsd_config_load(file, NULL, 0, NOW, &config, &error), TS_EINVAL);
        check_message(error.message, "cannot read ", "t.conf: Permission denied");
        assert_int_equal(chmod(file, 0600), 0);
    }
    assert_int_equal(tsd_config_load("/dev/zero", NULL, 0, NOW, &config, &error), TS_EINVAL);
    check_message(error.message, "/dev/zero: ", "longer than 1048576 bytes");
    /* Of a long path, the end is shown. */
    char long_path[600];
    snprintf(long_path, sizeof(long_path), "/%0500d/the-end.conf", 0);
    assert_int_equal(tsd_config_load(long_path, NULL, 0, NOW, &config, &error), TS_EINVAL);
    check_message(error.message, "cannot read ", "/the-end.conf: ");
}

/* The default file may be missing; if it exists, it is read. */
static void test_default_file(void **state)
{
    (void)state;
    static const char path[] = "/etc/timesliced/timesliced.conf";
    struct tsd_config config, same;
    bool there = access(path, F_OK) == 0;
    int rc = tsd_config_load(NULL, NULL, 0, NOW, &config, &error);
    assert_int_equal(rc, tsd_config_load(there ? path : "/dev/null", NULL, 0, NOW, &same, &error));
    if (rc)
        return;
    assert_same(&config, &same);
    tsd_config_deinit(&config);
    tsd_config_deinit(&same);
}

static void check_folders(const char *runtime, const char *state, const char *socket, const char *path)
{
    setenv("RUNTIME_DIRECTORY", runtime, 1);
    setenv("STATE_DIRECTORY", state, 1);
    struct tsd_config config = loaded("", NULL);
    assert_string_equal(config.control.socket, socket);
    assert_string_equal(config.store.path, path);
    tsd_config_deinit(&config);
}

static void test_environment(void **state)
{
    (void)state;
    char too_long[200];
    check_folders("/run/a", "/var/lib/b", "/run/a/control.sock", "/var/lib/b/timesliced.db");
    check_folders("/run/a:/run/b", "/var/lib/b:/c", "/run/a/control.sock", "/var/lib/b/timesliced.db");
    check_folders("", "", "/run/timesliced/control.sock", "/var/lib/timesliced/timesliced.db");
    snprintf(too_long, sizeof(too_long), "/%0120d", 0);
    setenv("RUNTIME_DIRECTORY", too_long, 1);
    check_message(rejection("", 0, NULL), "control.socket (default): ", "the limit is 107");
    /* The folder is only checked if it is used. */
    struct tsd_config config = loaded("", "control.socket=/run/c.sock");
    assert_string_equal(config.control.socket, "/run/c.sock");
    tsd_config_deinit(&config);
    unsetenv("RUNTIME_DIRECTORY");
    unsetenv("STATE_DIRECTORY");
}

static void no_change(void *data, const char *key, bool reloadable)
{
    (void)data, (void)reloadable;
    fail_msg("called for %s", key);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct tsd_config config, next;
    static const char *const sets[] = {"ingest.udp=localhost:1", "control.allowed_hosts=x"};
    write_file(all_changed, strlen(all_changed));
    setenv("STATE_DIRECTORY", "/var/lib/b", 1);
    int rc = TS_ENOMEM;
    int n = 0;
    for (; rc == TS_ENOMEM; n++) {
        memset(&error, 0, sizeof(error));
        alloc_fail_at = n;
        rc = tsd_config_load(file, sets, LEN(sets), NOW, &config, &error);
        alloc_fail_at = -1;
        assert_true(rc == 0 || rc == TS_ENOMEM);
        if (rc)
            assert_string_equal(error.message, "out of memory");
    }
    assert_true(n > 10); /* every allocation failed once */
    next = loaded("[control]\nallowed_hosts = y\n[log]\nlevel = error\n", NULL);
    char *before = printed_config(&config);
    alloc_fail_at = 0;
    rc = tsd_config_reload(&config, &next, no_change, NULL);
    alloc_fail_at = -1;
    char *after = printed_config(&config);
    assert_int_equal(rc, TS_ENOMEM);
    assert_string_equal(before, after);
    free(before);
    free(after);
    tsd_config_deinit(&config);
    tsd_config_deinit(&next);
    unsetenv("STATE_DIRECTORY");
}

/* Damaged files are accepted, or rejected with a line. An accepted configuration is the same after printing and
 * reading. */
static void test_damaged_files(void **state)
{
    (void)state;
    unsigned long long seed = 1;
    size_t n_rejected = 0, n_accepted = 0;
    for (int round = 0; round < 4000; round++) {
        char text[sizeof(all_changed)];
        size_t len = strlen(all_changed);
        memcpy(text, all_changed, len);
        for (unsigned hits = 1 + (unsigned)(next_random(&seed) % 2); hits; hits--) {
            static const char odd[] = "\0\n\r []=:;#\"-0s\xff";
            size_t at = next_random(&seed) % len;
            text[at] = odd[next_random(&seed) % (sizeof(odd) - 1)];
        }
        if (next_random(&seed) % 4 == 0)
            len = next_random(&seed) % len;
        struct tsd_config config;
        if (load_bytes(text, len, NULL, &config)) {
            n_rejected++;
            assert_memory_equal(error.message, file, strlen(file));
            continue;
        }
        n_accepted++;
        char *printed = printed_config(&config);
        struct tsd_config again = loaded(printed, NULL);
        assert_same(&config, &again);
        free(printed);
        tsd_config_deinit(&config);
        tsd_config_deinit(&again);
    }
    assert_true(n_rejected > 400 && n_accepted > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_paths_collide),
        cmocka_unit_test(test_unreadable_files),
        cmocka_unit_test(test_default_file),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_damaged_files),
    };
    return cmocka_run_group_tests_name("config load", tests, set_up, tear_down);
}
