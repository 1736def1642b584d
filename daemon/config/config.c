/*
 * The configuration: one table, which everything goes by, and the order in which values are taken.
 *
 *     file -> --set -> defaults for what is left -> rules between keys
 *
 * Each value is judged where it stands, also one that a later --set replaces. All or nothing: a struct tsd_config is
 * complete or does not come to be. Of each key it is remembered where its value came from, so that a rule between two
 * keys can name a place, too.
 */
#include "daemon/config/config.h"

#include "daemon/base/log.h"
#include "daemon/base/state.h"
#include "daemon/config/ini.h"
#include "daemon/config/value.h"
#include "lib/aggregate/grid.h"
#include "lib/base/units.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_FILE "/etc/timesliced/timesliced.conf"

/* The default of aggregation.retention: how long the finest level is kept, and what follows it where it fits. */
#define FINEST_KEEP "2d"
#define COARSER "1m:30d 1h:2y"

#define MS INT64_C(1000000)
#define S TS_NS_PER_S
#define DAY (86400 * S)
#define YEAR (365 * DAY)
#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

enum { FILE_MAX = 1 << 20, KEY_MAX = 64, FILE_SHOWN_MAX = 200 };

/* Nearly every field has the name of its key. */
/* clang-format off */
#define KEY(section, field, type, min, max, reload, default_text) \
    {#section "." #field, TSD_##type, offsetof(struct tsd_config, section.field), min, max, reload, default_text}
#define RELOAD true
#define RESTART false

static const struct tsd_config_key keys[] = {
    KEY(aggregation, time_slice, DURATION, MS, YEAR, RESTART, "10s"),
    KEY(aggregation, start_time, START_TIME, 0, 0, RESTART, "0"),
    KEY(aggregation, retention, RETENTION, 0, 0, RESTART,
        "<time_slice>:" FINEST_KEEP ", and " COARSER " where they are multiples"),
    KEY(aggregation, max_future, DURATION_OR_OFF, 0, 100 * YEAR, RELOAD, "10m"),
    KEY(aggregation, max_locations, COUNT, 1, 100000000, RELOAD, "200000"),
    KEY(aggregation, max_label_sets, COUNT, 1, 100000000, RELOAD, "1000"),
    KEY(ingest, udp, ADDRESS, 0, 0, RESTART, "127.0.0.1:8137"),
    KEY(ingest, tcp, ADDRESS, 0, 0, RESTART, "127.0.0.1:8137"),
    KEY(ingest, unix_stream, SOCKET_PATH, 0, 0, RESTART, "off"),
    KEY(ingest, unix_datagram, SOCKET_PATH, 0, 0, RESTART, "off"),
    KEY(ingest, socket_mode, MODE, 0, 0, RESTART, "0666"),
    KEY(ingest, threads, COUNT, 1, TSD_THREADS_MAX, RESTART, "1"),
    KEY(ingest, max_message, SIZE, KIB, GIB, RELOAD, "16M"),
    KEY(ingest, max_connections, COUNT, 1, 1000000, RELOAD, "1024"),
    KEY(ingest, memory_limit, SIZE, 64 * KIB, 1024 * GIB, RELOAD, "256M"),
    KEY(ingest, receive_buffer, SIZE, 4 * KIB, GIB, RESTART, "8M"),
    KEY(control, socket, SOCKET_PATH, 0, 0, RESTART,
        "$RUNTIME_DIRECTORY/control.sock, else /run/timesliced/control.sock"),
    KEY(control, socket_mode, MODE, 0, 0, RESTART, "0660"),
    KEY(control, socket_group, GROUP, 0, 0, RESTART, ""),
    KEY(control, http, ADDRESS, 0, 0, RESTART, "off"),
    KEY(control, allowed_hosts, HOSTS, 0, 0, RELOAD, ""),
    KEY(store, path, FILE_PATH, 0, 0, RESTART,
        "$STATE_DIRECTORY/timesliced.db, else /var/lib/timesliced/timesliced.db"),
    KEY(store, flush_interval, DURATION, MS, DAY, RELOAD, "1s"),
    KEY(store, ack_interval, DURATION, MS, DAY, RELOAD, "50ms"),
    {"store.durability", TSD_DURABILITY, offsetof(struct tsd_config, store.durability_power), 0, 0, RESTART, "power"},
    KEY(store, client_expiry, DURATION, MS, 100 * YEAR, RELOAD, "7d"),
    KEY(log, level, LEVEL, 0, 0, RELOAD, "info"),
};
/* clang-format on */
enum { N_KEYS = sizeof(keys) / sizeof(keys[0]) };

enum origin { NOT_GIVEN, FROM_FILE, FROM_SET, FROM_DEFAULT };

struct loader {
    struct tsd_config config;
    struct {
        enum origin origin;
        unsigned line; /* FROM_FILE */
    } places[N_KEYS];
    const char *file;
    int64_t now_ns;
    struct tsd_config_error *error;
};

size_t tsd_config_keys(const struct tsd_config_key **ret_keys)
{
    *ret_keys = keys;
    return N_KEYS;
}

/* What is said of it */

static TS_PRINTF(2, 3) int refuse(struct loader *loader, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(loader->error->message, sizeof(loader->error->message), format, args);
    va_end(args);
    return TS_EINVAL;
}

/* The end of a long path says more than its beginning. */
static const char *shown_file(const struct loader *loader)
{
    size_t len = strlen(loader->file);
    return len > FILE_SHOWN_MAX ? loader->file + len - FILE_SHOWN_MAX : loader->file;
}

static int refuse_line(struct loader *loader, unsigned line, const char *text)
{
    return refuse(loader, "%s:%u: %s", shown_file(loader), line, text);
}

static int refuse_key(struct loader *loader, const struct tsd_config_key *key, const char *reason)
{
    size_t i = (size_t)(key - keys);
    switch (loader->places[i].origin) {
    case FROM_FILE:
        return refuse(loader, "%s:%u: %s: %s", shown_file(loader), loader->places[i].line, key->name, reason);
    case FROM_SET:
        return refuse(loader, "--set %s: %s", key->name, reason);
    default:
        return refuse(loader, "%s, by default: %s", key->name, reason);
    }
}

/* Levenshtein's distance: how many bytes to put in, drop or change. */
static size_t distance(const char *a, const char *b)
{
    size_t row[KEY_MAX + 1];
    size_t len = strlen(b);
    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < len; j++) {
            size_t change = diagonal + (a[i] != b[j]);
            size_t other = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;
            diagonal = row[j + 1];
            row[j + 1] = change < other ? change : other;
        }
    }
    return row[len];
}

