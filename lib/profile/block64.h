/*
 * 64 bytes at once, for the fast path: finds the end of a string and compares two strings, without a branch that
 * depends on the length. Both functions may read 64 bytes from their arguments on, whatever the length.
 *
 * AVX-512BW, AVX2, SSE2 or NEON, depending on the flags of the including file; else, or with TS_PORTABLE, plain C.
 */
#ifndef TS_PROFILE_BLOCK64_H
#define TS_PROFILE_BLOCK64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { TS_BLOCK = 64 };

#if defined(TS_PORTABLE)
#define TS_BLOCK_PLAIN 1
#elif defined(__AVX512BW__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#else
#define TS_BLOCK_PLAIN 1
#endif

/*
 * Special bytes end the plain part of a string: a quote, a backslash, a control character, and any byte beyond ASCII.
 * As signed numbers the last two kinds are below the space.
 */
#if defined(TS_BLOCK_PLAIN)

static inline bool ts_special(char c)
{
    return c == '"' || c == '\\' || (unsigned char)c < ' ' || (unsigned char)c >= 0x80;
}

static inline unsigned ts_plain64(const char *p)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t tops = ones << 7;
    unsigned n = 0;
    for (; n < TS_BLOCK; n += 8) {
        uint64_t word;
        memcpy(&word, p + n, 8);
        /* x - 1 sets the top bit of a byte that is 0. It may also set that of the next byte: the loop ends anyway. */
        uint64_t quote = word ^ ones * '"';
        uint64_t backslash = word ^ ones * '\\';
        if ((word | (word - ones * ' ') | (quote - ones) | (backslash - ones)) & tops)
            break;
    }
    while (n < TS_BLOCK && !ts_special(p[n]))
        n++;
    return n;
}

static inline bool ts_same64(const char *a, const char *b, size_t len)
{
    return memcmp(a, b, len) == 0;
}

#else

/* Bit i: byte i is special; bit i: byte i differs. */
#if defined(__AVX512BW__)

static inline uint64_t ts_specials(const char *p)
{
    __m512i bytes = _mm512_loadu_si512((const void *)p);
    return _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('"')) |
           _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('\\')) | _mm512_cmplt_epi8_mask(bytes, _mm512_set1_epi8(' '));
}

static inline uint64_t ts_differ(const char *a, const char *b)
{
    return _mm512_cmpneq_epi8_mask(_mm512_loadu_si512((const void *)a), _mm512_loadu_si512((const void *)b));
}

#elif defined(__AVX2__)

static inline uint64_t ts_specials32(const char *p)
{
    __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)p);
    __m256i special = _mm256_or_si256(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('"')),
                                      _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\\')));
    special = _mm256_or_si256(special, _mm256_cmpgt_epi8(_mm256_set1_epi8(' '), bytes));
    return (uint32_t)_mm256_movemask_epi8(special);
}

static inline uint64_t ts_specials(const char *p)
{
    return ts_specials32(p) | ts_specials32(p + 32) << 32;
}

static inline uint64_t ts_differ32(const char *a, const char *b)
{
    __m256i equal = _mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)(const void *)a),
                                      _mm256_loadu_si256((const __m256i *)(const void *)b));
    return (uint32_t)~_mm256_movemask_epi8(equal);
}

static inline uint64_t ts_differ(const char *a, const char *b)
{
    return ts_differ32(a, b) | ts_differ32(a + 32, b + 32) << 32;
}

#elif defined(__SSE2__)

static inline uint64_t ts_specials16(const char *p)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i special =
        _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
    special = _mm_or_si128(special, _mm_cmplt_epi8(bytes, _mm_set1_epi8(' ')));
    return (uint16_t)_mm_movemask_epi8(special);
}

static inline uint64_t ts_specials(const char *p)
{
    return ts_specials16(p) | ts_specials16(p + 16) << 16 | ts_specials16(p + 32) << 32 | ts_specials16(p + 48) << 48;
}

static inline uint64_t ts_differ16(const char *a, const char *b)
{
    __m128i equal = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)a),
                                   _mm_loadu_si128((const __m128i *)(const void *)b));
    return (uint16_t)~_mm_movemask_epi8(equal);
}

static inline uint64_t ts_differ(const char *a, const char *b)
{
    return ts_differ16(a, b) | ts_differ16(a + 16, b + 16) << 16 | ts_differ16(a + 32, b + 32) << 32 |
           ts_differ16(a + 48, b + 48) << 48;
}

#else /* NEON has no movemask: each lane keeps one bit, and three pairwise additions combine them */

static inline uint64_t ts_gather(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d)
{
    static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t bit = vld1q_u8(weights);
    uint8x16_t low = vpaddq_u8(vandq_u8(a, bit), vandq_u8(b, bit));
    uint8x16_t high = vpaddq_u8(vandq_u8(c, bit), vandq_u8(d, bit));
    uint8x16_t all = vpaddq_u8(low, high);
    all = vpaddq_u8(all, all);
    return vgetq_lane_u64(vreinterpretq_u64_u8(all), 0);
}

static inline uint8x16_t ts_specials16(const char *p)
{
    uint8x16_t bytes = vld1q_u8((const uint8_t *)p);
    uint8x16_t special = vorrq_u8(vceqq_u8(bytes, vdupq_n_u8('"')), vceqq_u8(bytes, vdupq_n_u8('\\')));
    return vorrq_u8(special, vcltq_s8(vreinterpretq_s8_u8(bytes), vdupq_n_s8(' ')));
}

static inline uint64_t ts_specials(const char *p)
{
    return ts_gather(ts_specials16(p), ts_specials16(p + 16), ts_specials16(p + 32), ts_specials16(p + 48));
}

static inline uint8x16_t ts_differ16(const char *a, const char *b)
{
    return vmvnq_u8(vceqq_u8(vld1q_u8((const uint8_t *)a), vld1q_u8((const uint8_t *)b)));
}

static inline uint64_t ts_differ(const char *a, const char *b)
{
    return ts_gather(ts_differ16(a, b), ts_differ16(a + 16, b + 16), ts_differ16(a + 32, b + 32),
                     ts_differ16(a + 48, b + 48));
}

#endif

static inline unsigned ts_plain64(const char *p)
{
    uint64_t specials = ts_specials(p);
    return specials ? (unsigned)__builtin_ctzll(specials) : TS_BLOCK;
}

static inline bool ts_same64(const char *a, const char *b, size_t len)
{
    if (len >= TS_BLOCK)
        return memcmp(a, b, len) == 0;
    return (ts_differ(a, b) & ((UINT64_C(1) << len) - 1)) == 0;
}

#endif

#endif
