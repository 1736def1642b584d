/*
 * HTTP/1.1 on one listening socket, on libuv's loop: libmicrohttpd parses and formats, without a thread of its own.
 *
 * A connection has at most one request at a time. It is handed over once it is whole and stays with the receiver until
 * tsd_request_reply(), called at once or at any later time, or until on_gone: exactly one of the two. All on the loop.
 */
#ifndef TSD_CONTROL_HTTP_H
#define TSD_CONTROL_HTTP_H

#include "daemon/control/reply.h"

#include <uv.h>

struct tsd_http;
struct tsd_request;

struct tsd_http_config {
    uv_loop_t *loop;
    int fd;   /* listening, non-blocking; http's own from a successful start on */
    bool tcp; /* what tsd_request_tcp() says */
    unsigned max_requests;
    void (*on_request)(void *data, struct tsd_request *request);
    void (*on_gone)(void *data, struct tsd_request *request); /* the peer left while it waited; no reply any more */
    void *data;
};

/* TS_ENOMEM, or TS_EINVAL where libmicrohttpd or libuv refuses the descriptor. Frees itself a turn of the loop later
 * where handles were open already. */
int tsd_http_start(const struct tsd_http_config *config, struct tsd_http **ret_http) TS_MUST_USE;
/* Gives the descriptor back: it stays open at close. */
void tsd_http_disown(struct tsd_http *http);
/* Takes no new connections from here on. */
void tsd_http_stop(struct tsd_http *http);
/* Sends what it can without waiting and closes all. No request may be with the receiver. The callback may free. */
void tsd_http_close(struct tsd_http *http, void (*cb)(void *data), void *data);
struct tsd_http *tsd_http_free(struct tsd_http *http);

bool tsd_request_tcp(const struct tsd_request *request);
const char *tsd_request_method(const struct tsd_request *request);
const char *tsd_request_target(const struct tsd_request *request); /* as sent: "/path?query", not decoded */
/* The one Host header; NULL where there is none, or more than one. */
const char *tsd_request_host(const struct tsd_request *request);
/* For the receiver, NULL when a request is handed over. */
void tsd_request_set_data(struct tsd_request *request, void *data);
void *tsd_request_data(const struct tsd_request *request);
/* Takes the reply. */
void tsd_request_reply(struct tsd_request *request, const struct tsd_reply *reply);

#endif
