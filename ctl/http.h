/*
 * One request to the daemon, over its Unix socket or a URL, with libcurl. What it answers goes to a sink as it comes
 * and is not held: an answer may be longer than memory. What is no answer (any status but 200) is a few words, and
 * kept. The connection stays open between requests.
 *
 * An answer is whole where its length or its last chunk came. One that breaks off, or from whose form the end cannot be
 * told, is CTL_HTTP_BROKEN, whatever the sink has taken by then.
 */
#ifndef CTL_HTTP_H
#define CTL_HTTP_H

#include "ctl/text.h"

#include <stdint.h>

struct ctl_http {
    void *curl;
    const char *socket; /* borrowed; NULL: url */
    const char *url;
    /* of the request under way */
    const struct ctl_sink *sink;
    struct ctl_text *refusal;
    uint64_t received; /* bytes of a 200 answer */
    bool stopped;      /* by the sink */
};

struct ctl_request {
    const char *method, *path, *query;
    long patience; /* seconds without a byte after which nobody is thought to answer any more; 0: a minute */
};

struct ctl_sink {
    /* Some more of a 200 answer. 0, or -1 to end the transfer: the sink keeps the reason. */
    int (*take)(void *data, const char *bytes, size_t len);
    void *data;
};

enum ctl_http_result {
    CTL_HTTP_ANSWERED,  /* with the status; the sink has had the whole body where it is 200 */
    CTL_HTTP_UNREACHED, /* nothing was heard */
    CTL_HTTP_BROKEN,
    CTL_HTTP_STOPPED, /* by the sink; problem is untouched */
    CTL_HTTP_BAD_URL,
    CTL_HTTP_MEMORY,
};

int ctl_http_init(struct ctl_http *http, const char *socket, const char *url); /* 0, or -1 out of memory */
void ctl_http_deinit(struct ctl_http *http);

/* refusal: the beginning of the body where the status is not 200. problem: in words with what to do, where the result
 * is none of the first and STOPPED. */
enum ctl_http_result ctl_http_request(struct ctl_http *http, const struct ctl_request *request,
                                      const struct ctl_sink *sink, long *ret_status, struct ctl_text *refusal,
                                      struct ctl_text *problem);

/* While a sink takes: how long the whole answer will be, or -1 where the daemon does not know. */
int64_t ctl_http_length(const struct ctl_http *http);

#endif
