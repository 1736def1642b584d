/*
 * libFuzzer target: the configuration. Any bytes as a file and any texts for --set are accepted, or rejected with a
 * message that has the line. An accepted configuration is the same after printing and reading.
 *
 * Input: the two low bits of the first byte are the number of lines for --set that follow; the rest is the file.
 */
#include "daemon/config/load.h"
#include "daemon/config/reload.h"
#include "daemon/config/show.h"
#include "daemon/config/value.h"
#include "tests/fuzz/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NOW (INT64_C(1732272009250) * 1000000)

enum { SETS_MAX = 3 };

struct input {
    const char *sets[SETS_MAX];
    size_t n_sets;
    const char *file;
    size_t len;
};

static const struct tsd_config_key *const keys = tsd_config_keys;
static const size_t n_keys = TSD_CONFIG_KEYS;
static int fd = -1;
static char path[64]; /* of the file, a memfd */

static void set_up(void)
{
    unsetenv("RUNTIME_DIRECTORY");
    unsetenv("STATE_DIRECTORY");
    fd = memfd_create("config", MFD_CLOEXEC);
    if (fd < 0)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
}

static void put_file(const char *bytes, size_t len)
{
    if (ftruncate(fd, 0) || pwrite(fd, bytes, len, 0) != (ssize_t)len)
        abort();
}

static bool is_ascii(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)bytes[i] >= 0x80)
            return false;
    }
    return true;
}

static bool has_control(const char *text)
{
    for (; *text; text++) {
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7F)
            return true;
    }
    return false;
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* "N: ..." of a line that exists and is neither blank nor a comment. Messages have no control characters. */
static void check_line(const char *place, const struct input *input)
{
    char *after;
    unsigned long number = strtoul(place, &after, 10);
    CHECK(after > place && begins(after, ": ") && after[2]);
    CHECK(!has_control(place));
    const char *at = input->file;
    const char *end = input->file + input->len;
    for (unsigned long line = 1; line < number; line++) {
        at = memchr(at, '\n', (size_t)(end - at));
        CHECK(at);
        at++;
    }
    while (at < end && strchr(" \t\v\f\r", *at) && *at)
        at++;
    CHECK(number >= 1 && at < end && *at != '\n' && *at != '#' && *at != ';');
}

/* The message begins with the key of one of the arguments. */
static bool names_set(const char *place, const struct input *input)
{
    const char *colon = strstr(place, ": ");
    bool named = false;
    for (size_t i = 0; i < input->n_sets && !named; i++) {
        const char *equals = strchr(input->sets[i], '=');
        size_t len = equals ? (size_t)(equals - input->sets[i]) : strlen(input->sets[i]);
        named = strncmp(place, input->sets[i], len < 60 ? len : 60) == 0;
    }
    return named && colon && colon[2];
}

static bool names_default(const char *message)
{
    bool named = false;
    for (size_t i = 0; i < n_keys && !named; i++)
        named = begins(message, keys[i].name) && begins(message + strlen(keys[i].name), " (default): ");
    return named;
}

/* A message repeats the rejected value. The log escapes invalid UTF-8, so only ASCII input must give ASCII. */
static void check_message(const struct tsd_config_error *error, const struct input *input)
{
    const char *message = error->message;
    CHECK(memchr(message, '\0', sizeof(error->message)));
    bool ascii = is_ascii(input->file, input->len);
    for (size_t i = 0; i < input->n_sets; i++)
        ascii = ascii && is_ascii(input->sets[i], strlen(input->sets[i]));
    CHECK(!ascii || is_ascii(message, strlen(message)));
    if (begins(message, path) && message[strlen(path)] == ':')
        check_line(message + strlen(path) + 1, input);
    else if (begins(message, "--set "))
        CHECK(names_set(message + strlen("--set "), input));
    else
        CHECK(names_default(message));
}

/* TS_EINVAL, with the result untouched and a printable message, or 0. */
static int load(const struct input *input, struct tsd_config *ret_config, struct tsd_config_error *ret_error)
{
    struct tsd_config config;
    struct tsd_config untouched;
    memset(&config, 0xA5, sizeof(config));
    memset(&untouched, 0xA5, sizeof(untouched));
    memset(ret_error, 0xA5, sizeof(*ret_error));
    put_file(input->file, input->len);
    int rc = tsd_config_load(path, input->sets, input->n_sets, NOW, &config, ret_error);
    CHECK(rc == 0 || rc == TS_EINVAL);
    if (rc) {
        CHECK(memcmp(&config, &untouched, sizeof(config)) == 0);
        check_message(ret_error, input);
    } else {
        *ret_config = config;
    }
    return rc;
}

