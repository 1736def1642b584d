/*
 * One request to the daemon, over its Unix socket or a URL, with libcurl. The body of a response with status 200 goes
 * to a sink while it arrives and is not kept here: it may exceed the memory. The body of any other response is short,
 * and is kept. The connection stays open between requests.
 *
 * A response is complete if all bytes of its Content-Length arrived, or its last chunk. One that breaks off, or has
 * neither a length nor chunks, is CTL_HTTP_BROKEN, even though the sink has received bytes of it.
 */
#ifndef CTL_HTTP_H
#define CTL_HTTP_H

#include "ctl/base/text.h"

#include <stdint.h>

struct ctl_http {
    void *curl;
    const char *socket; /* borrowed; NULL: url */
    const char *url;
    /* of the current request */
    const struct ctl_sink *sink;
    struct ctl_text *error_body;
    uint64_t received; /* bytes of the body of a 200 response */
    bool stopped;      /* by the sink */
};

struct ctl_request {
    const char *method, *path, *query;
    long timeout; /* timeout in seconds while no byte arrives; 0: a minute */
};

struct ctl_sink {
    /* More bytes of a 200 response. 0, or -1 to end the transfer; the sink keeps the reason. */
    int (*receive)(void *data, const char *bytes, size_t len);
    void *data;
};

enum ctl_http_result {
    CTL_HTTP_DONE,      /* a response; if its status is 200, the sink received the complete body */
    CTL_HTTP_UNREACHED, /* no response */
    CTL_HTTP_BROKEN,
    CTL_HTTP_STOPPED, /* by the sink; problem is unchanged */
    CTL_HTTP_BAD_URL,
    CTL_HTTP_MEMORY,
};

int ctl_http_init(struct ctl_http *http, const char *socket, const char *url); /* 0, or -1 out of memory */
void ctl_http_deinit(struct ctl_http *http);

/* error_body: the beginning of the body if the status is not 200. problem: a message with advice if the result is
 * neither DONE nor STOPPED. */
enum ctl_http_result ctl_http_request(struct ctl_http *http, const struct ctl_request *request,
                                      const struct ctl_sink *sink, long *ret_status, struct ctl_text *error_body,
                                      struct ctl_text *problem);

/* During a transfer: the length of the body, or -1 if the daemon did not send it. */
int64_t ctl_http_length(const struct ctl_http *http);

#endif
