/* The configuration: where values come from, what is said of bad files; table, sample and documentation agree. */
#include "config_load.h"

#include "daemon/base/log.h"

#include <sys/stat.h>

#include "failing_alloc.h"

static char *dump(const struct tsd_config *config)
{
    struct ts_buf out;
    size_t len;
    ts_buf_init(&out);
    tsd_config_dump(config, &out);
    char *text = ts_buf_steal(&out, &len);
    assert_non_null(text);
    return text;
}

static void test_defaults(void **state)
{
    (void)state;
    struct tsd_config c = good("", NULL);
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

static const char all_changed[] = "[aggregation]\n"
                                  "time_slice = 250ms\n"
                                  "start_time = 2026-01-31T10:00:00Z\n"
                                  "retention = 250ms:1h\n"
                                  "    1s:1d ; a second level\n"
                                  "\n"
                                  "# and a third\n"
                                  "\t1m:10y\n"
                                  "max_future = off\n"
                                  "max_locations = 7\n"
                                  "max_label_sets:8\n"
                                  "[ingest] ; what comes in\r\n"
                                  "udp = [::1]:0\r\n"
                                  "tcp=off\r\n"
                                  "  # indented comment\n"
                                  "unix_stream = /run/a b.sock\n"
                                  "unix_datagram = d.sock;not-a-comment\n"
                                  "socket_mode = 600\n"
                                  "threads = 64\n"
                                  "max_message = 1K\n"
                                  "max_connections = 1\n"
                                  "memory_limit = 1M\n"
                                  "receive_buffer = 65536\n"
                                  "[control]\n"
                                  "  socket = off\n"
                                  "socket_mode = 0777\n"
                                  "socket_group = root\n"
                                  "http = localhost:9000\n"
                                  "allowed_hosts = a.example,\n"
                                  "  b-2.example\n"
                                  "[store]\n"
                                  "path = t.db\n"
                                  "flush_interval = 1.5s\n"
                                  "ack_interval = 1ms\n"
                                  "durability = process\n"
                                  "client_expiry = 1w\n"
                                  "[log]\n"
                                  "level = debug"; /* no newline at the end */

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

/* Splits a dump at its newlines, in place. */
static size_t lines_of(char *text, const char **lines, size_t max)
{
    size_t n = 0;
    for (char *newline; (newline = strchr(text, '\n')); text = newline + 1) {
        assert_true(n < max);
        *newline = '\0';
        lines[n++] = text;
    }
    return n;
}

/* From a file; and again from what the dump has of it, by --set over another file. */
static void test_every_key(void **state)
{
    (void)state;
    struct tsd_config config = good(all_changed, NULL);
    check_all_changed(&config);
    char *first = dump(&config);
    tsd_config_deinit(&config);

    const struct tsd_config_key *keys;
    const char *sets[64];
    char *copy = strdup(first);
    size_t n = lines_of(copy, sets, LEN(sets));
    assert_int_equal(n, tsd_config_keys(&keys));
    write_file("[log]\nlevel = error\n", strlen("[log]\nlevel = error\n"));
    assert_int_equal(tsd_config_load(file, sets, n, NOW, &config, &error), 0);
    check_all_changed(&config);
    char *second = dump(&config);
    assert_string_equal(first, second);
    tsd_config_deinit(&config);
    free(copy);
    free(first);
    free(second);
}

struct ini_case {
    const char *text;
    const char *begin; /* "LINE: " and on */
    const char *said;
    size_t len; /* 0: to the NUL */
};

#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X189 X50 X50 X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxy"
#define X196 X189 "xxxxxxx"

static void test_bad_files(void **state)
{
    (void)state;
    static const struct ini_case cases[] = {
        {"[ingest]\nudp = off\nnonsense\n", "3: ", "name = value", 0},
        {"[ingest]\nudp = x\nnonsense\n", "2: ingest.udp: ", "HOST:PORT", 0},
        {"[ingest]\nnonsense\nudp = x\n", "2: ", "name = value", 0},
        {"[ingest]\nudp = off\nnonsense", "3: ", "name = value", 0},
        {"[ingest]\n= off\n", "2: ", "no name", 0},
        {"[ingest\nudp = off\n", "1: ", "lacks its ]", 0},
        {"[ingest] udp = off\n", "1: [ingest]", "its line to itself", 0},
        {"[ingest];x\n", "1: [ingest]", "its line to itself", 0},
        {"udp = off\n", "1: udp", "below its [section]", 0},
        {"[]\nudp = off\n", "1: []", "no such section", 0},
        {"[ingset]\n", "1: [ingset]", "aggregation, ingest, control, store, log", 0},
        {"[ ingest ]\n", "1: [ ingest ]", "no such section", 0},
        {"[Ingest]\n", "1: [Ingest]", "no such section", 0},
        {"[inges]\n", "1: [inges]", "no such section", 0},
        {"[" X50 X50 "]\n", "1: [xxx", "no such section", 0},
        {"[ingest]\n[store]\n\n[stor]\n", "4: [stor]", "no such section", 0},
        {"[ingest]\nudpp = off\n", "2: ingest.udpp", "did you mean ingest.udp?", 0},
        {"[ingest]\nmax_conections = 5\n", "2: ingest.max_conections", "did you mean ingest.max_connections?", 0},
        {"[ingest]\nUDP = off\n", "2: ingest.UDP", "no such key", 0},
        {"[ingest]\npath = x\n", "2: ingest.path", "did you mean store.path?", 0},
        {"[store]\ntime_slice = 1s\n", "2: store.time_slice", "did you mean aggregation.time_slice?", 0},
        {"[ingest]\n" X50 " = 1\n", "2: ingest.xxx", "no such key", 0},
        {"[ingest]\nudp = off\nudp = off\n", "3: ingest.udp", "given twice, first in line 2", 0},
        {"[ingest]\nudp = off\n[store]\n[ingest]\nudp = off\n", "5: ingest.udp", "given twice, first in line 2", 0},
        /* In the second of two reopened sections this is no continuation, but a key. */
        {"[ingest]\nudp = off\n[ingest]\n udp = off\n", "4: ingest.udp", "given twice, first in line 2", 0},
        {"[ingest]\nudp = off\n  tcp = off\n", "3: ingest.udp", "an indented line", 0},
        {"[ingest]\nudp = off\n  [store]\n", "3: ingest.udp", "an indented line", 0},
        {"[store]\npath = a\n # c\n\n b\n", "5: store.path", "an indented line", 0},
        {"[aggregation]\nretention = 10s:2d\n max_future = off\n", "2: aggregation.retention", "WIDTH:KEEP", 0},
        {"[ingest]\nudp = \"127.0.0.1:0\"\n", "2: ingest.udp", "without quotes", 0},
        {"[store]\npath = 'x'\n", "2: store.path", "without quotes", 0},
        {"[store]\npath = x # my own\n", "2: store.path", "begins with ;", 0},
        {"[store]\npath = # my own\n", "2: store.path", "begins with ;", 0},
        {"[store]\npath = ; nothing\n", "2: store.path", "a path", 0},
        {"[store]\npath =\n", "2: store.path", "a path", 0},
        {"[store]\npath = a\0b\n", "2: ", "NUL", sizeof("[store]\npath = a\0b\n") - 1},
        {"[\0s\0t\0", "1: ", "UTF-16", 6},
        {"[store]\npath = a\x1b[2Jb\n", "2: ", "byte 0x1b", 0},
        {"[store]\rpath = a\n", "1: ", "byte 0x0d", 0},
        {"[store]\npath = " X196 "\n", "2: ", "longer than 196 bytes", 0},
        {"[store]\npath = " X196 X196 X196 "\n", "2: ", "longer than", 0},
        {"[log]\nlevel = x\n[store]\npath = " X196 "\n", "2: log.level", "", 0},
        {"[log]\nlevel = x\n[stor]\n", "2: log.level", "", 0},
        {"[log]\nlevel = x\nlevels = " X196 "\n", "2: log.level", "", 0},
        {"[log]\nlevel = x\n\x01\n", "2: log.level", "", 0},
        {"\xEF\xBB\xBF[log]\nlevel = x\n", "2: log.level", "", 0},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        size_t len = cases[i].len ? cases[i].len : strlen(cases[i].text);
        must_say(refused(cases[i].text, len, NULL), cases[i].begin, cases[i].said);
    }
}

static void test_good_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *path;
    } cases[] = {
        {"[store]\npath = x", "x"},
        {"\xEF\xBB\xBF[store]\npath = x", "x"},
        {"  [store]  \n  path = x\n", "x"},
        {"\n\n;c\n#c\n[store] ; c\npath=x;y ; c\n", "x;y"},
        {"[store]\npath = a=b:c\n", "a=b:c"},
        {"[store]\npath: \"a\n", "\"a"},
        {"[store]\npath = a#b\n", "a#b"},
        {"# " X196 X196 X196 "\n[store]\npath = x\n", "x"},
        {"[store]\n[log]\nlevel = info\n[store]\npath = x\n", "x"},
        {"[store]\r\npath = x\r\n\r\n", "x"},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        struct tsd_config config = good(cases[i].text, NULL);
        assert_string_equal(config.store.path, cases[i].path);
        tsd_config_deinit(&config);
    }
    /* The longest line, to the byte. */
    static const char longest[] = "[store]\npath = " X189;
    struct tsd_config config = good(longest, NULL);
    assert_int_equal(strlen("path = ") + strlen(config.store.path), 196);
    assert_string_equal(config.store.path + strlen(config.store.path) - 2, "xy");
    tsd_config_deinit(&config);
    /* A list has no such bound: it goes on. */
    struct ts_buf list;
    size_t len;
    ts_buf_init(&list);
    ts_buf_puts(&list, "[control]\nallowed_hosts =\n");
    for (int i = 0; i < 100; i++)
        ts_buf_printf(&list, "\thost-%03d.example\n", i);
    char *long_list = ts_buf_steal(&list, &len);
    config = good(long_list, NULL);
    assert_int_equal(strlen(config.control.allowed_hosts), 100 * strlen("host-000.example ") - 1);
    assert_non_null(strstr(config.control.allowed_hosts, "host-041.example host-042.example"));
    tsd_config_deinit(&config);
    free(long_list);
}

