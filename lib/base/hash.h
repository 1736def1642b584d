/*
 * Two hashes for tables in memory: fast, and seeded for each table, so that a sender who knows the code cannot choose
 * keys that collide. The seed is derived from the table's address, which the kernel randomises: lib has no clock and no
 * globals. The mixing follows wyhash (Wang Yi): multiply 64 x 64 to 128 bits, and fold.
 */
#ifndef TS_BASE_HASH_H
#define TS_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t ts_hash_seed(const void *table)
{
    return ((uint64_t)(uintptr_t)table >> 4) * UINT64_C(0x9E3779B97F4A7C15);
}

static inline uint64_t ts_hash_mix(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t ts_hash_load(const char *bytes, size_t len)
{
    uint64_t word = 0;
    memcpy(&word, bytes, len);
    return word;
}

static inline uint64_t ts_hash_bytes(const char *bytes, size_t len, uint64_t seed)
{
    uint64_t hash = seed ^ len * UINT64_C(0x9E3779B97F4A7C15);
    for (; len >= 16; bytes += 16, len -= 16)
        hash = ts_hash_mix(ts_hash_load(bytes, 8) ^ UINT64_C(0xA0761D6478BD642F), ts_hash_load(bytes + 8, 8) ^ hash);
    uint64_t low = 0;
    uint64_t high = 0;
    if (len >= 8) {
        low = ts_hash_load(bytes, 8);
        high = ts_hash_load(bytes + len - 8, 8);
    } else if (len >= 4) {
        low = ts_hash_load(bytes, 4);
        high = ts_hash_load(bytes + len - 4, 4);
    } else if (len) {
        low = ts_hash_load(bytes, len);
    }
    return ts_hash_mix(ts_hash_mix(low ^ UINT64_C(0xE7037ED1A0B428DB), high ^ hash),
                       UINT64_C(0x8EBC6AF09C88C6E3) ^ len);
}

static inline uint64_t ts_hash_key(int64_t bucket, uint32_t labels, uint32_t location, uint64_t seed)
{
    return ts_hash_mix((uint64_t)bucket ^ UINT64_C(0xA0761D6478BD642F) ^ seed,
                       ((uint64_t)labels << 32 | location) ^ UINT64_C(0xE7037ED1A0B428DB));
}

#endif
