/*
 * A request on the control socket, and the connection it comes on. A connection has one request at a time. The request
 * is passed to the receiver when it is complete and stays with it until tsd_request_reply(), called at once or later,
 * or until on_gone: exactly one of the two. All on the loop.
 *
 *     RECEIVING -> WORKING -> SENDING -> IDLE -> RECEIVING ... -> closed
 *
 * Each phase has a deadline that single bytes do not extend (libmicrohttpd's timeout restarts with every byte); a sweep
 * shuts down the socket of whoever exceeds it. WORKING has none: the receiver bounds it.
 */
#ifndef TSD_CONTROL_REQUEST_H
#define TSD_CONTROL_REQUEST_H

#include "daemon/control/reply.h"

#include <sys/queue.h>
#include <uv.h>

struct tsd_request;

struct tsd_request_handlers {
    void (*on_request)(void *data, struct tsd_request *request);
    void (*on_gone)(void *data, struct tsd_request *request); /* the peer left while it waited; no reply is possible */
    void *data;
};

bool tsd_request_tcp(const struct tsd_request *request);
const char *tsd_request_method(const struct tsd_request *request);
const char *tsd_request_target(const struct tsd_request *request); /* as sent: "/path?query", not decoded */
/* The Host header; NULL if there is none or more than one, or if it was sent with a NUL byte. */
const char *tsd_request_host(const struct tsd_request *request);
/* For the receiver; NULL when a request is passed to it. */
void tsd_request_set_data(struct tsd_request *request, void *data);
void *tsd_request_data(const struct tsd_request *request);
/* Takes the reply. */
void tsd_request_reply(struct tsd_request *request, struct tsd_reply *reply);

#endif
