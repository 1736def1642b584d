/*
 * State that every thread may read: the grid, the listeners, all counters.
 *
 * It is filled before the threads start. Later only atomic members change, and the texts under the lock. Responses of
 * /v1/status, /metrics and /healthz are made from it alone, so they never wait for the store or another thread.
 */
#ifndef TSD_BASE_STATE_H
#define TSD_BASE_STATE_H

#include "daemon/base/address.h"
#include "daemon/base/gate.h"
#include "daemon/base/stats.h"
#include "lib/aggregate/retention.h"

#include <uv.h>

enum {
    TSD_THREADS_MAX = 64, /* ingest threads */
    TSD_LISTENERS_MAX = 8,
    TSD_LEVELS_MAX = 16,
    TSD_COMMIT_BOUNDS = 13
};

/* Upper bounds of the histogram of commit durations, ns: 1 ms to 10 s. */
extern const int64_t tsd_commit_bounds[TSD_COMMIT_BOUNDS];

/* Written by the writer's thread only. */
struct tsd_writer_stats {
    tsd_count commits;        /* transactions that stored something */
    tsd_count commits_failed; /* attempts that failed */
    tsd_count committed;      /* messages in them; accepted - committed is the number of pending messages */
    tsd_count rows;           /* sums written */
    tsd_count rows_built;     /* rows read to build wider levels */
    tsd_count rows_pruned;
    tsd_count log_truncations; /* of the write-ahead log, while readers waited */
    tsd_count saturated;       /* stored sums that reached the largest value */
    tsd_count functions;       /* known now: distinct names without leading underscores */
    tsd_count locations;
    tsd_count label_sets;
    tsd_count clients;       /* known clients of acknowledged streams */
    tsd_count last_commit;   /* wall clock, ns since the epoch; 0: none yet */
    tsd_count commit_ns;     /* total duration of commits */
    tsd_count waiting_bytes; /* collected from the ingest threads, not yet committed */
    /* Histogram: commits that took up to each of tsd_commit_bounds, and those over the last bound. */
    tsd_count commit_took[TSD_COMMIT_BOUNDS + 1];
};

/* Counts a commit of this duration. On the writer's thread. */
void tsd_stats_add_commit(struct tsd_writer_stats *stats, int64_t nanoseconds);

#define TSD_NO_BUCKET UINT64_C(0x8000000000000000)

struct tsd_level_stats {
    int64_t width, keep; /* ns */
    tsd_count oldest;    /* start of the oldest bucket, ns since the epoch as int64; TSD_NO_BUCKET: none */
};

struct tsd_listener {
    const char *name;              /* udp, tcp, unix_stream, unix_datagram, control, http */
    char address[TSD_ADDRESS_MAX]; /* in use: "127.0.0.1:41234", "[::1]:8137", "/run/x.sock" */
};

struct tsd_state {
    struct ts_grid grid;
    size_t n_retention;
    struct ts_retention retention[TS_RETENTION_MAX];
    char store_path[4096];
    int64_t started_mono; /* ns */
    int64_t started_wall; /* ns since the epoch */

    struct tsd_listener listeners[TSD_LISTENERS_MAX];
    size_t n_listeners;

    const struct tsd_stats *threads[TSD_THREADS_MAX]; /* the ingest threads' counters */
    size_t n_threads;
    struct tsd_writer_stats writer;
    struct tsd_control_stats control;
    size_t n_levels; /* finest first */
    struct tsd_level_stats levels[TSD_LEVELS_MAX];

    struct tsd_gate readers; /* threads that read the database for a query or a deletion */

    uv_mutex_t lock;
    char store_error[512]; /* why the store rejects commits, "": it does not; under the lock */
    char damage[512];      /* found in the database, "": none; under the lock */
};

int tsd_state_init(struct tsd_state *state) TS_MUST_USE;
void tsd_state_deinit(struct tsd_state *state);

/* The sum of a counter over the ingest threads: tsd_state_sum(state, offsetof(struct tsd_stats, received)). */
uint64_t tsd_state_sum(const struct tsd_state *state, size_t offset);
/* Messages accepted, not yet on stable storage. */
uint64_t tsd_state_pending(const struct tsd_state *state);

/* NULL: commits succeed again. */
void tsd_state_set_store_error(struct tsd_state *state, const char *message);
/* Damage is reported until the daemon ends. */
void tsd_state_set_damage(struct tsd_state *state, const char *message);
/* Copies the store error, or else the damage; "" if there is none. */
void tsd_state_store_error(struct tsd_state *state, char *ret_message, size_t size);

#endif
