/*
 * After a deletion: rechecks the rows of wider levels that subtracting (subtract.h) could not settle. For
 * lib/store/delete.c.
 *
 *     all values zero     deleted unless a narrower level still has a row of this key in the bucket. Values may cancel
 *                         out, and each level must refer to the names that narrower levels refer to.
 *     a value at a bound  summed again from a narrower level that has the complete bucket. If none has, it stays.
 *
 * Levels are rechecked from narrow to wide, so narrower ones are up to date. Work follows the rows there are: of the
 * narrower level, only existing buckets are visited, and in them only the label sets of the rows to recheck. It is done
 * in steps; what commits add meanwhile is noticed (struct ts_store_watch), and the bucket is rechecked once more.
 *
 * If it is interrupted, rows of zeros or rows at a bound remain. Every other row is exact at any time.
 */
#ifndef TS_STORE_RECHECK_H
#define TS_STORE_RECHECK_H

#include "lib/store/selection.h"

struct ts_recheck_row {
    struct ts_row row;             /* as read */
    int64_t sums[TS_N_VALUES_MAX]; /* summed again; for `at_bound` */
    bool at_bound;
    bool zero;
    bool found; /* a narrower level has a row of this key */
};

enum ts_recheck_stage { TS_RECHECK_NEXT, TS_RECHECK_COLLECT, TS_RECHECK_SUM, TS_RECHECK_FIND, TS_RECHECK_WRITE };

struct ts_recheck {
    const struct ts_selection *selection;
    int64_t from; /* positions, half-open */
    int64_t to;
    bool profiles; /* both tables */
    enum ts_recheck_stage stage;
    int64_t level;               /* id of the level that is rechecked; -1: before the first one */
    int64_t width;               /* its width; the next level is the next wider one */
    enum ts_table table;         /* of that level */
    int64_t bucket;              /* the first bucket that is not done */
    struct ts_row begin;         /* where this round of the bucket began */
    struct ts_row next;          /* the first key that is not collected */
    bool collected;              /* the bucket has no rows after this round */
    int tries;                   /* of this round */
    struct ts_recheck_row *rows; /* of this round, in key order */
    size_t n_rows;
    size_t cap_rows;
    int64_t source; /* id of the narrower level that is read */
    bool last;      /* no narrower level needs to be read after it */
    int64_t at;     /* the first of its buckets that is not read */
    int64_t end;
};

void ts_recheck_init(struct ts_recheck *recheck, const struct ts_selection *selection, int64_t from, int64_t to,
                     bool profiles);
void ts_recheck_deinit(struct ts_recheck *recheck); /* twice is safe */

/* Does work until about `rows` rows are read or written; adds their number to *ret_work. In a transaction. SQLite's
   codes. */
int ts_recheck_step(struct ts_recheck *recheck, struct ts_store *store, uint32_t rows, uint32_t *ret_work,
                    bool *ret_more);

#endif
