/*
 * UTF-8 text on a terminal: display width, escaping, cutting and wrapping.
 * Names are untrusted, because anyone who can send a message chooses them: ctl_clean makes them harmless for a
 * terminal. "Clean" below means that a text has been through ctl_clean, or is our own.
 */
#ifndef CTL_DISPLAY_H
#define CTL_DISPLAY_H

#include "ctl/base/text.h"

#include <stddef.h>
#include <stdint.h>

/* Decodes the first code point of text (len > 0) and returns its bytes. Invalid UTF-8: 1, with *ret_point = -1. */
size_t ctl_decode(const char *text, size_t len, int32_t *ret_point);
/* Display columns of a code point: 0, 1 or 2. */
int ctl_point_width(int32_t point);
/* Display columns of a clean text. */
int ctl_width(const char *clean);

/* Appends text with everything escaped that a terminal may interpret: control characters, invalid UTF-8, and marks that
 * change the direction of writing. */
void ctl_clean(struct ctl_text *out, const char *text);

enum ctl_cut { CTL_CUT_END, CTL_CUT_MIDDLE, CTL_CUT_START };
/* Appends a clean text, cut with … to at most width columns. Returns its columns. */
int ctl_fit(struct ctl_text *out, const char *clean, int width, enum ctl_cut cut);
/* Appends a clean text as indented lines of at most width columns, broken at spaces if there are any. */
void ctl_wrap(struct ctl_text *out, const char *clean, int width, int indent);

#endif
