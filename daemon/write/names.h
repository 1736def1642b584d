/*
 * Names with their numbers in the store: a bounded table of the locations that level 0 has, or of all label sets.
 * Used by one thread.
 *
 * A name that the table does not hold is looked up in the store, which may have it for wider levels only. Otherwise it
 * is new: it gets the next number and is `fresh` until a commit has stored it. The table holds what was used in a
 * bucket that level 0 still has; the rest can be removed (tsd_names_renew) once no ingest thread has a number for it.
 */
#ifndef TSD_WRITE_NAMES_H
#define TSD_WRITE_NAMES_H

#include "lib/aggregate/intern.h"

struct tsd_name {
    uint32_t number;  /* in the store; 0: not numbered yet, for lack of memory */
    int64_t last;     /* the last bucket of level 0 that it was used in */
    uint64_t used_at; /* number of the last commit that used it */
};

/* Looks a name up in the store; *ret_number 0: it is not stored. */
typedef int (*tsd_names_find_fn)(void *data, const struct ts_location *key, uint32_t *ret_number);

struct tsd_names {
    struct ts_bounded known;
    struct tsd_name *items; /* by the table's own number */
    size_t cap;
    uint32_t next;             /* number of the next new name */
    uint64_t not_held;         /* names that the store has in addition to the table; 0: no need to look there */
    struct ts_location *fresh; /* views of the table's bytes */
    uint32_t n_fresh;
    size_t cap_fresh;
    uint32_t first_fresh; /* its number; the others follow in order */
    uint32_t *place_of;   /* by number - 1: the table's own number + 1; 0: not held */
    size_t cap_places;
    tsd_names_find_fn find; /* NULL: the table holds all stored names */
    void *data;
};

void tsd_names_init(struct tsd_names *names, uint32_t max, const char *overflow);
void tsd_names_deinit(struct tsd_names *names); /* twice is safe */

/* Adds a stored name, in ascending order of numbers. */
int tsd_names_load(struct tsd_names *names, uint32_t number, const struct ts_location *key, int64_t last) TS_MUST_USE;

/* The number of a name, which is added if it is new and the bound allows it. unbounded: ignore the bound. TS_ENOMEM and
 * TS_ESTORE: call again, nothing is lost. */
int tsd_names_number(struct tsd_names *names, const struct ts_location *key, bool unbounded,
                     uint32_t *ret_number) TS_MUST_USE;
/* The name of this number was used in this bucket of level 0, by this commit. */
void tsd_names_used(struct tsd_names *names, uint32_t number, int64_t bucket, uint64_t commit);
/* NULL: not held. */
const struct tsd_name *tsd_names_held(const struct tsd_names *names, uint32_t number);

/* The names to store with the next commit, numbered from *ret_first; NULL if there are none. */
const struct ts_location *tsd_names_fresh(const struct tsd_names *names, uint32_t *ret_n, uint32_t *ret_first);
void tsd_names_committed(struct tsd_names *names);

/* The number of names that were last used before this bucket. */
uint32_t tsd_names_count_before(const struct tsd_names *names, int64_t bucket);
/*
 * Rebuilds the table from the names for which `keep` is true. Nothing may be fresh. TS_ENOMEM: no change.
 * in_store: removed names stay in the store and count as not held; otherwise they have been deleted there.
 */
typedef bool (*tsd_names_keep_fn)(void *data, const struct tsd_name *name);
int tsd_names_renew(struct tsd_names *names, tsd_names_keep_fn keep, void *data, bool in_store) TS_MUST_USE;

#endif
