#include "lib/aggregate/intern.h"

#include "lib/base/array.h"
#include "lib/base/hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_SIZE = 64 * 1024 };
#define N_FILES (sizeof(((struct ts_intern *)NULL)->files) / sizeof(struct ts_str))

struct ts_block {
    SLIST_ENTRY(ts_block) entry;
    size_t used;
    size_t size;
    char bytes[];
};

void ts_intern_init(struct ts_intern *table)
{
    *table = (struct ts_intern){.seed = ts_hash_seed(table)};
    SLIST_INIT(&table->blocks);
}

void ts_intern_deinit(struct ts_intern *table)
{
    while (!SLIST_EMPTY(&table->blocks)) {
        struct ts_block *block = SLIST_FIRST(&table->blocks);
        SLIST_REMOVE_HEAD(&table->blocks, entry);
        free(block);
    }
    free(table->items);
    free(table->slots);
    bool views = table->views;
    ts_intern_init(table);
    table->views = views;
}

static uint32_t hash_location(const struct ts_intern *table, const struct ts_location *key)
{
    uint64_t hash = ts_hash_bytes(key->raw_name.data, key->raw_name.len, table->seed ^ (uint32_t)key->line_number);
    if (key->file_name.data)
        hash = ts_hash_bytes(key->file_name.data, key->file_name.len, hash + 1);
    return (uint32_t)(hash ^ hash >> 32);
}

