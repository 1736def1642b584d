/*
 * Where answers go: kept, where they are to be laid out; to standard output as they come, where they are to be passed
 * on; or both. Both are sinks of http.h. A failure is kept in words, which stay empty where the reader has gone
 * (EPIPE): then nobody wants to know.
 */
#ifndef CTL_OUTPUT_H
#define CTL_OUTPUT_H

#include "ctl/http.h"
#include "ctl/text.h"

#include <stdbool.h>

/* Writes all to standard output: 0, or -1 with the problem. */
int ctl_write(const char *bytes, size_t len, struct ctl_text *problem);

struct ctl_output {
    bool pass;               /* to standard output */
    const char *first;       /* passed on before the first byte; may be NULL */
    struct ctl_text *keep;   /* NULL: nothing is kept */
    size_t keep_max;         /* more than this is a failure */
    struct ctl_text problem; /* owned */
    bool began;
    char last; /* byte passed on */
};

struct ctl_sink ctl_output_sink(struct ctl_output *output);
void ctl_output_deinit(struct ctl_output *output);

#endif
