/*
 * Growable text with a sticky failure: append as often as needed, check `failed` once at the end.
 * A screen is assembled in one of these and written at once, so --watch does not flicker and a failed write is noticed
 * in one place.
 */
#ifndef CTL_TEXT_H
#define CTL_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct ctl_text {
    char *data; /* terminated; NULL until something is appended */
    size_t len;
    size_t cap;
    bool failed; /* an allocation failed; later appends are dropped */
};

void ctl_text_deinit(struct ctl_text *text); /* safe to call twice; the text is empty and usable afterwards */
void ctl_text_reset(struct ctl_text *text);  /* empties and clears `failed`, keeps the memory */
void ctl_text_clear(struct ctl_text *text);  /* empties, keeps the memory and `failed`: for a text reused in a loop */
void ctl_text_append(struct ctl_text *text, const char *bytes, size_t len);
void ctl_text_puts(struct ctl_text *text, const char *string);
void ctl_text_putc(struct ctl_text *text, char byte);
void ctl_text_spaces(struct ctl_text *text, int n);
void ctl_text_printf(struct ctl_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

void ctl_text_vprintf(struct ctl_text *text, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

/* Never NULL. */
const char *ctl_text_str(const struct ctl_text *text);

#endif