static size_t section_len(const struct tsd_config_key *key)
{
    return strcspn(key->name, ".");
}

/* The key that was meant: the same one in another section, or one that differs by a slip or two. May be NULL. */
static const struct tsd_config_key *nearest_key(const char *name)
{
    const struct tsd_config_key *nearest = NULL;
    const char *dot = strchr(name, '.');
    const char *bare = dot ? dot + 1 : name;
    size_t best = strlen(name) / 4 + 1;
    for (size_t i = 0; i < N_KEYS; i++) {
        if (!strcmp(bare, keys[i].name + section_len(&keys[i]) + 1))
            return &keys[i];
        size_t d = distance(name, keys[i].name);
        if (d < best) {
            best = d;
            nearest = &keys[i];
        }
    }
    return nearest;
}

static void put_unknown_key(const char *name, char *out, size_t size)
{
    const struct tsd_config_key *nearest = nearest_key(name);
    if (nearest)
        snprintf(out, size, "%.100s: there is no such key; did you mean %s?", name, nearest->name);
    else
        snprintf(out, size, "%.100s: there is no such key", name);
}

static const struct tsd_config_key *find_key(const char *name)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        if (!strcmp(keys[i].name, name))
            return &keys[i];
    }
    return NULL;
}

static int take_value(struct loader *loader, const struct tsd_config_key *key, const char *text)
{
    struct tsd_config_reason reason;
    int rc = tsd_value_parse(key, text, loader->now_ns, &loader->config, &reason);
    return rc == TS_EINVAL ? refuse_key(loader, key, reason.text) : rc;
}