static bool same_str(struct ts_str a, struct ts_str b)
{
    return a.len == b.len && !a.data == !b.data && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* The slot that has the key, or the free one for it. n_slots > 0. */
static uint32_t find_slot(const struct ts_intern *table, const struct ts_location *key, uint32_t hash)
{
    uint32_t mask = table->n_slots - 1;
    uint32_t slot = hash & mask;
    for (; table->slots[slot]; slot = (slot + 1) & mask) {
        const struct ts_location *item = &table->items[table->slots[slot] - 1];
        if (item->hash == hash && item->line_number == key->line_number && same_str(item->raw_name, key->raw_name) &&
            same_str(item->file_name, key->file_name))
            break;
    }
    return slot;
}

bool ts_intern_find(const struct ts_intern *table, const struct ts_location *key, uint32_t *ret_id)
{
    if (!table->n_slots)
        return false;
    uint32_t slot = find_slot(table, key, hash_location(table, key));
    if (!table->slots[slot])
        return false;
    *ret_id = table->slots[slot] - 1;
    return true;
}

static int grow_slots(struct ts_intern *table)
{
    uint32_t n_slots = table->n_slots ? table->n_slots * 2 : 256;
    uint32_t *slots = calloc(n_slots, sizeof(*slots));
    if (!slots)
        return TS_ENOMEM;
    for (uint32_t i = 0; i < table->n; i++) {
        uint32_t slot = table->items[i].hash & (n_slots - 1);
        while (slots[slot])
            slot = (slot + 1) & (n_slots - 1);
        slots[slot] = i + 1;
    }
    free(table->slots);
    table->memory += (size_t)(n_slots - table->n_slots) * sizeof(*slots);
    table->slots = slots;
    table->n_slots = n_slots;
    return 0;
}

static int make_room(struct ts_intern *table, size_t bytes)
{
    int rc = table->n >= table->n_slots / 2 ? grow_slots(table) : 0;
    if (rc)
        return rc;
    size_t cap = table->cap;
    rc = TS_ARRAY_RESERVE(&table->items, &table->cap, (size_t)table->n + 1);
    if (rc)
        return rc;
    table->memory += (table->cap - cap) * sizeof(*table->items);
    if (table->views)
        return 0;
    struct ts_block *block = SLIST_FIRST(&table->blocks);
    if (!block || block->size - block->used < bytes) {
        size_t size = bytes > BLOCK_SIZE ? bytes : BLOCK_SIZE;
        block = malloc(sizeof(*block) + size + TS_INTERN_SLACK);
        if (!block)
            return TS_ENOMEM;
        *block = (struct ts_block){.size = size};
        SLIST_INSERT_HEAD(&table->blocks, block, entry);
        table->memory += sizeof(*block) + size + TS_INTERN_SLACK;
    }
    return 0;
}

static struct ts_str copy_str(struct ts_intern *table, struct ts_str str)
{
    if (!str.data || table->views)
        return str;
    struct ts_block *block = SLIST_FIRST(&table->blocks);
    assert(block->size - block->used >= str.len); /* reserved */
    char *bytes = block->bytes + block->used;
    if (str.len)
        memcpy(bytes, str.data, str.len);
    block->used += str.len;
    return (struct ts_str){bytes, str.len};
}

/* Many functions are in few files: the last file names are stored once. */
static struct ts_str copy_file_name(struct ts_intern *table, struct ts_str name)
{
    if (!name.data)
        return name;
    struct ts_str *kept = &table->files[ts_hash_bytes(name.data, name.len, table->seed) % N_FILES];
    if (!same_str(*kept, name))
        *kept = copy_str(table, name);
    return *kept;
}

int ts_intern_add(struct ts_intern *table, const struct ts_location *key, uint32_t *ret_id)
{
    uint32_t hash = hash_location(table, key);
    if (table->n_slots) {
        uint32_t slot = find_slot(table, key, hash);
        if (table->slots[slot]) {
            *ret_id = table->slots[slot] - 1;
            return 0;
        }
    }
    int rc = make_room(table, key->raw_name.len + key->file_name.len);
    if (rc)
        return rc;
    struct ts_location *item = &table->items[table->n];
    item->raw_name = copy_str(table, key->raw_name);
    item->file_name = copy_file_name(table, key->file_name);
    item->line_number = key->line_number;
    item->hash = hash;
    uint32_t slot = find_slot(table, key, hash);
    table->slots[slot] = ++table->n;
    *ret_id = table->n - 1;
    return 0;
}

void ts_bounded_init(struct ts_bounded *bounded, uint32_t max, const char *overflow)
{
    ts_intern_init(&bounded->table);
    ts_intern_init(&bounded->names);
    bounded->named = 0;
    bounded->max = max;
    bounded->overflow = overflow;
}

void ts_bounded_deinit(struct ts_bounded *bounded)
{
    ts_intern_deinit(&bounded->table);
    ts_intern_deinit(&bounded->names);
    bounded->named = 0;
}

static struct ts_location name_only(struct ts_str raw_name)
{
    return (struct ts_location){.raw_name = raw_name, .line_number = -1};
}

int ts_bounded_load(struct ts_bounded *bounded, const struct ts_location *key, uint32_t *ret_id)
{
    return ts_intern_add(&bounded->table, key, ret_id);
}

/* Adds the names of new locations. Most tables are never full and need none. */
static int learn_names(struct ts_bounded *bounded)
{
    while (bounded->named < bounded->table.n) {
        struct ts_location name = name_only(bounded->table.items[bounded->named].raw_name);
        uint32_t ignored;
        int rc = ts_intern_add(&bounded->names, &name, &ignored);
        if (rc)
            return rc;
        bounded->named++;
    }
    return 0;
}

int ts_bounded_add(struct ts_bounded *bounded, const struct ts_location *key, uint32_t *ret_id)
{
    if (bounded->table.n < bounded->max)
        return ts_intern_add(&bounded->table, key, ret_id);
    if (ts_intern_find(&bounded->table, key, ret_id))
        return 0;
    uint32_t ignored;
    struct ts_location name = name_only(key->raw_name);
    int rc = learn_names(bounded);
    if (rc)
        return rc;
    if (!ts_intern_find(&bounded->names, &name, &ignored))
        name = name_only((struct ts_str){bounded->overflow, strlen(bounded->overflow)});
    return ts_intern_add(&bounded->table, &name, ret_id);
}

bool ts_bounded_full(const struct ts_bounded *bounded)
{
    return bounded->table.n >= bounded->max;
}

size_t ts_bounded_memory(const struct ts_bounded *bounded)
{
    return bounded->table.memory + bounded->names.memory;
}

struct ts_str ts_function_name(struct ts_str raw_name)
{
    while (raw_name.len && *raw_name.data == '_') {
        raw_name.data++;
        raw_name.len--;
    }
    return raw_name;
}
