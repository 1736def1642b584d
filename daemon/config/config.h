/*
 * Configuration: one table (config.c) gives every key's name, type, default, bounds and whether a reload changes it.
 * A test proves that the table, config/timesliced.conf and docs/configuration.md agree.
 */
#ifndef TSD_CONFIG_CONFIG_H
#define TSD_CONFIG_CONFIG_H

#include "lib/aggregate/retention.h"
#include "lib/base/buf.h"
#include "lib/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tsd_config {
    struct {
        int64_t time_slice; /* ns */
        int64_t start_time; /* ns; the moment of parsing (or relative to it), whole second, where start_time_is_now */
        bool start_time_is_now;
        struct ts_retention retention[TS_RETENTION_MAX]; /* finest first; defaults filled in */
        size_t n_retention;
        int64_t max_future; /* ns; -1 = off */
        uint32_t max_locations;
        uint32_t max_label_sets;
    } aggregation;
    struct {
        char *udp; /* "off" becomes NULL, so for every address and path below */
        char *tcp;
        char *unix_stream;
        char *unix_datagram;
        unsigned socket_mode;
        unsigned threads;
        uint64_t max_message;
        unsigned max_connections;
        uint64_t memory_limit;
        uint64_t receive_buffer;
    } ingest;
    struct {
        char *socket;
        unsigned socket_mode;
        char *socket_group; /* NULL: none */
        char *http;
        char *allowed_hosts; /* as given: names separated by spaces or commas; "" where empty */
    } control;
    struct {
        char *path;
        int64_t flush_interval; /* ns */
        int64_t ack_interval;   /* ns */
        bool durability_power;
        int64_t client_expiry; /* ns */
    } store;
    struct {
        int level; /* enum tsd_log_level */
    } log;
};

/* How a value is written and what it is stored as; config_value.c has the parsers. */
enum tsd_config_type {
    TSD_DURATION,        /* int64_t ns */
    TSD_DURATION_OR_OFF, /* int64_t ns, -1 = off */
    TSD_COUNT,           /* unsigned */
    TSD_SIZE,            /* uint64_t bytes */
    TSD_MODE,            /* unsigned, written in octal */
    TSD_LEVEL,           /* int, enum tsd_log_level */
    TSD_DURABILITY,      /* bool: power */
    TSD_ADDRESS,         /* char *: "127.0.0.1:8137" or "[::1]:8137", always a literal; NULL = off */
    TSD_SOCKET_PATH,     /* char *; NULL = off */
    TSD_FILE_PATH,       /* char * */
    TSD_GROUP,           /* char *; NULL = none */
    TSD_HOSTS,           /* char * */
    TSD_START_TIME,      /* aggregation.start_time and start_time_is_now */
    TSD_RETENTION        /* aggregation.retention and n_retention */
};

/* A row of the table. */
struct tsd_config_key {
    const char *name; /* "section.key" */
    enum tsd_config_type type;
    size_t offset; /* of its field in struct tsd_config */
    int64_t min;   /* both allowed; of durations, counts and sizes */
    int64_t max;
    bool reloadable;
    /*
     * As the documentation has it. A text that the key takes, but for "$VARIABLE/NAME, else PATH" (the variable is one
     * that systemd sets) and aggregation.retention, whose default depends on time_slice.
     */
    const char *default_text;
};

/* All keys, in the order of the documentation. Gives their number. */
size_t tsd_config_keys(const struct tsd_config_key **ret_keys);

/* An error in a form fit to print: "FILE:LINE: section.key: what is wrong", or "--set section.key: ...". */
struct tsd_config_error {
    char message[512];
};

/*
 * Defaults, then the file (NULL: /etc/timesliced/timesliced.conf if it is there), then the n_sets texts
 * "section.key=value", the last of one key counting. now_ns is what `now` means. ret_config is set on success only;
 * deinit it. TS_EINVAL or TS_ENOMEM with ret_error.
 */
int tsd_config_load(const char *file, const char *const *sets, size_t n_sets, int64_t now_ns,
                    struct tsd_config *ret_config, struct tsd_config_error *ret_error) TS_MUST_USE;
void tsd_config_deinit(struct tsd_config *config); /* twice is safe */
/* What tsd_config_load() reads for this file, in words: a path, or that there is none. */
const char *tsd_config_source(const char *file);

/* Appends the value of a key as the key takes it ("10s", "off"). */
void tsd_config_format(const struct tsd_config *config, const struct tsd_config_key *key, struct ts_buf *out);
/* Appends a line "section.key=value" for each key: what the configuration is, each line fit for --set. */
void tsd_config_dump(const struct tsd_config *config, struct ts_buf *out);

/*
 * Calls back with each key ("ingest.threads") whose value differs, and whether a reload may change it, and copies the
 * reloadable ones from `next` into `config`. TS_ENOMEM: nothing was called back or copied.
 */
typedef void (*tsd_config_change_cb)(void *data, const char *key, bool reloadable);
int tsd_config_reload(struct tsd_config *config, const struct tsd_config *next, tsd_config_change_cb cb,
                      void *data) TS_MUST_USE;

#endif
