/*
 * The store: what is committed, and nothing about when.
 *
 * One struct ts_store per process writes and checkpoints (a WAL-reset race of SQLite before 3.51.3 can corrupt a file
 * that two connections write); any number of struct ts_reader read, each from one thread at a time. The driver is
 * lib/store_sqlite.c (writing) and lib/store_reader.c (reading); the schema is in lib/store_schema.h.
 *
 * Numbers of label sets and locations are the caller's: dense, from 1 in a new store, going on after the largest one
 * that ts_store_open() reported. They are written in the transaction that first uses them.
 */
#ifndef TS_STORE_H
#define TS_STORE_H

#include "lib/counters.h"
#include "lib/grid.h"
#include "lib/intern.h"

#include <stdbool.h>

struct ts_store;

struct ts_store_config {
    const char *path;
    struct ts_grid grid;
    bool start_time_is_now; /* grid.start_time counts only in a new store; a stored origin satisfies it */
    bool sync_each_commit;  /* durability=power: synchronous=FULL, else NORMAL */
    int busy_ms;            /* how long a commit waits for an operator's lock before it says TS_ESTORE */
};

/* Why, in words for the log. */
struct ts_store_error {
    char message[512];
};

/*
 * Opens or creates, takes the lock that a second daemon is refused by, checks identity, schema version and grid.
 * TS_EREFUSED leaves the file as it was and says in ret_error what is wrong and what to do; TS_ESTORE: cannot be
 * opened now (permissions, no folder, no room). ret_grid is the grid that holds from now on.
 */
int ts_store_open(const struct ts_store_config *config, struct ts_store **ret_store, struct ts_grid *ret_grid,
                  struct ts_store_error *ret_error) TS_MUST_USE;
/* Checkpoints what it can and lets go of file and lock. NULL is fine. */
struct ts_store *ts_store_close(struct ts_store *store);

/* Whoever had the file before did not close it: killed, or the machine went down. */
bool ts_store_was_unclean(const struct ts_store *store);

typedef int (*ts_location_cb)(void *data, uint32_t id, const struct ts_location *location);
typedef int (*ts_labels_cb)(void *data, uint32_t id, const char *canonical_json, size_t len);

/* Gives what is stored, ascending by id. TS_EREFUSED: it is damaged. A callback's non-zero result ends the walk and is
 * passed on. */
int ts_store_load(struct ts_store *store, ts_location_cb on_location, ts_labels_cb on_labels, void *data) TS_MUST_USE;

/* Likewise: what a client of acknowledged streams has sent up to. `used` and uptimes: ns of the daemon's accumulated
 * uptime. */
typedef int (*ts_client_cb)(void *data, struct ts_str client, uint64_t last_seq, int64_t used);
int ts_store_load_clients(struct ts_store *store, ts_client_cb on_client, void *data) TS_MUST_USE;
int ts_store_load_uptime(struct ts_store *store, int64_t *ret_uptime) TS_MUST_USE;

struct ts_client_row {
    const char *client;
    uint64_t last_seq;
    bool forget; /* the row is deleted */
};

struct ts_store_batch {
    const struct ts_counters *counters; /* labels and location are store numbers */
    /* New names, numbered first_location, first_location + 1, ... ; likewise label sets (raw_name = canonical JSON). */
    const struct ts_location *locations;
    uint32_t n_locations;
    uint32_t first_location;
    const struct ts_location *label_sets;
    uint32_t n_label_sets;
    uint32_t first_label_set;
    /* With the sums of exactly the messages up to last_seq, in the one transaction. */
    const struct ts_client_row *clients;
    size_t n_clients;
    int64_t uptime; /* now */
};

/*
 * One transaction: new names, sums added to those stored (saturating). All of it is on stable storage (to the
 * durability chosen) when it returns 0, none of it otherwise. TS_ESTORE: the batch is to be kept and given again.
 * TS_ESYNC: the process must end. ret_saturated counts the stored sums that reached their bound.
 */
int ts_store_commit(struct ts_store *store, const struct ts_store_batch *batch, uint64_t *ret_saturated,
                    struct ts_store_error *ret_error) TS_MUST_USE;

/* ---- Reading ---- */

struct ts_reader;

int ts_reader_open(const char *path, struct ts_reader **ret_reader, struct ts_store_error *ret_error) TS_MUST_USE;
struct ts_reader *ts_reader_close(struct ts_reader *reader);

/* All reads between begin and end see one commit's state. */
int ts_reader_begin(struct ts_reader *reader) TS_MUST_USE;
void ts_reader_end(struct ts_reader *reader);

typedef int (*ts_sum_cb)(void *data, const struct ts_sum_row *row);
typedef int (*ts_profile_cb)(void *data, const struct ts_profile_row *row);

int ts_reader_locations(struct ts_reader *reader, ts_location_cb cb, void *data) TS_MUST_USE;
int ts_reader_label_sets(struct ts_reader *reader, ts_labels_cb cb, void *data) TS_MUST_USE;
/* Rows of the finest level with from <= bucket < to, ascending by bucket; bounds are bucket numbers. */
int ts_reader_sums(struct ts_reader *reader, int64_t from, int64_t to, ts_sum_cb cb, void *data) TS_MUST_USE;
int ts_reader_profiles(struct ts_reader *reader, int64_t from, int64_t to, ts_profile_cb cb, void *data) TS_MUST_USE;
/*
 * Reads the whole file and checks that it is put together as it should be (SQLite's quick_check). 0; TS_EREFUSED, with
 * what is wrong in ret_error; TS_ECANCELED; TS_ESTORE. It holds one state of the file, and so the log, as long as it
 * takes.
 */
int ts_reader_check(struct ts_reader *reader, struct ts_store_error *ret_error) TS_MUST_USE;
/* Makes the read under way, on another thread, end with TS_ECANCELED soon. */
void ts_reader_interrupt(struct ts_reader *reader);

#endif
