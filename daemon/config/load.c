/*
 * The order in which a configuration is read:
 *
 *     file -> --set -> defaults of the remaining keys -> rules between keys
 *
 * Every value is checked when it is read, also one that a later --set replaces. The loader keeps the place that each
 * key's value came from, so that a rule between two keys can report it. The result is complete or not set at all.
 */
#include "daemon/config/load.h"

#include "daemon/base/address.h"
#include "daemon/config/defaults.h"
#include "daemon/config/ini.h"
#include "daemon/config/value.h"
#include "lib/base/units.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_FILE "/etc/timesliced/timesliced.conf"

enum { FILE_MAX = 1 << 20, FILE_SHOWN_MAX = 200 };

enum origin { NOT_SET, FROM_FILE, FROM_SET, FROM_DEFAULT };

struct place {
    enum origin origin;
    unsigned line; /* FROM_FILE */
};

struct loader {
    struct tsd_config config;
    struct place places[TSD_CONFIG_KEYS];
    const char *file;
    int64_t now_ns;
    struct tsd_config_error *error;
};

static struct place *place_of(struct loader *loader, const struct tsd_config_key *key)
{
    assert(key >= tsd_config_keys && key < tsd_config_keys + TSD_CONFIG_KEYS);
    return &loader->places[key - tsd_config_keys];
}

/* ---- Errors ---- */

static TS_PRINTF(2, 3) int reject(struct loader *loader, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(loader->error->message, sizeof(loader->error->message), format, args);
    va_end(args);
    return TS_EINVAL;
}

/* Of a long path, the end identifies the file better than the beginning. */
static const char *shown_file(const struct loader *loader)
{
    size_t len = strlen(loader->file);
    return len > FILE_SHOWN_MAX ? loader->file + len - FILE_SHOWN_MAX : loader->file;
}

static int reject_line(struct loader *loader, unsigned line, const char *reason)
{
    return reject(loader, "%s:%u: %s", shown_file(loader), line, reason);
}

static int reject_key(struct loader *loader, const struct tsd_config_key *key, const char *reason)
{
    const struct place *place = place_of(loader, key);
    assert(place->origin != NOT_SET);
    switch (place->origin) {
    case FROM_FILE:
        return reject(loader, "%s:%u: %s: %s", shown_file(loader), place->line, key->name, reason);
    case FROM_SET:
        return reject(loader, "--set %s: %s", key->name, reason);
    default:
        return reject(loader, "%s (default): %s", key->name, reason);
    }
}

static void describe_unknown_key(const char *name, char *out, size_t size)
{
    const struct tsd_config_key *similar = tsd_config_similar_key(name);
    if (similar)
        snprintf(out, size, "%.100s: no such key; did you mean %s?", name, similar->name);
    else
        snprintf(out, size, "%.100s: no such key", name);
}

static int set_value(struct loader *loader, const struct tsd_config_key *key, const char *text)
{
    struct tsd_config_reason reason;
    int rc = tsd_value_parse(key, text, loader->now_ns, &loader->config, &reason);
    return rc == TS_EINVAL ? reject_key(loader, key, reason.text) : rc;
}

/* ---- The file ---- */

static int on_section(void *data, const char *name, unsigned line)
{
    struct loader *loader = data;
    char known[200];
    size_t len = 0;
    known[0] = '\0';
    for (const struct tsd_config_key *key = tsd_config_keys; key < tsd_config_keys + TSD_CONFIG_KEYS; key++) {
        size_t n = tsd_config_section_len(key);
        if (!tsd_config_begins_section(key))
            continue;
        if (strlen(name) == n && !strncmp(name, key->name, n))
            return 0;
        len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%.*s", len ? ", " : "", (int)n, key->name);
        assert(len < sizeof(known));
    }
    return reject(loader, "%s:%u: [%.60s]: no such section; the sections are %s", shown_file(loader), line, name,
                  known);
}

