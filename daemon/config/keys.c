#include "daemon/config/keys.h"

#include "daemon/base/state.h"
#include "daemon/config/config.h"
#include "lib/aggregate/grid.h"

#include <assert.h>
#include <string.h>

#define MS INT64_C(1000000)
#define DAY (86400 * TS_NS_PER_S)
#define YEAR (365 * DAY)
#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* All keys but one have the name of their field. */
/* clang-format off */
#define KEY(section, field, type, min, max, reload, default_text) \
    {#section "." #field, TSD_##type, offsetof(struct tsd_config, section.field), min, max, reload, default_text}
#define RELOAD true
#define RESTART false

const struct tsd_config_key tsd_config_keys[] = {
    KEY(aggregation, time_slice, DURATION, MS, YEAR, RESTART, "10s"),
    KEY(aggregation, start_time, START_TIME, 0, 0, RESTART, "0"),
    KEY(aggregation, retention, RETENTION, 0, 0, RESTART,
        "<time_slice>:" TSD_DEFAULT_FINEST_KEEP ", and " TSD_DEFAULT_WIDER_LEVELS " if they are multiples"),
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
static_assert(sizeof(tsd_config_keys) / sizeof(*tsd_config_keys) == TSD_CONFIG_KEYS, "every row is there");

const struct tsd_config_key *tsd_config_find_key(const char *name)
{
    for (size_t i = 0; i < TSD_CONFIG_KEYS; i++) {
        if (!strcmp(tsd_config_keys[i].name, name))
            return &tsd_config_keys[i];
    }
    return NULL;
}

/* Levenshtein distance: the number of bytes to insert, delete or replace. */
static size_t distance(const char *a, const char *b)
{
    size_t row[TSD_CONFIG_KEY_MAX];
    size_t len = strlen(b);
    assert(len < TSD_CONFIG_KEY_MAX);
    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < len; j++) {
            size_t replace = diagonal + (a[i] != b[j]);
            size_t other = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;
            diagonal = row[j + 1];
            row[j + 1] = replace < other ? replace : other;
        }
    }
    return row[len];
}

const struct tsd_config_key *tsd_config_similar_key(const char *name)
{
    const struct tsd_config_key *similar = NULL;
    const char *dot = strchr(name, '.');
    const char *without_section = dot ? dot + 1 : name;
    size_t best = strlen(name) / 4 + 1;
    for (size_t i = 0; i < TSD_CONFIG_KEYS; i++) {
        const struct tsd_config_key *key = &tsd_config_keys[i];
        if (!strcmp(without_section, key->name + tsd_config_section_len(key) + 1))
            return key;
        size_t d = distance(name, key->name);
        if (d < best) {
            best = d;
            similar = key;
        }
    }
    return similar;
}

size_t tsd_config_section_len(const struct tsd_config_key *key)
{
    return strcspn(key->name, ".");
}

bool tsd_config_begins_section(const struct tsd_config_key *key)
{
    return key == tsd_config_keys || strncmp(key->name, key[-1].name, tsd_config_section_len(key) + 1) != 0;
}