static void test_sets(void **state)
{
    (void)state;
    static const struct {
        const char *set, *begin, *said;
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
        must_say(refused("", 0, cases[i].set), cases[i].begin, cases[i].said);

    static const char text[] = "[ingest]\nudp = 127.0.0.1:1\ntcp = 127.0.0.1:2\n";
    static const char *const sets[] = {"ingest.udp=127.0.0.1:3", "ingest.udp=127.0.0.1:4", "store.path=a=b"};
    struct tsd_config config;
    write_file(text, strlen(text));
    assert_int_equal(tsd_config_load(file, sets, LEN(sets), NOW, &config, &error), 0);
    assert_string_equal(config.ingest.udp, "127.0.0.1:4");
    assert_string_equal(config.ingest.tcp, "127.0.0.1:2");
    assert_string_equal(config.store.path, "a=b");
    tsd_config_deinit(&config);
    /* What is replaced must be right all the same. */
    must_say(refused("[ingest]\nudp = x\n", strlen("[ingest]\nudp = x\n"), "ingest.udp=off"), "2: ingest.udp: ", "");
}

static void test_paths_collide(void **state)
{
    (void)state;
    static const char sockets[] = "[ingest]\nunix_stream = /run/x\nunix_datagram = /run/x\n";
    must_say(refused(sockets, strlen(sockets), NULL),
             "3: ingest.unix_datagram: ", "ingest.unix_stream has the same path");
    must_say(refused("[store]\npath = c\n", strlen("[store]\npath = c\n"), "control.socket=c"),
             "2: store.path: ", "control.socket has the same path");
    struct tsd_config config =
        good("[ingest]\nunix_stream = off\nunix_datagram = off\n[control]\nsocket = off\n", NULL);
    tsd_config_deinit(&config);
}

static void test_unreadable_files(void **state)
{
    (void)state;
    struct tsd_config config;
    char path[300];
    snprintf(path, sizeof(path), "%s/none.conf", folder);
    assert_int_equal(tsd_config_load(path, NULL, 0, NOW, &config, &error), TS_EINVAL);
    must_say(error.message, "cannot read /tmp/test_config.", "/none.conf: No such file or directory");
    assert_int_equal(tsd_config_load(folder, NULL, 0, NOW, &config, &error), TS_EINVAL);
    must_say(error.message, "cannot read /tmp/test_config.", "Is a directory");
    write_file("", 0);
    snprintf(path, sizeof(path), "%s/below", file);
    assert_int_equal(tsd_config_load(path, NULL, 0, NOW, &config, &error), TS_EINVAL);
    must_say(error.message, "cannot read ", "Not a directory");
    if (geteuid() != 0) { /* root reads everything */
        assert_int_equal(chmod(file, 0), 0);
        assert_int_equal(tsd_config_load(file, NULL, 0, NOW, &config, &error), TS_EINVAL);
        must_say(error.message, "cannot read ", "t.conf: Permission denied");
        assert_int_equal(chmod(file, 0600), 0);
    }
    assert_int_equal(tsd_config_load("/dev/zero", NULL, 0, NOW, &config, &error), TS_EINVAL);
    must_say(error.message, "/dev/zero: ", "longer than 1048576 bytes");
    /* Of a long name the end is told. */
    char long_path[600];
    snprintf(long_path, sizeof(long_path), "/%0500d/the-end.conf", 0);
    assert_int_equal(tsd_config_load(long_path, NULL, 0, NOW, &config, &error), TS_EINVAL);
    must_say(error.message, "cannot read ", "/the-end.conf: ");
}

/* Without a name the default file may be missing; where it is there it counts. */
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
    char *a = dump(&config);
    char *b = dump(&same);
    assert_string_equal(a, b);
    free(a);
    free(b);
    tsd_config_deinit(&config);
    tsd_config_deinit(&same);
}

