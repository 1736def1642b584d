/* Classes of ASCII characters, independent of the locale. */
#ifndef TS_BASE_ASCII_H
#define TS_BASE_ASCII_H

#include <stdbool.h>

static inline bool ts_is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

static inline bool ts_is_letter(char c)
{
    return (unsigned char)((c | 0x20) - 'a') < 26;
}

#endif
