/* Configurations out of a text and one --set, for the tests of them. */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include "daemon/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LEN(array) (sizeof(array) / sizeof(*(array)))
#define S INT64_C(1000000000)
#define NOW (1732272009 * S + 250000000)

static char folder[] = "/tmp/test_config.XXXXXX";
static char file[sizeof(folder) + 16];
static struct tsd_config_error error;

static int set_up(void **state)
{
    (void)state;
    unsetenv("RUNTIME_DIRECTORY");
    unsetenv("STATE_DIRECTORY");
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof(file), "%s/t.conf", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(file);
    return rmdir(folder);
}

static void write_file(const char *bytes, size_t len)
{
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, len, out), len);
    assert_int_equal(fclose(out), 0);
}

/* Loads a text and one --set (NULL: none). A failure must leave the result alone and say something. */
static int load_bytes(const char *bytes, size_t len, const char *set, struct tsd_config *ret_config)
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

static struct tsd_config good(const char *text, const char *set)
{
    struct tsd_config config = {0};
    if (load_bytes(text, strlen(text), set, &config))
        fail_msg("refused: %s\n%s%s%s", error.message, text, set ? "\n--set " : "", set ? set : "");
    return config;
}

static char *formatted(const struct tsd_config *config, const char *name)
{
    const struct tsd_config_key *keys;
    size_t n = tsd_config_keys(&keys), len;
    struct ts_buf out;
    ts_buf_init(&out);
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(keys[i].name, name))
            tsd_config_format(config, &keys[i], &out);
    }
    return ts_buf_steal(&out, &len);
}

/* The message, without the file's name where it is there: "3: store.path: ...". */
static const char *refused(const char *text, size_t len, const char *set)
{
    struct tsd_config config;
    int rc = load_bytes(text, len, set, &config);
    if (!rc) {
        tsd_config_deinit(&config);
        fail_msg("taken: %s%s%s", text, set ? "\n--set " : "", set ? set : "");
    }
    assert_int_equal(rc, TS_EINVAL);
    size_t n = strlen(file);
    return strncmp(error.message, file, n) ? error.message : error.message + n + 1;
}

static void must_say(const char *message, const char *begin, const char *part)
{
    if (strncmp(message, begin, strlen(begin)) || !strstr(message, part))
        fail_msg("\"%s\"\ndoes not begin with \"%s\" and say \"%s\"", message, begin, part);
}

#endif