static void check_folders(const char *runtime, const char *state, const char *socket, const char *path)
{
    setenv("RUNTIME_DIRECTORY", runtime, 1);
    setenv("STATE_DIRECTORY", state, 1);
    struct tsd_config config = good("", NULL);
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
    must_say(refused("", 0, NULL), "control.socket, by default: ", "107 are allowed");
    /* It matters only where it is used. */
    struct tsd_config config = good("", "control.socket=/run/c.sock");
    assert_string_equal(config.control.socket, "/run/c.sock");
    tsd_config_deinit(&config);
    unsetenv("RUNTIME_DIRECTORY");
    unsetenv("STATE_DIRECTORY");
}

/* Reload */

struct changes {
    char reloaded[1000];
    char refused[1000];
};

static void note_change(void *data, const char *key, bool reloadable)
{
    struct changes *changes = data;
    char *list = reloadable ? changes->reloaded : changes->refused;
    strcat(strcat(list, key), " ");
}

static const char reloadable_keys[] =
    "aggregation.max_future aggregation.max_locations aggregation.max_label_sets ingest.max_message "
    "ingest.max_connections ingest.memory_limit control.allowed_hosts store.flush_interval store.ack_interval "
    "store.client_expiry log.level ";

static void test_reload(void **state)
{
    (void)state;
    struct changes changes = {"", ""};
    struct tsd_config config = good("", NULL);
    struct tsd_config next = good(all_changed, "store.client_expiry=8d");
    char *before = dump(&next);
    assert_int_equal(tsd_config_reload(&config, &next, note_change, &changes), 0);
    assert_string_equal(changes.reloaded, reloadable_keys);
    assert_string_equal(changes.refused,
                        "aggregation.time_slice aggregation.start_time aggregation.retention ingest.udp ingest.tcp "
                        "ingest.unix_stream ingest.unix_datagram ingest.socket_mode ingest.threads "
                        "ingest.receive_buffer control.socket control.socket_mode control.socket_group control.http "
                        "store.path store.durability ");
    /* Each of those has the value that the table says it may have. */
    const struct tsd_config_key *keys;
    size_t n = tsd_config_keys(&keys);
    struct tsd_config old = good("", NULL);
    for (size_t i = 0; i < n; i++) {
        char *now = formatted(&config, keys[i].name);
        char *expected = formatted(keys[i].reloadable ? &next : &old, keys[i].name);
        assert_string_equal(now, expected);
        free(now);
        free(expected);
    }
    /* The next one is whole and its own. */
    char *after = dump(&next);
    assert_string_equal(before, after);
    assert_ptr_not_equal(config.control.allowed_hosts, next.control.allowed_hosts);
    free(before);
    free(after);
    tsd_config_deinit(&next);
    assert_string_equal(config.control.allowed_hosts, "a.example, b-2.example");
    /* Nothing differs: nothing is said. */
    changes = (struct changes){"", ""};
    assert_int_equal(tsd_config_reload(&old, &old, note_change, &changes), 0);
    assert_string_equal(changes.reloaded, "");
    assert_string_equal(changes.refused, "");
    tsd_config_deinit(&old);
    tsd_config_deinit(&config);
}

