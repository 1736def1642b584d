/*
 * Strings to small integers.
 *
 * A location is (raw name, file name, line number); its number is its place in the order of arrival, from 0. The bytes
 * are copied once, into blocks that never move, each string with TS_INTERN_SLACK readable bytes behind it, so a view of
 * an interned string stays good until deinit or clear, and another thread may read it once the number was handed to it.
 * A label set is interned by the same table: its canonical JSON is the raw name.
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
    uint32_t hash;           /* the table's own */
};

struct ts_block; /* private */
SLIST_HEAD(ts_blocks, ts_block);

struct ts_intern {
    struct ts_location *items; /* n; the array moves when it grows, the bytes it points at do not */
    uint32_t n;
    size_t cap;
    uint32_t *slots; /* item + 1, 0 = free; open addressing, a power of two */
    uint32_t n_slots;
    struct ts_blocks blocks; /* the first one has room */
    struct ts_str files[64]; /* file names that were copied last */
    uint64_t seed;           /* of the hash */
    size_t memory;           /* bytes held */
    bool views;              /* set right after init: bytes are not copied, the keys' own outlive the table */
};

void ts_intern_init(struct ts_intern *table);
void ts_intern_deinit(struct ts_intern *table); /* twice is safe */

/* True and the number where it is known. */
bool ts_intern_find(const struct ts_intern *table, const struct ts_location *key, uint32_t *ret_id);
/* Finds or adds. TS_ENOMEM leaves the table as it was. */
int ts_intern_add(struct ts_intern *table, const struct ts_location *key, uint32_t *ret_id) TS_MUST_USE;

/*
 * A table with a bound and the contract's named overflow: with max locations known, a new one loses its file and line
 * where its raw name is known already, else its name too, and becomes (overflow). The table holds 2 * max + 1 at most.
 */
struct ts_bounded {
    struct ts_intern table;
    struct ts_intern names; /* raw names of the table's first `named`; kept up only while the table is full */
    uint32_t named;
    const char *overflow; /* the raw name that all the rest is summed under */
    uint32_t max;
};

void ts_bounded_init(struct ts_bounded *bounded, uint32_t max, const char *overflow);
void ts_bounded_deinit(struct ts_bounded *bounded);
int ts_bounded_add(struct ts_bounded *bounded, const struct ts_location *key, uint32_t *ret_id) TS_MUST_USE;
/* Adds without regard to the bound: what the store holds already. */
int ts_bounded_load(struct ts_bounded *bounded, const struct ts_location *key, uint32_t *ret_id) TS_MUST_USE;
bool ts_bounded_full(const struct ts_bounded *bounded);
size_t ts_bounded_memory(const struct ts_bounded *bounded);

/* The function of a raw name: without its leading underscores, as str.lstrip("_"). */
struct ts_str ts_function_name(struct ts_str raw_name);

#endif
