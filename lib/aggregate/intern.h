/*
 * Intern tables: locations and label sets to small integers.
 *
 * A location is (raw name, file name, line number). Numbers are assigned in order of arrival, from 0. The bytes are
 * copied once into blocks that never move, each string followed by at least TS_INTERN_SLACK readable bytes. So a view
 * of an interned string is valid until deinit, and another thread may read it once it has been given the view or
 * number. A label set is interned as a location whose raw name is the set's canonical JSON.
 */
#ifndef TS_AGGREGATE_INTERN_H
#define TS_AGGREGATE_INTERN_H

#include "lib/base/error.h"
#include "lib/base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

enum { TS_INTERN_SLACK = 64 };
#define TS_OVERFLOW_NAME "(overflow)"
#define TS_OVERFLOW_LABELS "{\"overflow\": \"true\"}"

struct ts_location {
    struct ts_str raw_name;
    struct ts_str file_name; /* data NULL: none */
    int32_t line_number;     /* -1: none */
    uint32_t hash;           /* set by the table */
};

struct ts_block; /* private */
SLIST_HEAD(ts_blocks, ts_block);

struct ts_intern {
    struct ts_location *items; /* by number; the array moves when it grows, the bytes it points to do not */
    uint32_t n;
    size_t cap;
    uint32_t *slots; /* item + 1, 0 = free; open addressing, a power of two */
    uint32_t n_slots;
    struct ts_blocks blocks; /* the first one has room */
    struct ts_str files[64]; /* file names copied last, to share them */
    uint64_t seed;           /* of the hash */
    size_t memory;           /* bytes held */
    bool views;              /* set after init: bytes are not copied, because the keys outlive the table */
};

void ts_intern_init(struct ts_intern *table);
void ts_intern_deinit(struct ts_intern *table); /* twice is safe */

/* True: it is in the table, and ret_id is its number. */
bool ts_intern_find(const struct ts_intern *table, const struct ts_location *key, uint32_t *ret_id);
/* Finds or adds. TS_ENOMEM: the table is unchanged. */
int ts_intern_add(struct ts_intern *table, const struct ts_location *key, uint32_t *ret_id) TS_MUST_USE;

/*
 * A table with a bound. Once it has max locations, a new one is replaced: by its raw name without file and line, if
 * that name is known; else by the overflow name. The table has at most 2 * max + 1 locations.
 */
struct ts_bounded {
    struct ts_intern table;
    struct ts_intern names; /* raw names of the first `named` locations; only updated when the table is full */
    uint32_t named;
    const char *overflow; /* the raw name for everything else */
    uint32_t max;
};

void ts_bounded_init(struct ts_bounded *bounded, uint32_t max, const char *overflow);
void ts_bounded_deinit(struct ts_bounded *bounded);
int ts_bounded_add(struct ts_bounded *bounded, const struct ts_location *key, uint32_t *ret_id) TS_MUST_USE;
/* Adds regardless of the bound, for what is stored already. */
int ts_bounded_load(struct ts_bounded *bounded, const struct ts_location *key, uint32_t *ret_id) TS_MUST_USE;
bool ts_bounded_full(const struct ts_bounded *bounded);
size_t ts_bounded_memory(const struct ts_bounded *bounded);

/* The function of a raw name: the name without leading underscores, as by str.lstrip("_"). */
struct ts_str ts_function_name(struct ts_str raw_name);

#endif
