/*
 * Names as the store numbers them: the bounded table of all locations (or label sets) that the store has or is about to
 * get, each with its number there. One thread.
 *
 * New ones are numbered on from the largest; until a commit that brings them has succeeded they are `fresh`.
 */
#ifndef TSD_NAMES_H
#define TSD_NAMES_H

#include "lib/intern.h"

struct tsd_names {
    struct ts_bounded known;
    uint32_t *numbers; /* in the store, by the table's own number */
    uint32_t cap;
    uint32_t stored; /* how many of the table the store has: its first ones */
    uint32_t next;   /* the number the next new one gets */
};

void tsd_names_init(struct tsd_names *names, uint32_t max, const char *overflow);
void tsd_names_deinit(struct tsd_names *names); /* twice is safe */

/* One that the store has, ascending by number. */
int tsd_names_load(struct tsd_names *names, uint32_t number, const struct ts_location *key) TS_MUST_USE;

/* Finds or adds, within the bound. TS_ENOMEM leaves all as it was. unbounded: whatever the bound says. */
int tsd_names_number(struct tsd_names *names, const struct ts_location *key, bool unbounded,
                     uint32_t *ret_number) TS_MUST_USE;

/* Those that the store does not have yet, numbered from *ret_first; NULL where there are none. */
const struct ts_location *tsd_names_fresh(const struct tsd_names *names, uint32_t *ret_n, uint32_t *ret_first);
void tsd_names_committed(struct tsd_names *names);

#endif
