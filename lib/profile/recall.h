/*
 * The recall cache: recognises locations while a message is read, in front of an intern table.
 *
 * Profiles repeat the same few hundred locations. A cheap key, computed from some bytes of the name, of the file name
 * and from the line, leads to one candidate, which is then compared completely: no hash of all bytes, no search. If two
 * locations have the same key, even on purpose, it costs a miss only; the caller then looks it up in the intern table,
 * whose hash is seeded.
 *
 * For the fast path only: strings must have TS_BLOCK readable bytes from their first one. Those of a message have them
 * there (TS_FAST_MARGIN), and those of the intern table always (TS_INTERN_SLACK).
 */
#ifndef TS_PROFILE_RECALL_H
#define TS_PROFILE_RECALL_H

#include "lib/aggregate/intern.h"
#include "lib/base/hash.h"
#include "lib/profile/block64.h"
#include "lib/profile/profile.h"

struct ts_recall {
    const struct ts_intern *table; /* NULL: no cache */
    uint32_t *recent;              /* number + 1, by key; 0: none */
    uint32_t mask;
};

/* See ts_decoder_recall_from() and ts_decoder_learn(). */
int ts_recall_start(struct ts_recall *recall, const struct ts_intern *table) TS_MUST_USE;
void ts_recall_learn(struct ts_recall *recall, const struct ts_entry *entry, uint32_t number);

/* The first 8 bytes of a string; of a shorter one all of them, shifted to the high end of the word. */
static inline uint64_t ts_recall_word(const char *p, size_t len)
{
    uint64_t word;
    memcpy(&word, p, 8);
    unsigned cut = len < 8 ? 64 - 8 * (unsigned)len : 0;
    return len ? word << cut : 0;
}

/* Never 0. */
static inline uint32_t ts_recall_key(struct ts_str name, struct ts_str file, int32_t line)
{
    uint64_t first = ts_recall_word(name.data, name.len);
    uint64_t second = ts_recall_word(name.data + 8, name.len < 8 ? 0 : name.len - 8);
    uint64_t last = ts_recall_word(name.data + (name.len < 24 ? 16 : name.len - 8), name.len < 16 ? 0 : name.len - 16);
    uint64_t tail = ts_recall_word(file.data + (file.len < 8 ? 0 : file.len - 8), file.len);
    uint64_t hash = ts_hash_mix(first ^ UINT64_C(0xA0761D6478BD642F),
                                (last << 7 | last >> 57) ^ (unsigned)line ^ UINT64_C(0xE7037ED1A0B428DB));
    hash ^= ts_hash_mix(second ^ UINT64_C(0x8EBC6AF09C88C6E3), tail ^ (uint64_t)name.len << 32);
    return (uint32_t)(hash ^ hash >> 32) | 1;
}

/* Sets `recalled` if the location is in the cache, and the key with which it can be learned. */
static inline void ts_recall_find(const struct ts_recall *recall, struct ts_entry *entry)
{
    const struct ts_intern *table = recall->table;
    if (!table || !entry->file_name.data)
        return; /* entries without a file are rare */
    entry->key = ts_recall_key(entry->raw_name, entry->file_name, entry->line_number);
    uint32_t number = recall->recent[entry->key >> 1 & recall->mask];
    if (!number)
        return;
    const struct ts_location *item = &table->items[number - 1];
    if (item->line_number == entry->line_number && item->raw_name.len == entry->raw_name.len && item->file_name.data &&
        item->file_name.len == entry->file_name.len &&
        ts_same64(entry->raw_name.data, item->raw_name.data, entry->raw_name.len) &&
        ts_same64(entry->file_name.data, item->file_name.data, entry->file_name.len))
        entry->recalled = number;
}

#endif
