/*
 * The types of configuration values: a table of parser and writer for each. A parser writes its field only when all of
 * the text is good. Strings are the only fields that own memory.
 */
#include "daemon/config/value.h"

#include "daemon/base/address.h"
#include "daemon/base/log.h"
#include "lib/aggregate/grid.h"
#include "lib/base/text.h"
#include "lib/base/units.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum {
    SHOWN_MAX = 80,                                                    /* bytes of a wrong value that are repeated */
    SOCKET_PATH_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1, /* 107: the kernel's bound, with a NUL */
    FILE_PATH_MAX = 4000,                                              /* PATH_MAX less what is appended: -wal, -lock */
    HOST_MAX = 253,                                                    /* of a name in DNS */
    HOSTS_MAX = 4096
};

static const char space[] = " \t";
static const char digits[] = "0123456789";

/* What a parser is given beside its text. */
struct job {
    const struct tsd_config_key *key;
    struct tsd_config *config;
    int64_t now_ns;
    struct tsd_config_reason *reason;
};

static TS_PRINTF(2, 3) int bad(struct tsd_config_reason *reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(reason->text, sizeof(reason->text), format, args);
    va_end(args);
    return TS_EINVAL;
}

int tsd_value_set_string(char **field, const char *text)
{
    char *copy = NULL;
    if (text) {
        size_t size = strlen(text) + 1;
        copy = malloc(size);
        if (!copy)
            return TS_ENOMEM;
        memcpy(copy, text, size);
    }
    free(*field);
    *field = copy;
    return 0;
}

/* Durations */

static int parse_duration(const struct job *job, const char *text, void *field)
{
    const struct tsd_config_key *key = job->key;
    bool or_off = key->type == TSD_DURATION_OR_OFF;
    int64_t ns;
    if (or_off && !strcmp(text, "off")) {
        *(int64_t *)field = -1;
        return 0;
    }
    if (!ts_parse_duration(text, &ns) && ns >= key->min && ns <= key->max) {
        *(int64_t *)field = ns;
        return 0;
    }
    char min[32], max[32];
    return bad(
        job->reason,
        "\"%.*s\" is not allowed: it takes a duration from %s to %s (a number with ms, s, m, h, d, w or y; seconds "
        "without)%s",
        SHOWN_MAX, text, ts_format_duration(key->min, min), ts_format_duration(key->max, max),
        or_off ? ", or off" : "");
}

static void write_duration(const void *field, struct ts_buf *out)
{
    char text[32];
    int64_t ns = *(const int64_t *)field;
    ts_buf_puts(out, ns < 0 ? "off" : ts_format_duration(ns, text));
}

/* Counts, sizes, modes */

static int parse_count(const struct job *job, const char *text, void *field)
{
    const struct tsd_config_key *key = job->key;
    uint64_t n;
    if (text[strspn(text, digits)] || ts_parse_size(text, &n) || n < (uint64_t)key->min || n > (uint64_t)key->max)
        return bad(job->reason, "\"%.*s\" is not allowed: it takes a whole number from %lld to %lld", SHOWN_MAX, text,
                   (long long)key->min, (long long)key->max);
    *(unsigned *)field = (unsigned)n;
    return 0;
}

static void write_count(const void *field, struct ts_buf *out)
{
    ts_buf_printf(out, "%u", *(const unsigned *)field);
}

static void put_size(uint64_t bytes, struct ts_buf *out)
{
    static const char units[] = "\0KMG";
    size_t unit = 0;
    for (; unit < 3 && bytes && bytes % 1024 == 0; unit++)
        bytes /= 1024;
    ts_buf_printf(out, "%llu", (unsigned long long)bytes);
    if (unit)
        ts_buf_putc(out, units[unit]);
}

