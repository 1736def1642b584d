/*
 * The store: what is committed, and nothing about when.
 *
 * One struct ts_store per process writes and checkpoints (a WAL-reset race of SQLite before 3.51.3 can corrupt a file
 * that two connections write); any number of struct ts_reader read, each from one thread at a time. The driver is
 * lib/store/open.c and what lib/store/writer.h lists (writing), and lib/store/reader.c (reading); the schema is in
 * lib/store/schema.h.
 *
 * Age is measured by the horizon: a time that the database keeps, and that its user advances by elapsed monotonic time.
 * At an opening it follows the clock, by a day at most, so a clock that jumps prunes nothing.
 *
 * Numbers of label sets and locations are the caller's: dense, from 1 in a new store, going on after the largest one
 * that ts_store_open() reported. They are written in the transaction that first uses them.
 */
#ifndef TS_STORE_STORE_H
#define TS_STORE_STORE_H

#include "lib/aggregate/counters.h"
#include "lib/aggregate/grid.h"
#include "lib/aggregate/intern.h"
#include "lib/aggregate/levels.h"
#include "lib/aggregate/plan.h"

#include <stdbool.h>

struct ts_store;

struct ts_store_config {
    const char *path;
    struct ts_grid grid;
    bool start_time_is_now;               /* grid.start_time counts only in a new store; a stored origin satisfies it */
    bool sync_each_commit;                /* durability=power: synchronous=FULL, else NORMAL */
    int busy_ms;                          /* how long a commit waits for an operator's lock before it says TS_ESTORE */
    const struct ts_retention *retention; /* finest first, the first one as wide as time_slice */
    size_t n_retention;                   /* 0: one level, for ever */
    int64_t now;                          /* the wall clock, ns since the epoch */
    void (*told)(void *data, const char *words); /* of changes to the levels, for the log; may be NULL */
    void *data;
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

/* As they are after the last commit or step. */
const struct ts_levels *ts_store_levels(const struct ts_store *store);
/* The begin of the oldest bucket that a level has, ns since the epoch; INT64_MIN: it has none. */
int ts_store_oldest(struct ts_store *store, const struct ts_level *level, int64_t *ret_begin) TS_MUST_USE;
/* What it was at the opening; from there on it is the caller's to advance. */
int64_t ts_store_horizon(const struct ts_store *store);

typedef int (*ts_location_cb)(void *data, uint32_t id, const struct ts_location *location);
typedef int (*ts_labels_cb)(void *data, uint32_t id, const char *canonical_json, size_t len);
/* last: no bucket of level 0 after this one has the location. */
typedef int (*ts_held_cb)(void *data, uint32_t id, const struct ts_location *location, int64_t last);

struct ts_store_names {
    uint32_t largest_location; /* number; 0: none */
    uint64_t not_held;         /* locations that are stored and were not given */
};

/* Gives the locations that level 0 may still have, and all label sets, ascending by id. TS_EREFUSED: the file is
 * damaged. A callback's non-zero result ends the walk and is passed on. */
int ts_store_load(struct ts_store *store, ts_held_cb on_held, ts_labels_cb on_labels, void *data,
                  struct ts_store_names *ret_names) TS_MUST_USE;
/* The number of a location that is stored; 0: it is not. */
int ts_store_find_location(struct ts_store *store, const struct ts_location *key, uint32_t *ret_id) TS_MUST_USE;

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
    int64_t uptime;  /* now */
    int64_t horizon; /* when this was collected: what is older than its level's age goes into wider ones only */
};

/*
 * One transaction: new names, sums added to those stored (saturating). All of it is on stable storage (to the
 * durability chosen) when it returns 0, none of it otherwise. TS_ESTORE: the batch is to be kept and given again.
 * TS_ESYNC: the process must end. ret_saturated counts the stored sums that reached their bound.
 */
int ts_store_commit(struct ts_store *store, const struct ts_store_batch *batch, uint64_t *ret_saturated,
                    struct ts_store_error *ret_error) TS_MUST_USE;

/*
 * What is beside commits: wider levels are built, old rows pruned. One bounded step, a transaction without a sync of
 * its own. Not while a batch waits to be committed: its horizon has to be that of the last collecting.
 */
struct ts_tend {
    int64_t horizon;
    int64_t uptime;
    uint32_t rows; /* at most so many are read or deleted */
    bool note;     /* horizon and uptime are to be stored whether or not there is something to do */
};

struct ts_tended {
    bool more;    /* something was done: there may be more to do */
    bool longest; /* what is kept longest has begun to lose rows: names may have lost their last one */
    uint64_t built;
    uint64_t pruned;
    int64_t completed; /* the width of a level that is whole from now on; 0: none */
};
int ts_store_tend(struct ts_store *store, const struct ts_tend *tend, struct ts_tended *ret_tended,
                  struct ts_store_error *ret_error) TS_MUST_USE;

/* Deletes names that no sum refers to. All or none. */
int ts_store_drop_names(struct ts_store *store, const uint32_t *locations, size_t n_locations,
                        const uint32_t *label_sets, size_t n_label_sets, struct ts_store_error *ret_error) TS_MUST_USE;

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
/* The levels as this state has them. */
const struct ts_levels *ts_reader_levels(const struct ts_reader *reader);
/* Rows of one level with from <= bucket < to, by bucket, ascending or descending; a callback that gives TS_ENOUGH ends
 * the walk, which gives TS_ENOUGH. */
enum { TS_ENOUGH = 1000 };
int ts_reader_sums(struct ts_reader *reader, const struct ts_segment *segment, bool descending, ts_sum_cb cb,
                   void *data) TS_MUST_USE;
int ts_reader_profiles(struct ts_reader *reader, const struct ts_segment *segment, bool descending, ts_profile_cb cb,
                       void *data) TS_MUST_USE;
/* Names that no row refers to, ascending by number. free() the lists by ts_unused_deinit(). Between no begin and end.
 */
struct ts_unused {
    uint32_t *locations;
    size_t n_locations;
    uint32_t *label_sets;
    size_t n_label_sets;
};
int ts_reader_unused(struct ts_reader *reader, struct ts_unused *ret_unused) TS_MUST_USE;
void ts_unused_deinit(struct ts_unused *unused);
/*
 * Reads the whole file and checks that it is put together as it should be (SQLite's quick_check). 0; TS_EREFUSED, with
 * what is wrong in ret_error; TS_ECANCELED; TS_ESTORE. It holds one state of the file, and so the log, as long as it
 * takes.
 */
int ts_reader_check(struct ts_reader *reader, struct ts_store_error *ret_error) TS_MUST_USE;
/* Makes the read under way, on another thread, end with TS_ECANCELED soon. */
void ts_reader_interrupt(struct ts_reader *reader);

#endif