static void reload_between(const char *set_before, const char *set_after, const char *refused_keys)
{
    struct changes changes = {"", ""};
    struct tsd_config config = good("", set_before);
    struct tsd_config next = good("", set_after);
    if (next.aggregation.start_time_is_now)
        next.aggregation.start_time += 3600 * S; /* read an hour later */
    assert_int_equal(tsd_config_reload(&config, &next, note_change, &changes), 0);
    assert_string_equal(changes.refused, refused_keys);
    tsd_config_deinit(&config);
    tsd_config_deinit(&next);
}

/* What is the same though it reads or was read differently, and what only seems so. */
static void test_reload_compares_values(void **state)
{
    (void)state;
    reload_between("aggregation.start_time=now", "aggregation.start_time=now", "");
    reload_between("aggregation.start_time=now", "aggregation.start_time=1732272009", "aggregation.start_time ");
    reload_between("aggregation.start_time=0", "aggregation.start_time=1970-01-01", "");
    reload_between("aggregation.retention=10s:1d", "aggregation.retention=10s:24h", "");
    reload_between("aggregation.retention=10s:1d", "aggregation.retention=10s:25h", "aggregation.retention ");
    reload_between("aggregation.retention=10s:1d 1m:2d", "aggregation.retention=10s:1d 20s:2d",
                   "aggregation.retention ");
    reload_between("ingest.udp=127.0.0.1:0", "ingest.udp=localhost:0", "");
    reload_between("ingest.udp=off", "ingest.udp=localhost:0", "ingest.udp ");
    reload_between("ingest.udp=localhost:0", "ingest.udp=off", "ingest.udp ");
    reload_between("ingest.udp=off", "ingest.udp=off", "");
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
    assert_true(n > 10); /* each did fail */
    next = good("[control]\nallowed_hosts = y\n[log]\nlevel = error\n", NULL);
    struct changes changes = {"", ""};
    char *before = dump(&config);
    alloc_fail_at = 0;
    rc = tsd_config_reload(&config, &next, note_change, &changes);
    alloc_fail_at = -1;
    char *after = dump(&config);
    assert_int_equal(rc, TS_ENOMEM);
    assert_string_equal(before, after);
    assert_string_equal(changes.reloaded, "");
    assert_string_equal(changes.refused, "");
    free(before);
    free(after);
    tsd_config_deinit(&config);
    tsd_config_deinit(&next);
    unsetenv("STATE_DIRECTORY");
}