static int on_entry(void *data, const struct tsd_ini_entry *entry)
{
    struct loader *loader = data;
    char name[TSD_CONFIG_KEY_MAX * 8];
    char text[300];
    snprintf(name, sizeof(name), "%s.%s", entry->section, entry->key);
    const struct tsd_config_key *key = tsd_config_find_key(name);
    if (!key) {
        describe_unknown_key(name, text, sizeof(text));
        return reject_line(loader, entry->line, text);
    }
    struct place *place = place_of(loader, key);
    if (place->origin == FROM_FILE)
        return reject(loader, "%s:%u: %s: the key is set twice, first in line %u", shown_file(loader), entry->line,
                      key->name, place->line);
    if (entry->continued && !tsd_value_is_list(key))
        return reject(loader,
                      "%s:%u: %s: an indented line continues the previous value, but this key has a single-line "
                      "value; begin each key in the first column",
                      shown_file(loader), entry->continued, key->name);
    *place = (struct place){FROM_FILE, entry->line};
    return set_value(loader, key, entry->value);
}

/* Stops after the first byte over FILE_MAX. TS_EINVAL with errno. */
static int read_all(int fd, struct ts_buf *out)
{
    for (;;) {
        if (ts_buf_reserve(out, 4096))
            return TS_ENOMEM;
        ssize_t n = read(fd, out->data + out->len, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return TS_EINVAL;
        out->len += (size_t)n;
        if (!n || out->len > FILE_MAX)
            return 0;
    }
}

static int load_file(struct loader *loader, bool may_be_missing)
{
    const struct tsd_ini_handler handler = {loader, on_section, on_entry};
    struct tsd_ini_fault fault = {.line = 0};
    struct ts_buf text;
    int fd = open(loader->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 && errno == ENOENT && may_be_missing)
        return 0;
    if (fd < 0)
        return reject(loader, "cannot read %s: %s", shown_file(loader), strerror(errno));
    ts_buf_init(&text);
    int rc = read_all(fd, &text);
    if (rc == TS_EINVAL)
        rc = reject(loader, "cannot read %s: %s", shown_file(loader), strerror(errno));
    else if (!rc && text.len > FILE_MAX)
        rc = reject(loader, "%s: the file is longer than %d bytes", shown_file(loader), FILE_MAX);
    else if (!rc)
        rc = tsd_ini_parse(text.data, text.len, &handler, &fault);
    if (rc == TS_EINVAL && fault.line)
        rc = reject_line(loader, fault.line, fault.text);
    ts_buf_deinit(&text);
    close(fd);
    return rc;
}

/* ---- --set ---- */

static int apply_set(struct loader *loader, const char *set)
{
    static const char space[] = " \t";
    char text[300];
    const char *equals = strchr(set, '=');
    if (!equals)
        return reject(loader, "--set %.200s: expected SECTION.KEY=VALUE", set);
    char name[TSD_CONFIG_KEY_MAX * 2];
    snprintf(name, sizeof(name), "%.*s", (int)(equals - set < TSD_CONFIG_KEY_MAX ? equals - set : TSD_CONFIG_KEY_MAX),
             set);
    const struct tsd_config_key *key = tsd_config_find_key(name);
    if (!key) {
        describe_unknown_key(name, text, sizeof(text));
        return reject(loader, "--set %s", text);
    }
    const char *begin = equals + 1 + strspn(equals + 1, space);
    const char *end = begin + strlen(begin);
    while (end > begin && strchr(space, end[-1]))
        end--;
    struct ts_buf value;
    ts_buf_init(&value);
    ts_buf_append(&value, begin, (size_t)(end - begin));
    ts_buf_putc(&value, '\0');
    place_of(loader, key)->origin = FROM_SET;
    int rc = ts_buf_failed(&value) ? TS_ENOMEM : set_value(loader, key, value.data);
    ts_buf_deinit(&value);
    return rc;
}

/* ---- Defaults, and rules between keys ---- */

static int apply_defaults(struct loader *loader)
{
    int rc = 0;
    for (const struct tsd_config_key *key = tsd_config_keys; key < tsd_config_keys + TSD_CONFIG_KEYS && !rc; key++) {
        struct tsd_config_reason reason;
        if (place_of(loader, key)->origin != NOT_SET)
            continue;
        place_of(loader, key)->origin = FROM_DEFAULT;
        rc = tsd_config_set_default(key, loader->now_ns, &loader->config, &reason);
        if (rc == TS_EINVAL)
            rc = reject_key(loader, key, reason.text);
    }
    return rc;
}

static int check_retention(struct loader *loader, const struct tsd_config_key *key)
{
    char slice[32], width[32], text[200];
    const struct tsd_config *config = &loader->config;
    int64_t first = config->aggregation.retention[0].width;
    assert(config->aggregation.n_retention > 0);
    if (first == config->aggregation.time_slice)
        return 0;
    snprintf(text, sizeof(text), "the width of the first level is %s, but must equal aggregation.time_slice, %s",
             ts_format_duration(first, width), ts_format_duration(config->aggregation.time_slice, slice));
    return reject_key(loader, key, text);
}

/* Two sockets, or a socket and the database, cannot have the same path. */
static int check_path(struct loader *loader, const struct tsd_config_key *key)
{
    const char *path = *tsd_value_string(key, &loader->config);
    for (const struct tsd_config_key *other = tsd_config_keys; path && other < key; other++) {
        char text[200];
        const char *other_path = tsd_value_is_path(other) ? *tsd_value_string(other, &loader->config) : NULL;
        if (!other_path || strcmp(other_path, path))
            continue;
        snprintf(text, sizeof(text), "%s has the same path; paths must differ", other->name);
        return reject_key(loader, key, text);
    }
    return 0;
}

/* The two TCP listeners. UDP has one address only. */
static int check_addresses(struct loader *loader)
{
    struct sockaddr_storage tcp, http;
    socklen_t len;
    const struct tsd_config *config = &loader->config;
    if (!config->ingest.tcp || tsd_address_parse(config->ingest.tcp, &tcp, &len) || !config->control.http ||
        tsd_address_parse(config->control.http, &http, &len) ||
        !tsd_address_overlap((const struct sockaddr *)&tcp, (const struct sockaddr *)&http))
        return 0;
    return reject_key(loader, tsd_config_find_key("control.http"),
                      "ingest.tcp has the same address; they need different ports");
}

static int check_rules(struct loader *loader)
{
    int rc = 0;
    for (const struct tsd_config_key *key = tsd_config_keys; key < tsd_config_keys + TSD_CONFIG_KEYS && !rc; key++) {
        if (key->type == TSD_RETENTION)
            rc = check_retention(loader, key);
        else if (tsd_value_is_path(key))
            rc = check_path(loader, key);
    }
    return rc ? rc : check_addresses(loader);
}

/* ---- Everything ---- */

static int check_keys(struct loader *loader, tsd_config_check check)
{
    int rc = 0;
    for (const struct tsd_config_key *key = tsd_config_keys; key < tsd_config_keys + TSD_CONFIG_KEYS && !rc; key++) {
        struct tsd_config_reason reason;
        rc = check(key, &loader->config, &reason);
        if (rc == TS_EINVAL)
            rc = reject_key(loader, key, reason.text);
    }
    return rc;
}

int tsd_config_load(const char *file, const char *const *sets, size_t n_sets, int64_t now_ns,
                    struct tsd_config *ret_config, struct tsd_config_error *ret_error)
{
    return tsd_config_load_checked(file, sets, n_sets, now_ns, NULL, ret_config, ret_error);
}

int tsd_config_load_checked(const char *file, const char *const *sets, size_t n_sets, int64_t now_ns,
                            tsd_config_check check, struct tsd_config *ret_config, struct tsd_config_error *ret_error)
{
    struct loader loader = {.file = file ? file : DEFAULT_FILE, .now_ns = now_ns, .error = ret_error};
    int rc = load_file(&loader, !file);
    for (size_t i = 0; i < n_sets && !rc; i++)
        rc = apply_set(&loader, sets[i]);
    if (!rc)
        rc = apply_defaults(&loader);
    if (!rc)
        rc = check_rules(&loader);
    if (!rc && check)
        rc = check_keys(&loader, check);
    if (rc) {
        if (rc == TS_ENOMEM)
            (void)reject(&loader, "out of memory");
        tsd_config_deinit(&loader.config);
        return rc;
    }
    *ret_config = loader.config;
    return 0;
}

void tsd_config_deinit(struct tsd_config *config)
{
    for (size_t i = 0; i < TSD_CONFIG_KEYS; i++) {
        char **string = tsd_value_string(&tsd_config_keys[i], config);
        if (string) {
            free(*string);
            *string = NULL;
        }
    }
}

const char *tsd_config_source(const char *file)
{
    if (file)
        return file;
    return access(DEFAULT_FILE, F_OK) == 0 ? DEFAULT_FILE : "defaults, because " DEFAULT_FILE " does not exist";
}