static int parse_size(const struct job *job, const char *text, void *field)
{
    const struct tsd_config_key *key = job->key;
    uint64_t n;
    if (!ts_parse_size(text, &n) && n >= (uint64_t)key->min && n <= (uint64_t)key->max) {
        *(uint64_t *)field = n;
        return 0;
    }
    struct ts_buf range;
    ts_buf_init(&range);
    put_size((uint64_t)key->min, &range);
    ts_buf_puts(&range, " to ");
    put_size((uint64_t)key->max, &range);
    int rc = TS_ENOMEM;
    if (!ts_buf_failed(&range))
        rc = bad(job->reason, "\"%.*s\" is not allowed: it takes a size from %.*s (bytes, or with K, M or G)",
                 SHOWN_MAX, text, (int)range.len, range.data);
    ts_buf_deinit(&range);
    return rc;
}

static void write_size(const void *field, struct ts_buf *out)
{
    put_size(*(const uint64_t *)field, out);
}

static int parse_mode(const struct job *job, const char *text, void *field)
{
    size_t len = strspn(text, "01234567");
    unsigned long mode = len && len <= 4 && !text[len] ? strtoul(text, NULL, 8) : ULONG_MAX;
    if (mode > 0777)
        return bad(job->reason, "\"%.*s\" is not allowed: it takes a file mode in octal, 0000 to 0777", SHOWN_MAX,
                   text);
    *(unsigned *)field = (unsigned)mode;
    return 0;
}

static void write_mode(const void *field, struct ts_buf *out)
{
    ts_buf_printf(out, "%04o", *(const unsigned *)field);
}

/* Words */

static const char *const levels[] = {
    [TSD_LOG_ERROR] = "error",
    [TSD_LOG_WARNING] = "warning",
    [TSD_LOG_INFO] = "info",
    [TSD_LOG_DEBUG] = "debug",
};

static int parse_level(const struct job *job, const char *text, void *field)
{
    for (int i = TSD_LOG_ERROR; i <= TSD_LOG_DEBUG; i++) {
        if (!strcmp(text, levels[i])) {
            *(int *)field = i;
            return 0;
        }
    }
    return bad(job->reason, "\"%.*s\" is not allowed: it takes error, warning, info or debug", SHOWN_MAX, text);
}

static void write_level(const void *field, struct ts_buf *out)
{
    ts_buf_puts(out, levels[*(const int *)field]);
}

static int parse_durability(const struct job *job, const char *text, void *field)
{
    bool power = !strcmp(text, "power");
    if (!power && strcmp(text, "process"))
        return bad(job->reason,
                   "\"%.*s\" is not allowed: it takes power (survives power loss) or process (survives kill -9)",
                   SHOWN_MAX, text);
    *(bool *)field = power;
    return 0;
}

static void write_durability(const void *field, struct ts_buf *out)
{
    ts_buf_puts(out, *(const bool *)field ? "power" : "process");
}

/* Addresses */

/* Why a text is no address: the first of its parts that is not of the form. */
static int explain_address(struct tsd_config_reason *reason, const char *text)
{
    const char *colon = strrchr(text, ':');
    const char *host_end = *text == '[' ? strchr(text, ']') : colon;
    size_t port_len = colon ? strspn(colon + 1, digits) : 0;
    if (!host_end || !colon || colon < host_end)
        return bad(reason,
                   "\"%.*s\" is not an address: it takes HOST:PORT or [IPV6]:PORT, such as 127.0.0.1:8137, or off",
                   SHOWN_MAX, text);
    if (*text != '[' && memchr(text, ':', (size_t)(colon - text)))
        return bad(reason, "\"%.*s\": an IPv6 address is written in brackets, such as [::1]:8137", SHOWN_MAX, text);
    if (!port_len || port_len > 5 || colon[1 + port_len] || strtol(colon + 1, NULL, 10) > 65535)
        return bad(reason, "\"%.*s\": the port is not a number from 0 to 65535", SHOWN_MAX, text);
    if (*text == '[' && memchr(text, '%', (size_t)(host_end - text)))
        return bad(reason, "\"%.*s\": the host is not an address on an interface of this system", SHOWN_MAX, text);
    return bad(
        reason,
        "\"%.*s\": the host is not an address (no name is looked up, except localhost; all interfaces are 0.0.0.0 "
        "or [::])",
        SHOWN_MAX, text);
}