/* Damaged files: taken or refused with a place, never worse. What is taken reads the same once it is written again. */
static void test_damaged_files(void **state)
{
    (void)state;
    unsigned long long seed = 1;
    size_t n_refused = 0, n_taken = 0;
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
            n_refused++;
            assert_memory_equal(error.message, file, strlen(file));
            continue;
        }
        n_taken++;
        char *shown = dump(&config);
        char *copy = strdup(shown);
        const char *sets[64];
        size_t n = lines_of(copy, sets, LEN(sets));
        struct tsd_config again;
        assert_int_equal(tsd_config_load("/dev/null", sets, n, NOW, &again, &error), 0);
        char *shown_again = dump(&again);
        assert_string_equal(shown, shown_again);
        free(shown);
        free(copy);
        free(shown_again);
        tsd_config_deinit(&config);
        tsd_config_deinit(&again);
    }
    assert_true(n_refused > 400 && n_taken > 200);
}

/* Agreement of table, sample and documentation */

/* A file of the source tree, by this file's own name, or upwards from where the test runs. */
static char *read_source(const char *name)
{
    char path[4096];
    FILE *in = NULL;
    const char *here = strstr(__FILE__, "tests/unit/daemon/config/test_config.c");
    if (here) {
        snprintf(path, sizeof(path), "%.*s%s", (int)(here - __FILE__), __FILE__, name);
        in = fopen(path, "r");
    }
    for (int up = 0; !in && up < 5; up++) {
        snprintf(path, sizeof(path), "%.*s%s", 3 * up, "../../../../", name);
        in = fopen(path, "r");
    }
    if (!in)
        fail_msg("%s is not found: run this from the build folder in the source tree", name);
    struct ts_buf out;
    size_t len;
    ts_buf_init(&out);
    for (int c; (c = getc(in)) != EOF;)
        ts_buf_putc(&out, (char)c);
    fclose(in);
    return ts_buf_steal(&out, &len);
}

/* The cell's text in words: without the marks of code, spaces at its ends, and the words for nothing. */
static void plain_cell(const char *cell, size_t len, char *ret_text, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        assert_true(n + 1 < size);
        if (cell[i] != '`' && !(cell[i] == ' ' && n == 0))
            ret_text[n++] = cell[i];
    }
    while (n && ret_text[n - 1] == ' ')
        n--;
    ret_text[n] = '\0';
    if (!strcmp(ret_text, "none") || !strcmp(ret_text, "empty"))
        *ret_text = '\0';
}

