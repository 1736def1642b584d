/*
 * One request to the daemon, over its Unix socket or a URL, with libcurl. The answer is bounded: a stranger on the
 * other end cannot take all memory. The connection is kept between the rounds of --watch.
 */
#ifndef CTL_HTTP_H
#define CTL_HTTP_H

#include "ctl/text.h"

struct ctl_http {
    void *curl;
    const char *socket; /* borrowed; NULL: url */
    const char *url;
};

enum { CTL_ANSWER_MAX = 256 << 20 };

int ctl_http_init(struct ctl_http *http, const char *socket, const char *url); /* 0, or -1 out of memory */
void ctl_http_deinit(struct ctl_http *http);

/* 0 with the status and the body, whatever the status; else an exit code, and the problem in words with what to do. */
int ctl_http_request(struct ctl_http *http, const char *method, const char *path, const char *query,
                     struct ctl_text *body, long *ret_status, struct ctl_text *problem);

#endif
