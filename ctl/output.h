/*
 * A sink (http.h) for responses: keeps them, passes them on to standard output while they arrive, or both. A failure
 * leaves a message, except when the reader of standard output has closed it (EPIPE).
 */
#ifndef CTL_OUTPUT_H
#define CTL_OUTPUT_H

#include "ctl/base/text.h"
#include "ctl/http.h"

#include <stdbool.h>

/* Writes all bytes: 0, or -1 with errno. */
int ctl_write_all(int fd, const char *bytes, size_t len);
/* The same to standard output: 0, or -1 with a message in problem, none for EPIPE. */
int ctl_write(const char *bytes, size_t len, struct ctl_text *problem);

struct ctl_output {
    bool pass;               /* to standard output */
    const char *first;       /* written before the first byte; may be NULL */
    struct ctl_text *keep;   /* NULL: do not keep */
    size_t keep_max;         /* more bytes are a failure */
    struct ctl_text problem; /* owned */
    bool began;
    char last; /* the last byte passed on */
};

struct ctl_sink ctl_output_sink(struct ctl_output *output);
void ctl_output_deinit(struct ctl_output *output);

#endif
