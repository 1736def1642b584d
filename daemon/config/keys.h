/*
 * The table of configuration keys: name, type, field, bounds, default, and whether a reload applies the key. Reading,
 * printing, comparing and documenting a configuration all use it. A test checks that it agrees with
 * config/timesliced.conf and docs/configuration.md.
 */
#ifndef TSD_CONFIG_KEYS_H
#define TSD_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a value is written, and the type of its field; value.c has the parsers. */
enum tsd_config_type {
    TSD_DURATION,        /* int64_t ns */
    TSD_DURATION_OR_OFF, /* int64_t ns, -1 = off */
    TSD_COUNT,           /* unsigned */
    TSD_SIZE,            /* uint64_t bytes */
    TSD_MODE,            /* unsigned, written in octal */
    TSD_LEVEL,           /* int, enum tsd_log_level */
    TSD_DURABILITY,      /* bool: true = power */
    TSD_ADDRESS,         /* char *: "127.0.0.1:8137" or "[::1]:8137", never a name; NULL = off */
    TSD_SOCKET_PATH,     /* char *; NULL = off */
    TSD_FILE_PATH,       /* char * */
    TSD_GROUP,           /* char *; NULL = none */
    TSD_HOSTS,           /* char * */
    TSD_START_TIME,      /* aggregation.start_time and start_time_is_now */
    TSD_RETENTION        /* aggregation.retention and n_retention */
};

struct tsd_config_key {
    const char *name; /* "section.key" */
    enum tsd_config_type type;
    size_t offset; /* of the field in struct tsd_config */
    int64_t min;   /* inclusive, as is max; of durations, counts and sizes */
    int64_t max;
    bool reloadable;
    /*
     * As documented. A value in the format of the type, with two exceptions: "$VARIABLE/NAME, else PATH" (systemd sets
     * the variable), and aggregation.retention, whose default depends on time_slice.
     */
    const char *default_text;
};

/* The default of aggregation.retention: how long the finest level is kept, and the wider levels. */
#define TSD_DEFAULT_FINEST_KEEP "2d"
#define TSD_DEFAULT_WIDER_LEVELS "1m:30d 1h:2y"

/* In the order of the documentation; keys of one section are adjacent. */
enum { TSD_CONFIG_KEYS = 27, TSD_CONFIG_KEY_MAX = 64 /* bytes of a name, with NUL */ };
extern const struct tsd_config_key tsd_config_keys[TSD_CONFIG_KEYS];

/* NULL: there is no such key. */
const struct tsd_config_key *tsd_config_find_key(const char *name);
/* The key that was probably meant: the same key of another section, or one with similar spelling. May be NULL. */
const struct tsd_config_key *tsd_config_similar_key(const char *name);

/* Length of the section's name, which is followed by a dot and the key's own name. */
size_t tsd_config_section_len(const struct tsd_config_key *key);
/* True for the first key of its section. */
bool tsd_config_begins_section(const struct tsd_config_key *key);

#endif
