/*
 * Finds the end of the plain part of a string, in which the parser and the fast path of the decoder spend most of their
 * time. 16 bytes at a time with SSE2, else 8.
 */
#ifndef TS_BASE_JSON_SCAN_H
#define TS_BASE_JSON_SCAN_H

#include <stdint.h>
#include <string.h>
#if defined(__SSE2__) && !defined(TS_PORTABLE) /* the tests run both variants */
#include <emmintrin.h>
#define TS_HAVE_SSE2 1
#endif

/* The first byte that is a quote, a backslash, a control character or beyond ASCII; end if there is none. */
static inline const char *ts_json_scan(const char *p, const char *end)
{
#ifdef TS_HAVE_SSE2
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(' ');
    for (; end - p >= 16; p += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
        /* As signed numbers both the control characters and the bytes from 0x80 are below the space. */
        __m128i stop = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
                                    _mm_cmplt_epi8(bytes, space));
        unsigned mask = (unsigned)_mm_movemask_epi8(stop);
        if (mask)
            return p + __builtin_ctz(mask);
    }
#else
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t tops = ones << 7;
    for (; end - p >= 8; p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        /* x - 1 sets the top bit of a byte that is 0. It may also set that of the next byte: the loop ends anyway. */
        uint64_t quote = word ^ ones * '"';
        uint64_t backslash = word ^ ones * '\\';
        if ((word | (word - ones * ' ') | (quote - ones) | (backslash - ones)) & tops)
            break;
    }
#endif
    while (p < end && (unsigned char)*p >= ' ' && (unsigned char)*p < 0x80 && *p != '"' && *p != '\\')
        p++;
    return p;
}

#endif
