/*
 * Names as the store numbers them: the bounded table of the locations that level 0 has (or of all label sets), each
 * with its number in the store. One thread.
 *
 * A name that is not held is looked for in the store, which has it where only wider levels do; else it is new: numbered
 * on from the largest, and `fresh` until a commit that brings it has succeeded. Held is what was used in a bucket that
 * level 0 still has. The rest can be let go of (tsd_names_renew), once nobody translates to it any more.
 */
#ifndef TSD_WRITE_NAMES_H
#define TSD_WRITE_NAMES_H

#include "lib/aggregate/intern.h"

struct tsd_name {
    uint32_t number;  /* in the store */
    int64_t last;     /* the last bucket of level 0 that it was used in */
    uint64_t used_at; /* the commit that used it last, as tsd_names_used() was told */
};

/* Looks a name up in the store; *ret_number 0: it is not there. */
typedef int (*tsd_names_find_fn)(void *data, const struct ts_location *key, uint32_t *ret_number);

struct tsd_names {
    struct ts_bounded known;
    struct tsd_name *items; /* by the table's own number */
    uint32_t cap;
    uint32_t next;             /* the number the next new one gets */
    uint64_t not_held;         /* how many the store has beside those held; 0: no need to look */
    struct ts_location *fresh; /* views of the table's bytes */
    uint32_t n_fresh;
    uint32_t cap_fresh;
    uint32_t first_fresh; /* its number */
    uint32_t *place_of;   /* by number - 1: the table's own number + 1; 0: not held */
    uint32_t cap_places;
    tsd_names_find_fn find; /* NULL: all of the store's are held */
    void *data;
};

void tsd_names_init(struct tsd_names *names, uint32_t max, const char *overflow);
void tsd_names_deinit(struct tsd_names *names); /* twice is safe */

/* One that the store has, ascending by number. */
int tsd_names_load(struct tsd_names *names, uint32_t number, const struct ts_location *key, int64_t last) TS_MUST_USE;

/* Finds or adds, within the bound. TS_ENOMEM or TS_ESTORE leave all as it was. unbounded: whatever the bound says. */
int tsd_names_number(struct tsd_names *names, const struct ts_location *key, bool unbounded,
                     uint32_t *ret_number) TS_MUST_USE;
/* A number that is held was used in this bucket of level 0, by this commit. */
void tsd_names_used(struct tsd_names *names, uint32_t number, int64_t bucket, uint64_t commit);
/* NULL: not held. */
const struct tsd_name *tsd_names_held(const struct tsd_names *names, uint32_t number);

/* Those that the store does not have yet, numbered from *ret_first; NULL where there are none. */
const struct ts_location *tsd_names_fresh(const struct tsd_names *names, uint32_t *ret_n, uint32_t *ret_first);
void tsd_names_committed(struct tsd_names *names);

/* How many were not used from this bucket on. */
uint32_t tsd_names_past(const struct tsd_names *names, int64_t bucket);
/*
 * Begins the table anew with those that `keep` lets stay. Nothing may be fresh. TS_ENOMEM: all stays as it was.
 * What goes and stays in the store counts as not held; in_store false: it goes there too.
 */
typedef bool (*tsd_names_keep_fn)(void *data, const struct tsd_name *name);
int tsd_names_renew(struct tsd_names *names, tsd_names_keep_fn keep, void *data, bool in_store) TS_MUST_USE;

#endif
