/*
 * Read-only connections to the store's database, each used by one thread at a time.
 */
#ifndef TS_STORE_READER_H
#define TS_STORE_READER_H

#include "lib/aggregate/plan.h"
#include "lib/store/store.h"

struct ts_reader;

int ts_reader_open(const char *path, struct ts_reader **ret_reader, struct ts_store_error *ret_error) TS_MUST_USE;
struct ts_reader *ts_reader_close(struct ts_reader *reader); /* NULL is fine */

/* All reads between begin and end see the state after one commit. */
int ts_reader_begin(struct ts_reader *reader) TS_MUST_USE;
void ts_reader_end(struct ts_reader *reader);

typedef int (*ts_sum_cb)(void *data, const struct ts_sum_row *row);
typedef int (*ts_profile_cb)(void *data, const struct ts_profile_row *row);

int ts_reader_locations(struct ts_reader *reader, ts_location_cb cb, void *data) TS_MUST_USE;
int ts_reader_label_sets(struct ts_reader *reader, ts_labels_cb cb, void *data) TS_MUST_USE;
/* The levels in the state that is read. */
const struct ts_levels *ts_reader_levels(const struct ts_reader *reader);
/*
 * Rows of one level with from <= bucket < to, by bucket, ascending or descending. A non-zero result of the callback
 * ends the walk and is returned; TS_STOP is for callbacks that have seen enough.
 */
enum { TS_STOP = 1000 };
int ts_reader_sums(struct ts_reader *reader, const struct ts_segment *segment, bool descending, ts_sum_cb cb,
                   void *data) TS_MUST_USE;
int ts_reader_profiles(struct ts_reader *reader, const struct ts_segment *segment, bool descending, ts_profile_cb cb,
                       void *data) TS_MUST_USE;
/*
 * Reads the complete file and checks its structure (SQLite's quick_check). TS_EREFUSED: it is damaged, ret_error has
 * the details; TS_ECANCELED; TS_ESTORE. Holds one state of the file, and so pins the write-ahead log, while it runs.
 */
int ts_reader_check(struct ts_reader *reader, struct ts_store_error *ret_error) TS_MUST_USE;
/* From any thread: makes the current read end soon with TS_ECANCELED. */
void ts_reader_interrupt(struct ts_reader *reader);

#endif