static int parse_address(const struct job *job, const char *text, void *field)
{
    static const char localhost[] = "localhost:";
    struct sockaddr_storage address;
    socklen_t len;
    char literal[32];
    if (!strcmp(text, "off"))
        return tsd_value_set_string(field, NULL);
    if (tsd_address_parse(text, &address, &len))
        return explain_address(job->reason, text);
    if (!strncmp(text, localhost, strlen(localhost))) {
        snprintf(literal, sizeof(literal), "127.0.0.1:%s", text + strlen(localhost));
        text = literal;
    }
    return tsd_value_set_string(field, text);
}

/* Paths and names */

static int parse_path(const struct job *job, const char *text, void *field)
{
    bool is_socket = job->key->type == TSD_SOCKET_PATH;
    size_t max = is_socket ? SOCKET_PATH_MAX : FILE_PATH_MAX;
    size_t len = strlen(text);
    if (is_socket && !strcmp(text, "off"))
        return tsd_value_set_string(field, NULL);
    if (!len)
        return bad(job->reason, "there is no value: it takes a path%s", is_socket ? ", or off" : "");
    if (!is_socket && !strcmp(text, "off"))
        return bad(job->reason, "it cannot be off: it takes a path");
    if (len > max)
        return bad(job->reason, "the path \"%.*s...\" has %zu bytes, %zu are allowed", SHOWN_MAX, text, len, max);
    if (text[len - 1] == '/')
        return bad(job->reason, "\"%.*s\" names a folder: it takes the path of a %s", SHOWN_MAX, text,
                   is_socket ? "socket" : "file");
    return tsd_value_set_string(field, text);
}

static void write_string(const void *field, struct ts_buf *out)
{
    const char *text = *(char *const *)field;
    ts_buf_puts(out, text ? text : "off");
}

static int parse_group(const struct job *job, const char *text, void *field)
{
    if (!*text)
        return tsd_value_set_string(field, NULL);
    errno = 0;
    if (!getgrnam(text)) {
        /* These are what getgrnam(3) lists for "not found"; the rest is a failed look-up. */
        bool unknown = !errno || errno == ENOENT || errno == ESRCH || errno == EBADF || errno == EPERM;
        return bad(job->reason, "\"%.*s\": %s; it takes the name of a group of this system, or nothing", SHOWN_MAX,
                   text, unknown ? "there is no such group" : strerror(errno));
    }
    return tsd_value_set_string(field, text);
}

static void write_group(const void *field, struct ts_buf *out)
{
    const char *text = *(char *const *)field;
    ts_buf_puts(out, text ? text : "");
}

static int parse_hosts(const struct job *job, const char *text, void *field)
{
    static const char separators[] = " \t,";
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    for (const char *p = text + strspn(text, separators); *p; p += strspn(p, separators)) {
        size_t len = strcspn(p, separators);
        if (strspn(p, allowed) < len || len > HOST_MAX)
            return bad(job->reason,
                       "\"%.*s\" is not a host name: it takes names without ports, separated by spaces or commas "
                       "(addresses and localhost are always allowed)",
                       len < SHOWN_MAX ? (int)len : SHOWN_MAX, p);
        p += len;
    }
    if (strlen(text) > HOSTS_MAX)
        return bad(job->reason, "the list has %zu bytes, %d are allowed", strlen(text), HOSTS_MAX);
    return tsd_value_set_string(field, text);
}

/* The grid and its levels */

/*
 * A time relative to now differs from one reading to the next, which is how it is told from the others. It stands for
 * the first start: the store keeps the origin, see start_time_is_now.
 */
static int parse_start_time(const struct job *job, const char *text, void *field)
{
    (void)field;
    int64_t ns, later;
    if (ts_parse_time(text, job->now_ns, &ns))
        return bad(
            job->reason,
            "\"%.*s\" is not a time: it takes epoch seconds (1732272000), ISO 8601 (2026-01-31T10:00:00Z) or now",
            SHOWN_MAX, text);
    bool relative = ts_parse_time(text, job->now_ns + TS_NS_PER_S, &later) || later != ns;
    job->config->aggregation.start_time = relative ? ts_floor_div(ns, TS_NS_PER_S) * TS_NS_PER_S : ns;
    job->config->aggregation.start_time_is_now = relative;
    return 0;
}

