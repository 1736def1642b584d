/* The configuration as the daemon uses it: one field for nearly every key, defaults filled in. */
#ifndef TSD_CONFIG_CONFIG_H
#define TSD_CONFIG_CONFIG_H

#include "lib/aggregate/retention.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tsd_config {
    struct {
        int64_t time_slice; /* ns */
        int64_t start_time; /* ns; if start_time_is_now: the time of parsing, rounded down to a second */
        bool start_time_is_now;
        struct ts_retention retention[TS_RETENTION_MAX]; /* finest first */
        size_t n_retention;
        int64_t max_future; /* ns; -1 = off */
        uint32_t max_locations;
        uint32_t max_label_sets;
    } aggregation;
    struct {
        char *udp; /* NULL = off, also for every other address and socket path */
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
        char *allowed_hosts; /* unchanged: names separated by spaces or commas; "" if empty */
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

#endif