/* The file */

static int take_section(void *data, const char *name, unsigned line)
{
    struct loader *loader = data;
    char text[200];
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < N_KEYS; i++) {
        size_t n = section_len(&keys[i]);
        if (strlen(name) == n && !strncmp(name, keys[i].name, n))
            return 0;
        if (!i || n != section_len(&keys[i - 1]) || strncmp(keys[i].name, keys[i - 1].name, n))
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%.*s", len ? ", " : "", (int)n, keys[i].name);
    }
    return refuse(loader, "%s:%u: [%.60s]: there is no such section; there are %s", shown_file(loader), line, name,
                  text);
}

static int take_entry(void *data, const struct tsd_ini_entry *entry)
{
    struct loader *loader = data;
    char name[KEY_MAX * 8];
    char text[300];
    snprintf(name, sizeof(name), "%s.%s", entry->section, entry->key);
    const struct tsd_config_key *key = find_key(name);
    if (!key) {
        put_unknown_key(name, text, sizeof(text));
        return refuse_line(loader, entry->line, text);
    }
    size_t i = (size_t)(key - keys);
    if (loader->places[i].origin == FROM_FILE)
        return refuse(loader, "%s:%u: %s: the key is given twice, first in line %u", shown_file(loader), entry->line,
                      key->name, loader->places[i].line);
    bool is_list = key->type == TSD_RETENTION || key->type == TSD_HOSTS;
    if (entry->continued && !is_list)
        return refuse(
            loader,
            "%s:%u: %s: an indented line goes on with the value before it, but this value has one line; write "
            "each key at the beginning of its line",
            shown_file(loader), entry->continued, key->name);
    loader->places[i].origin = FROM_FILE;
    loader->places[i].line = entry->line;
    return take_value(loader, key, entry->value);
}

/* One byte over the bound is enough to see that it is passed. */
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
    const struct tsd_ini_handler handler = {loader, take_section, take_entry};
    struct tsd_ini_fault fault = {.line = 0};
    struct ts_buf text;
    int fd = open(loader->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 && errno == ENOENT && may_be_missing)
        return 0;
    if (fd < 0)
        return refuse(loader, "cannot read %s: %s", shown_file(loader), strerror(errno));
    ts_buf_init(&text);
    int rc = read_all(fd, &text);
    if (rc == TS_EINVAL)
        rc = refuse(loader, "cannot read %s: %s", shown_file(loader), strerror(errno));
    else if (!rc && text.len > FILE_MAX)
        rc = refuse(loader, "%s: the file is longer than %d bytes", shown_file(loader), FILE_MAX);
    else if (!rc)
        rc = tsd_ini_parse(text.data, text.len, &handler, &fault);
    if (rc == TS_EINVAL && fault.line)
        rc = refuse_line(loader, fault.line, fault.text);
    ts_buf_deinit(&text);
    close(fd);
    return rc;
}

/* --set */

static int take_set(struct loader *loader, const char *set)
{
    static const char space[] = " \t";
    char text[300];
    const char *equals = strchr(set, '=');
    if (!equals)
        return refuse(loader, "--set %.200s: it takes SECTION.KEY=VALUE", set);
    char name[KEY_MAX * 2];
    snprintf(name, sizeof(name), "%.*s", (int)(equals - set < KEY_MAX ? equals - set : KEY_MAX), set);
    const struct tsd_config_key *key = find_key(name);
    if (!key) {
        put_unknown_key(name, text, sizeof(text));
        return refuse(loader, "--set %s", text);
    }
    const char *begin = equals + 1 + strspn(equals + 1, space);
    const char *end = begin + strlen(begin);
    while (end > begin && strchr(space, end[-1]))
        end--;
    struct ts_buf value;
    ts_buf_init(&value);
    ts_buf_append(&value, begin, (size_t)(end - begin));
    ts_buf_putc(&value, '\0');
    loader->places[key - keys].origin = FROM_SET;
    int rc = ts_buf_failed(&value) ? TS_ENOMEM : take_value(loader, key, value.data);
    ts_buf_deinit(&value);
    return rc;
}