static void write_start_time(const struct tsd_config *config, struct ts_buf *out)
{
    if (config->aggregation.start_time_is_now)
        ts_buf_puts(out, "now");
    else
        ts_put_seconds(out, config->aggregation.start_time);
}

static int parse_level_of_retention(const char *text, struct ts_retention *ret_level)
{
    struct ts_retention level;
    char part[64];
    const char *colon = strchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof(part))
        return TS_EINVAL;
    memcpy(part, text, (size_t)(colon - text));
    part[colon - text] = '\0';
    if (ts_parse_duration(part, &level.width) || ts_parse_duration(colon + 1, &level.keep) || !level.width)
        return TS_EINVAL;
    *ret_level = level;
    return 0;
}

int tsd_parse_retention(const char *text, struct ts_retention ret_levels[TS_RETENTION_MAX], size_t *ret_n,
                        struct tsd_config_reason *ret_reason)
{
    struct ts_retention found[TS_RETENTION_MAX];
    size_t n = 0;
    for (const char *p = text + strspn(text, space); *p; p += strspn(p, space)) {
        char word[128], before[32];
        size_t len = strcspn(p, space);
        struct ts_retention level;
        snprintf(word, sizeof(word), "%.*s", (int)(len < sizeof(word) ? len : sizeof(word) - 1), p);
        if (len >= sizeof(word) || parse_level_of_retention(word, &level))
            return bad(ret_reason,
                       "\"%.*s\" is not allowed: it takes WIDTH:KEEP, two durations such as 1m:30d, for "
                       "each level, finest first",
                       SHOWN_MAX, word);
        if (n == TS_RETENTION_MAX)
            return bad(ret_reason, "there are more than %d levels", TS_RETENTION_MAX);
        if (level.keep < level.width)
            return bad(ret_reason, "%s keeps less than the width of one bucket", word);
        if (n) {
            ts_format_duration(found[n - 1].width, before);
            if (level.width <= found[n - 1].width || level.width % found[n - 1].width)
                return bad(ret_reason,
                           "the width of %s is not a multiple of the one before, %s: levels are written finest first",
                           word, before);
            if (level.keep < found[n - 1].keep)
                return bad(ret_reason, "%s is kept for less time than the finer level before it, of %s", word, before);
        }
        found[n++] = level;
        p += len;
    }
    if (!n)
        return bad(ret_reason, "there is no value: it takes WIDTH:KEEP for each level, such as 10s:2d 1m:30d");
    memcpy(ret_levels, found, n * sizeof(*found));
    *ret_n = n;
    return 0;
}

static int parse_retention(const struct job *job, const char *text, void *field)
{
    return tsd_parse_retention(text, field, &job->config->aggregation.n_retention, job->reason);
}

static void write_retention(const struct tsd_config *config, struct ts_buf *out)
{
    for (size_t i = 0; i < config->aggregation.n_retention; i++) {
        char width[32], keep[32];
        const struct ts_retention *level = &config->aggregation.retention[i];
        ts_buf_printf(out, "%s%s:%s", i ? " " : "", ts_format_duration(level->width, width),
                      ts_format_duration(level->keep, keep));
    }
}

static bool equal_retention(const struct tsd_config *a, const struct tsd_config *b)
{
    size_t n = a->aggregation.n_retention;
    if (n != b->aggregation.n_retention)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (a->aggregation.retention[i].width != b->aggregation.retention[i].width ||
            a->aggregation.retention[i].keep != b->aggregation.retention[i].keep)
            return false;
    }
    return true;
}

/* One `now` is as good as another: the store has the origin. */
static bool equal_start_time(const struct tsd_config *a, const struct tsd_config *b)
{
    if (a->aggregation.start_time_is_now || b->aggregation.start_time_is_now)
        return a->aggregation.start_time_is_now == b->aggregation.start_time_is_now;
    return a->aggregation.start_time == b->aggregation.start_time;
}

/* The types */

enum storage { NUMBER, STRING, COMPOUND };

