/*
 * Patterns for function names, with the meaning of Python's fnmatch.fnmatchcase: * ? [seq] [!seq] over code points, the
 * whole name, nothing special about dots, slashes or backslashes.
 *
 * A pattern is compiled once. Matching remembers the last star only, so it takes at most (length of the pattern) x
 * (length of the name) steps, whatever the pattern.
 */
#ifndef TS_BASE_GLOB_H
#define TS_BASE_GLOB_H

#include "lib/base/error.h"
#include "lib/base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum { TS_GLOB_MAX = 1024 }; /* bytes of a pattern: as long as the longest name */

struct ts_glob_token;

struct ts_glob {
    struct ts_glob_token *tokens;
    size_t n;
};

/* TS_EINVAL where the pattern is not UTF-8 or too long, TS_ENOMEM. */
int ts_glob_compile(struct ts_str pattern, struct ts_glob *ret_glob) TS_MUST_USE;
void ts_glob_deinit(struct ts_glob *glob); /* twice is safe */
bool ts_glob_match(const struct ts_glob *glob, struct ts_str name);

/* The code point at *at, which moves past it. A byte that is not UTF-8 gives UINT32_MAX and is skipped alone. */
uint32_t ts_utf8_next(const char **at, const char *end);

#endif