/* Defaults */

/* "$VARIABLE/NAME, else PATH". Of several folders in the variable the first one is the unit's own. */
static int take_path_default(struct loader *loader, const struct tsd_config_key *key)
{
    static const char otherwise[] = ", else ";
    const char *name = strchr(key->default_text, '/');
    const char *rest = strstr(key->default_text, otherwise);
    char variable[KEY_MAX];
    snprintf(variable, sizeof(variable), "%.*s", (int)(name - key->default_text - 1), key->default_text + 1);
    const char *folder = getenv(variable);
    size_t len = folder ? strcspn(folder, ":") : 0;
    if (!len)
        return take_value(loader, key, rest + strlen(otherwise));
    struct ts_buf path;
    ts_buf_init(&path);
    ts_buf_append(&path, folder, len);
    ts_buf_append(&path, name, (size_t)(rest - name));
    ts_buf_putc(&path, '\0');
    int rc = ts_buf_failed(&path) ? TS_ENOMEM : take_value(loader, key, path.data);
    ts_buf_deinit(&path);
    return rc;
}

/* A level that no bucket would ever be in is none: a wide time_slice is kept for as long as it is wide. */
static int take_default_retention(struct loader *loader, const struct tsd_config_key *key)
{
    struct tsd_config_reason reason;
    struct ts_retention coarser[TS_RETENTION_MAX];
    struct ts_retention *levels = loader->config.aggregation.retention;
    size_t n_coarser, n = 0;
    int64_t keep;
    if (ts_parse_duration(FINEST_KEEP, &keep) || tsd_parse_retention(COARSER, coarser, &n_coarser, &reason))
        return refuse_key(loader, key, "it cannot be read");
    int64_t width = loader->config.aggregation.time_slice;
    levels[n++] = (struct ts_retention){width, keep > width ? keep : width};
    for (size_t i = 0; i < n_coarser; i++) {
        width = levels[n - 1].width;
        if (coarser[i].width > width && coarser[i].width % width == 0)
            levels[n++] = coarser[i];
    }
    loader->config.aggregation.n_retention = n;
    return 0;
}

/* In the table's order: time_slice is known when retention asks for it. */
static int take_defaults(struct loader *loader)
{
    int rc = 0;
    for (size_t i = 0; i < N_KEYS && !rc; i++) {
        if (loader->places[i].origin != NOT_GIVEN)
            continue;
        loader->places[i].origin = FROM_DEFAULT;
        if (keys[i].type == TSD_RETENTION)
            rc = take_default_retention(loader, &keys[i]);
        else if (keys[i].default_text[0] == '$')
            rc = take_path_default(loader, &keys[i]);
        else
            rc = take_value(loader, &keys[i], keys[i].default_text);
    }
    return rc;
}

/* Rules between keys */

static int check_retention(struct loader *loader, const struct tsd_config_key *key)
{
    char slice[32], width[32], text[200];
    const struct tsd_config *config = &loader->config;
    int64_t first = config->aggregation.retention[0].width;
    if (first == config->aggregation.time_slice)
        return 0;
    snprintf(text, sizeof(text), "the first level has a width of %s, it must have that of aggregation.time_slice, %s",
             ts_format_duration(first, width), ts_format_duration(config->aggregation.time_slice, slice));
    return refuse_key(loader, key, text);
}