static const struct type {
    int (*parse)(const struct job *job, const char *text, void *field);
    enum storage storage;
    size_t size;                                          /* NUMBER */
    void (*write)(const void *field, struct ts_buf *out); /* NUMBER and STRING */
    void (*write_compound)(const struct tsd_config *config, struct ts_buf *out);
    bool (*equal_compound)(const struct tsd_config *a, const struct tsd_config *b);
} types[] = {
    [TSD_DURATION] = {parse_duration, NUMBER, sizeof(int64_t), write_duration, NULL, NULL},
    [TSD_DURATION_OR_OFF] = {parse_duration, NUMBER, sizeof(int64_t), write_duration, NULL, NULL},
    [TSD_COUNT] = {parse_count, NUMBER, sizeof(unsigned), write_count, NULL, NULL},
    [TSD_SIZE] = {parse_size, NUMBER, sizeof(uint64_t), write_size, NULL, NULL},
    [TSD_MODE] = {parse_mode, NUMBER, sizeof(unsigned), write_mode, NULL, NULL},
    [TSD_LEVEL] = {parse_level, NUMBER, sizeof(int), write_level, NULL, NULL},
    [TSD_DURABILITY] = {parse_durability, NUMBER, sizeof(bool), write_durability, NULL, NULL},
    [TSD_ADDRESS] = {parse_address, STRING, 0, write_string, NULL, NULL},
    [TSD_SOCKET_PATH] = {parse_path, STRING, 0, write_string, NULL, NULL},
    [TSD_FILE_PATH] = {parse_path, STRING, 0, write_string, NULL, NULL},
    [TSD_GROUP] = {parse_group, STRING, 0, write_group, NULL, NULL},
    [TSD_HOSTS] = {parse_hosts, STRING, 0, write_group, NULL, NULL},
    [TSD_START_TIME] = {parse_start_time, COMPOUND, 0, NULL, write_start_time, equal_start_time},
    [TSD_RETENTION] = {parse_retention, COMPOUND, 0, NULL, write_retention, equal_retention},
};
static_assert(sizeof(unsigned) == sizeof(uint32_t), "counts are stored in both");

static void *field_of(const struct tsd_config_key *key, struct tsd_config *config)
{
    return (char *)config + key->offset;
}

static const void *const_field_of(const struct tsd_config_key *key, const struct tsd_config *config)
{
    return (const char *)config + key->offset;
}

int tsd_value_parse(const struct tsd_config_key *key, const char *text, int64_t now_ns, struct tsd_config *config,
                    struct tsd_config_reason *ret_reason)
{
    const struct job job = {key, config, now_ns, ret_reason};
    for (const char *p = text; *p; p++) {
        if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7F)
            return bad(ret_reason, "the value has a control character, byte 0x%02x", (unsigned char)*p);
    }
    return types[key->type].parse(&job, text, field_of(key, config));
}

void tsd_value_write(const struct tsd_config_key *key, const struct tsd_config *config, struct ts_buf *out)
{
    const struct type *type = &types[key->type];
    if (type->storage == COMPOUND)
        type->write_compound(config, out);
    else
        type->write(const_field_of(key, config), out);
}

bool tsd_value_equal(const struct tsd_config_key *key, const struct tsd_config *a, const struct tsd_config *b)
{
    const struct type *type = &types[key->type];
    const void *x = const_field_of(key, a);
    const void *y = const_field_of(key, b);
    if (type->storage == COMPOUND)
        return type->equal_compound(a, b);
    if (type->storage == NUMBER)
        return !memcmp(x, y, type->size);
    const char *s = *(char *const *)x;
    const char *t = *(char *const *)y;
    return s && t ? !strcmp(s, t) : s == t;
}

char **tsd_value_string(const struct tsd_config_key *key, struct tsd_config *config)
{
    return types[key->type].storage == STRING ? field_of(key, config) : NULL;
}

void tsd_value_copy_number(const struct tsd_config_key *key, const struct tsd_config *from, struct tsd_config *to)
{
    memcpy(field_of(key, to), const_field_of(key, from), types[key->type].size);
}