/* One row for each key, in the table's order: "| `section.key` | default | ...". */
static void test_documentation_agrees(void **state)
{
    (void)state;
    const struct tsd_config_key *keys;
    size_t n = tsd_config_keys(&keys), row = 0;
    char *document = read_source("docs/configuration.md");
    char *rest = document;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char key[100], text[300];
        const char *end = strncmp(line, "| `", 3) ? NULL : strstr(line + 2, " | ");
        if (!end)
            continue;
        plain_cell(line + 2, (size_t)(end - line) - 2, key, sizeof(key));
        bool ours = false;
        for (size_t i = 0; i < n && !ours; i++)
            ours = !strncmp(key, keys[i].name, strcspn(keys[i].name, ".") + 1);
        if (!ours)
            continue;
        const char *cell = end + 3;
        const char *cell_end = strstr(cell, " |");
        assert_non_null(cell_end);
        plain_cell(cell, (size_t)(cell_end - cell), text, sizeof(text));
        if (row == n || strcmp(key, keys[row].name))
            fail_msg("docs/configuration.md has %s where the table has %s", key, row < n ? keys[row].name : "no more");
        if (strcmp(text, keys[row].default_text))
            fail_msg("docs/configuration.md: %s has the default \"%s\", the table \"%s\"", key, text,
                     keys[row].default_text);
        row++;
    }
    if (row < n)
        fail_msg("docs/configuration.md lacks %s", keys[row].name);
    free(document);
}

/* Takes the # from "#key = value". Comments have a space behind theirs. */
static void uncomment(char *text)
{
    char *out = text;
    for (const char *p = text; *p; p++) {
        bool begins = p == text || p[-1] == '\n';
        if (!(begins && *p == '#' && p[1] >= 'a' && p[1] <= 'z'))
            *out++ = *p;
    }
    *out = '\0';
}

/* As it is it changes nothing; without the # it says what holds anyway: each key, in the table's order. */
static void test_sample_agrees(void **state)
{
    (void)state;
    const struct tsd_config_key *keys;
    size_t n = tsd_config_keys(&keys), row = 0;
    struct tsd_config defaults = good("", NULL);
    char *text = read_source("config/timesliced.conf");
    struct tsd_config config = good(text, NULL);
    char *a = dump(&defaults);
    char *b = dump(&config);
    assert_string_equal(a, b);
    free(b);
    tsd_config_deinit(&config);

    uncomment(text);
    config = good(text, NULL);
    b = dump(&config);
    assert_string_equal(a, b);
    free(a);
    free(b);

    char section[64] = "";
    char *rest = text;
    bool marked = false, in_comment = false;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char name[100];
        if (*line == '#') {
            marked = (in_comment && marked) || strstr(line, "[reload]");
            in_comment = true;
            continue;
        }
        in_comment = false;
        if (*line == '[') {
            snprintf(section, sizeof(section), "%.*s", (int)strcspn(line + 1, "]"), line + 1);
        } else if (*line) {
            const char *value = strstr(line, " =");
            assert_non_null(value);
            snprintf(name, sizeof(name), "%s.%.*s", section, (int)(value - line), line);
            if (row == n || strcmp(name, keys[row].name))
                fail_msg("the sample has %s where the table has %s", name, row < n ? keys[row].name : "no more");
            char *shown = formatted(&defaults, name);
            value += 2 + (value[2] == ' ');
            /* A default that depends on something: as it is here and now. */
            const char *expected = strpbrk(keys[row].default_text, "$<") ? shown : keys[row].default_text;
            if (strcmp(value, expected))
                fail_msg("the sample: %s = %s, but it is %s", name, value, expected);
            if (marked != keys[row].reloadable)
                fail_msg("the sample: %s is%s marked [reload]", name, marked ? "" : " not");
            free(shown);
            row++;
        }
    }
    if (row < n)
        fail_msg("the sample lacks %s", keys[row].name);
    free(text);
    tsd_config_deinit(&config);
    tsd_config_deinit(&defaults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_good_files),
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_paths_collide),
        cmocka_unit_test(test_unreadable_files),
        cmocka_unit_test(test_default_file),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_reload_compares_values),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_damaged_files),
        cmocka_unit_test(test_documentation_agrees),
        cmocka_unit_test(test_sample_agrees),
    };
    return cmocka_run_group_tests_name("config", tests, set_up, tear_down);
}
