/* Loads configurations from a text and one --set, for their tests. */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include "daemon/config/load.h"
#include "daemon/config/show.h"
#include "daemon/config/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X189 X50 X50 X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxy"
#define X196 X189 "xxxxxxx"
#define LEN(array) (sizeof(array) / sizeof(*(array)))
#define S INT64_C(1000000000)
#define NOW (1732272009 * S + 250000000)

static char folder[] = "/tmp/test_config.XXXXXX";
static char file[sizeof(folder) + 16];
static struct tsd_config_error error;

static inline int set_up(void **state)
{
    (void)state;
    unsetenv("RUNTIME_DIRECTORY");
    unsetenv("STATE_DIRECTORY");
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof(file), "%s/t.conf", folder);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    unlink(file);
    return rmdir(folder);
}

static inline void write_file(const char *bytes, size_t len)
{
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, len, out), len);
    assert_int_equal(fclose(out), 0);
}

/* Loads a text and one --set (NULL: none). A failure must not touch the result, and must set a message. */
static inline int load_bytes(const char *bytes, size_t len, const char *set, struct tsd_config *ret_config)
{
    struct tsd_config config, untouched;
    memset(&config, 0xA5, sizeof(config));
    memset(&untouched, 0xA5, sizeof(untouched));
    memset(&error, 0, sizeof(error));
    write_file(bytes, len);
    int rc = tsd_config_load(file, &set, set != NULL, NOW, &config, &error);
    if (rc) {
        assert_memory_equal(&config, &untouched, sizeof(config));
        assert_true(error.message[0] != '\0');
    } else {
        *ret_config = config;
    }
    return rc;
}

static inline struct tsd_config loaded(const char *text, const char *set)
{
    struct tsd_config config = {0};
    if (load_bytes(text, strlen(text), set, &config))
        fail_msg("rejected: %s\n%s%s%s", error.message, text, set ? "\n--set " : "", set ? set : "");
    return config;
}

static inline char *value_of(const struct tsd_config *config, const char *name)
{
    struct ts_buf out;
    size_t len;
    const struct tsd_config_key *key = tsd_config_find_key(name);
    assert_non_null(key);
    ts_buf_init(&out);
    tsd_value_write(key, config, &out);
    return ts_buf_steal(&out, &len);
}

/* The message, without the name of the file: "3: store.path: ...". */
static inline const char *rejection(const char *text, size_t len, const char *set)
{
    struct tsd_config config;
    int rc = load_bytes(text, len, set, &config);
    if (!rc) {
        tsd_config_deinit(&config);
        fail_msg("accepted: %s%s%s", text, set ? "\n--set " : "", set ? set : "");
    }
    assert_int_equal(rc, TS_EINVAL);
    size_t n = strlen(file);
    return strncmp(error.message, file, n) ? error.message : error.message + n + 1;
}

static inline void check_message(const char *message, const char *begin, const char *part)
{
    if (strncmp(message, begin, strlen(begin)) || !strstr(message, part))
        fail_msg("\"%s\"\ndoes not begin with \"%s\" and contain \"%s\"", message, begin, part);
}

/* What --show-config prints. */
static inline char *printed_config(const struct tsd_config *config)
{
    struct ts_buf out;
    size_t len;
    ts_buf_init(&out);
    assert_int_equal(tsd_config_show(config, &out), 0);
    char *text = ts_buf_steal(&out, &len);
    assert_non_null(text);
    assert_int_equal(strlen(text), len);
    return text;
}

/* The configurations print the same. */
static inline void assert_same(const struct tsd_config *a, const struct tsd_config *b)
{
    char *text_a = printed_config(a);
    char *text_b = printed_config(b);
    assert_string_equal(text_a, text_b);
    free(text_a);
    free(text_b);
}

/* A file that sets every key to another value than its default. */
__attribute__((unused)) static const char all_changed[] = "[aggregation]\n"
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

#endif
