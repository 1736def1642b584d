/*
 * Patterns for function names, as in Python's fnmatch.fnmatchcase: * ? [seq] [!seq], by code points, matching the
 * complete name; dots, slashes and backslashes are ordinary characters.
 *
 * A pattern is compiled once. Matching backtracks to the last star only, so any pattern needs at most (length of the
 * pattern) x (length of the name) steps.
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

/* TS_EINVAL if the pattern is not UTF-8 or too long, TS_ENOMEM. */
int ts_glob_compile(struct ts_str pattern, struct ts_glob *ret_glob) TS_MUST_USE;
void ts_glob_deinit(struct ts_glob *glob); /* twice is safe */
bool ts_glob_match(const struct ts_glob *glob, struct ts_str name);

/* The code point at *at; moves *at past it. UINT32_MAX for a byte that is not UTF-8; only that byte is skipped. */
uint32_t ts_utf8_next(const char **at, const char *end);

#endif