/* Two sockets, or a socket and the database, cannot be one file. */
static int check_path(struct loader *loader, const struct tsd_config_key *key)
{
    const char *path = *tsd_value_string(key, &loader->config);
    for (const struct tsd_config_key *other = keys; path && other < key; other++) {
        char text[200];
        bool is_path = other->type == TSD_SOCKET_PATH || other->type == TSD_FILE_PATH;
        const char *taken = is_path ? *tsd_value_string(other, &loader->config) : NULL;
        if (!taken || strcmp(taken, path))
            continue;
        snprintf(text, sizeof(text), "%s has the same path; each needs its own", other->name);
        return refuse_key(loader, key, text);
    }
    return 0;
}

static int check_rules(struct loader *loader)
{
    int rc = 0;
    for (size_t i = 0; i < N_KEYS && !rc; i++) {
        if (keys[i].type == TSD_RETENTION)
            rc = check_retention(loader, &keys[i]);
        else if (keys[i].type == TSD_SOCKET_PATH || keys[i].type == TSD_FILE_PATH)
            rc = check_path(loader, &keys[i]);
    }
    return rc;
}

const char *tsd_config_source(const char *file)
{
    if (file)
        return file;
    return access(DEFAULT_FILE, F_OK) == 0 ? DEFAULT_FILE : "no file " DEFAULT_FILE ", so the defaults";
}

int tsd_config_load(const char *file, const char *const *sets, size_t n_sets, int64_t now_ns,
                    struct tsd_config *ret_config, struct tsd_config_error *ret_error)
{
    struct loader loader = {.file = file ? file : DEFAULT_FILE, .now_ns = now_ns, .error = ret_error};
    int rc = load_file(&loader, !file);
    for (size_t i = 0; i < n_sets && !rc; i++)
        rc = take_set(&loader, sets[i]);
    if (!rc)
        rc = take_defaults(&loader);
    if (!rc)
        rc = check_rules(&loader);
    if (rc) {
        if (rc == TS_ENOMEM)
            (void)refuse(&loader, "out of memory");
        tsd_config_deinit(&loader.config);
        return rc;
    }
    *ret_config = loader.config;
    return 0;
}

void tsd_config_deinit(struct tsd_config *config)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        char **string = tsd_value_string(&keys[i], config);
        if (string) {
            free(*string);
            *string = NULL;
        }
    }
}

void tsd_config_format(const struct tsd_config *config, const struct tsd_config_key *key, struct ts_buf *out)
{
    tsd_value_write(key, config, out);
}

void tsd_config_dump(const struct tsd_config *config, struct ts_buf *out)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        ts_buf_puts(out, keys[i].name);
        ts_buf_putc(out, '=');
        tsd_value_write(&keys[i], config, out);
        ts_buf_putc(out, '\n');
    }
}

/* What can fail comes first. */
int tsd_config_reload(struct tsd_config *config, const struct tsd_config *next, tsd_config_change_cb cb, void *data)
{
    struct tsd_config borrowed = *next; /* its strings stay those of next */
    char *strings[N_KEYS] = {NULL};
    int rc = 0;
    for (size_t i = 0; i < N_KEYS && !rc; i++) {
        char **string = tsd_value_string(&keys[i], &borrowed);
        if (string && keys[i].reloadable && !tsd_value_equal(&keys[i], config, next))
            rc = tsd_value_set_string(&strings[i], *string);
    }
    for (size_t i = 0; i < N_KEYS && !rc; i++) {
        if (tsd_value_equal(&keys[i], config, next))
            continue;
        char **string = tsd_value_string(&keys[i], config);
        if (keys[i].reloadable && string) {
            char *old = *string;
            *string = strings[i];
            strings[i] = old;
        } else if (keys[i].reloadable) {
            tsd_value_copy_number(&keys[i], next, config);
        }
        cb(data, keys[i].name, keys[i].reloadable);
    }
    for (size_t i = 0; i < N_KEYS; i++)
        free(strings[i]);
    return rc;
}
