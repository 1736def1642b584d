/*
 * The store: the committed data of the daemon, in one SQLite database. It decides nothing about when to commit.
 *
 * A process has one struct ts_store, the only connection that writes and checkpoints (before SQLite 3.51.3 a race in
 * the reset of the write-ahead log can corrupt a file that two connections write). Any number of readers
 * (lib/store/reader.h) read beside it. The store is used by one thread at a time.
 *
 * Age is measured against the horizon: a time kept in the database, which the caller advances by elapsed monotonic
 * time. At opening it follows the wall clock by at most a day, so a clock that jumps ahead prunes nothing.
 *
 * The caller assigns the numbers of label sets and locations: dense, from 1 in a new store, and continuing after the
 * largest stored number. A commit stores the names that it is the first to use.
 */
#ifndef TS_STORE_STORE_H
#define TS_STORE_STORE_H

#include "lib/aggregate/counters.h"
#include "lib/aggregate/grid.h"
#include "lib/aggregate/intern.h"
#include "lib/aggregate/retention.h"

#include <stdbool.h>

struct ts_store;

struct ts_store_config {
    const char *path;
    struct ts_grid grid;
    bool start_time_is_now;               /* use grid.start_time in a new store only; accept any stored origin */
    bool sync_each_commit;                /* durability=power: synchronous=FULL, else NORMAL */
    int busy_ms;                          /* how long a commit waits for another process's lock before TS_ESTORE */
    const struct ts_retention *retention; /* finest first, the first one as wide as time_slice */
    size_t n_retention;                   /* 0: one level, kept for ever */
    int64_t now;                          /* the wall clock, ns since the epoch */
    void (*on_log)(void *data, const char *message); /* for each change to the levels; may be NULL */
    void *data;
};

/* The reason of a failure, for the log. */
struct ts_store_error {
    char message[512];
};

/*
 * Opens or creates the database: takes the lock that keeps a second daemon out; checks identity, schema version and
 * grid; adapts the levels to the retention. TS_EREFUSED leaves the file as it was, and ret_error has the cause and the
 * remedy: also for a missing folder or permissions. TS_ESTORE: it cannot be opened now (full disk, failed read).
 * ret_grid is the grid in force.
 */
int ts_store_open(const struct ts_store_config *config, struct ts_store **ret_store, struct ts_grid *ret_grid,
                  struct ts_store_error *ret_error) TS_MUST_USE;
/* Whether ts_store_open() would refuse this path: its folder is missing, or the file is not one of our databases. Reads
 * the header only and writes nothing, so it may run beside a daemon. Results as above. */
int ts_store_inspect(const char *path, struct ts_store_error *ret_error) TS_MUST_USE;
/* Checkpoints what it can, closes the file and releases the lock. NULL is fine. */
struct ts_store *ts_store_close(struct ts_store *store);

/* The previous daemon did not close the file: it was killed, or the machine stopped. */
bool ts_store_was_unclean(const struct ts_store *store);

/* The levels after the last commit or maintenance step. */
const struct ts_levels *ts_store_levels(const struct ts_store *store);
/* The begin of a level's oldest bucket, ns since the epoch; INT64_MIN: it has none. */
int ts_store_oldest(struct ts_store *store, const struct ts_level *level, int64_t *ret_begin) TS_MUST_USE;
/* The horizon at opening, ns since the epoch; the caller advances it from there. */
int64_t ts_store_horizon(const struct ts_store *store);

/* ---- The write-ahead log ---- */

/* Pages in it after the last transaction, of 4 KiB unless the database was made with another size. */
int ts_store_log_pages(const struct ts_store *store);
/*
 * Moves the log into the database and empties it, unless a reader uses it now: it waits for nobody. Not within a
 * transaction. 0 with *ret_emptied, or TS_ESYNC with ret_error.
 */
int ts_store_truncate_log(struct ts_store *store, bool *ret_emptied, struct ts_store_error *ret_error) TS_MUST_USE;

/* ---- Names, clients, uptime: what the daemon loads at its start ---- */

typedef int (*ts_location_cb)(void *data, uint32_t id, const struct ts_location *location);
typedef int (*ts_labels_cb)(void *data, uint32_t id, const char *canonical_json, size_t len);
/* last: the latest position at which level 0 may have the location. */
typedef int (*ts_recent_location_cb)(void *data, uint32_t id, const struct ts_location *location, int64_t last);

struct ts_store_names {
    uint32_t largest_location; /* number; 0: none */
    uint64_t not_loaded;       /* stored locations that were not passed to the callback */
};

/*
 * Loads the locations that level 0 may still have, and all label sets, both ascending by number. A non-zero result of a
 * callback ends the walk and is returned. TS_EREFUSED: the file is damaged.
 */
int ts_store_load_names(struct ts_store *store, ts_recent_location_cb on_location, ts_labels_cb on_labels, void *data,
                        struct ts_store_names *ret_names) TS_MUST_USE;
/* The number of a stored location; 0: it is not stored. */
int ts_store_find_location(struct ts_store *store, const struct ts_location *key, uint32_t *ret_id) TS_MUST_USE;

/* Loads the clients of acknowledged streams. `used` and uptimes: ns of the daemons' accumulated uptime. */
typedef int (*ts_client_cb)(void *data, struct ts_str client, uint64_t last_seq, int64_t used);
int ts_store_load_clients(struct ts_store *store, ts_client_cb on_client, void *data) TS_MUST_USE;
int ts_store_load_uptime(struct ts_store *store, int64_t *ret_uptime) TS_MUST_USE;

/* Deletes names that no row refers to: all of them or none. */
int ts_store_delete_names(struct ts_store *store, const uint32_t *locations, size_t n_locations,
                          const uint32_t *label_sets, size_t n_label_sets,
                          struct ts_store_error *ret_error) TS_MUST_USE;

/* ---- Commits ---- */

struct ts_client_row {
    const char *client;
    uint64_t last_seq;
    bool remove; /* delete the row */
};

struct ts_store_batch {
    const struct ts_counters *counters; /* labels and location are the store's numbers */
    /* New locations, numbered first_location, first_location + 1, ...; label sets likewise, with their canonical JSON
       as raw_name. */
    const struct ts_location *locations;
    uint32_t n_locations;
    uint32_t first_location;
    const struct ts_location *label_sets;
    uint32_t n_label_sets;
    uint32_t first_label_set;
    /* `counters` has the sums of exactly the messages up to each client's last_seq. */
    const struct ts_client_row *clients;
    size_t n_clients;
    int64_t uptime;  /* now, ns */
    int64_t horizon; /* at collection, ns since the epoch: older data than a level keeps goes into wider levels only */
};

/*
 * Commits a batch in one transaction: inserts the new names, adds the sums to the stored ones (saturating). On 0 all of
 * it is on stable storage, to the configured durability; otherwise none of it is stored. TS_ESTORE: keep the batch and
 * try again. TS_ESYNC: the process must end; also for an empty batch, once the database's files were moved, deleted or
 * replaced. ret_saturated counts the stored sums that reached their bound.
 */
int ts_store_commit(struct ts_store *store, const struct ts_store_batch *batch, uint64_t *ret_saturated,
                    struct ts_store_error *ret_error) TS_MUST_USE;

#endif