/* Every value, given to --set as it is printed, gives the same configuration. */
static void check_sets(const struct tsd_config *config)
{
    char *sets[TSD_CONFIG_KEYS];
    struct tsd_config second;
    struct tsd_config_error error;
    for (size_t i = 0; i < n_keys; i++) {
        size_t len;
        struct ts_buf out;
        ts_buf_init(&out);
        ts_buf_printf(&out, "%s=", keys[i].name);
        tsd_value_write(&keys[i], config, &out);
        sets[i] = ts_buf_steal(&out, &len);
        CHECK(sets[i] && strlen(sets[i]) == len);
    }
    put_file("", 0);
    CHECK(tsd_config_load(path, (const char *const *)sets, n_keys, NOW, &second, &error) == 0);
    for (size_t i = 0; i < n_keys; i++) {
        CHECK(tsd_value_equal(&keys[i], config, &second));
        free(sets[i]);
    }
    tsd_config_deinit(&second);
}

static char *shown(const struct tsd_config *config)
{
    struct ts_buf out;
    size_t len;
    ts_buf_init(&out);
    CHECK(tsd_config_show(config, &out) == 0);
    char *text = ts_buf_steal(&out, &len);
    CHECK(text && strlen(text) == len);
    return text;
}

/* A configuration from a file alone, printed and read back, is the same; the separators of host names may differ. */
static void check_show(const struct tsd_config *config)
{
    struct tsd_config second;
    struct tsd_config_error error;
    char *text = shown(config);
    put_file(text, strlen(text));
    CHECK(tsd_config_load(path, NULL, 0, NOW, &second, &error) == 0);
    char *again = shown(&second);
    CHECK(strcmp(text, again) == 0);
    for (size_t i = 0; i < n_keys; i++)
        CHECK(keys[i].type == TSD_HOSTS || tsd_value_equal(&keys[i], config, &second));
    free(text);
    free(again);
    tsd_config_deinit(&second);
}

struct changes {
    size_t n;
    const struct tsd_config *before;
    const struct tsd_config *next;
};

static void changed(void *data, const char *name, bool reloadable)
{
    struct changes *changes = data;
    size_t i = 0;
    while (i < n_keys && strcmp(keys[i].name, name) != 0)
        i++;
    CHECK(i < n_keys && keys[i].reloadable == reloadable);
    CHECK(!tsd_value_equal(&keys[i], changes->before, changes->next));
    changes->n++;
}

/* A reload from the defaults applies the reloadable keys, and reports every key that differs. */
static void check_reload(const struct tsd_config *config)
{
    static const struct input empty = {.file = ""};
    struct tsd_config running;
    struct tsd_config before;
    struct tsd_config_error error;
    CHECK(load(&empty, &running, &error) == 0 && load(&empty, &before, &error) == 0);
    struct changes changes = {0, &before, config};
    size_t differ = 0;
    CHECK(tsd_config_reload(&running, config, changed, &changes) == 0);
    for (size_t i = 0; i < n_keys; i++) {
        differ += !tsd_value_equal(&keys[i], &before, config);
        CHECK(tsd_value_equal(&keys[i], &running, keys[i].reloadable ? config : &before));
    }
    CHECK(changes.n == differ);
    tsd_config_deinit(&before);
    tsd_config_deinit(&running);
}

/* Rules between keys are checked last; a --set may have changed the result. */
static bool is_between_keys(const char *message)
{
    return strstr(message, "the width of the first level is ") || strstr(message, " has the same path; ");
}

/* The file is read first: with and without --set, an error in it gives the same message. */
static void check_file_alone(const struct input *input, int rc, const struct tsd_config_error *error)
{
    const struct input alone = {.file = input->file, .len = input->len};
    struct tsd_config config;
    struct tsd_config_error first;
    if (load(&alone, &config, &first) == 0)
        tsd_config_deinit(&config);
    else if (!is_between_keys(first.message))
        CHECK(rc && strcmp(error->message, first.message) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tsd_config config;
    struct tsd_config_error error;
    if (fd < 0)
        set_up();
    if (size == 0)
        return 0;
    char *text = fuzz_text(data, size);

    struct input input = {.file = text, .len = size - 1};
    for (size_t n = data[0] & SETS_MAX; input.n_sets < n;) {
        char *newline = memchr(input.file, '\n', input.len);
        if (!newline)
            break;
        *newline++ = '\0';
        input.sets[input.n_sets++] = input.file;
        input.len -= (size_t)(newline - input.file);
        input.file = newline;
    }
    int rc = load(&input, &config, &error);
    if (input.n_sets)
        check_file_alone(&input, rc, &error);
    if (rc == 0) {
        check_sets(&config);
        if (!input.n_sets)
            check_show(&config);
        check_reload(&config);
        tsd_config_deinit(&config);
        tsd_config_deinit(&config);
    }
    free(text);
    return 0;
}
