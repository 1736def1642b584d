/*
 * HTTP/1.1 on one listening socket, on libuv's loop: libmicrohttpd parses and formats, without a thread of its own.
 */
#ifndef TSD_CONTROL_HTTP_H
#define TSD_CONTROL_HTTP_H

#include "daemon/control/request.h"

struct tsd_http;

struct tsd_http_config {
    uv_loop_t *loop;
    int fd;   /* listening, non-blocking; owned by http after a successful start */
    bool tcp; /* what tsd_request_tcp() returns */
    unsigned max_requests;
    unsigned max_per_address; /* requests in progress; TCP only */
    struct tsd_control_stats *stats;
    struct tsd_request_handlers handlers;
};

/* TS_ENOMEM; TS_EINVAL if libmicrohttpd or libuv rejects the descriptor. If handles were open already it frees itself a
 * turn of the loop later. */
int tsd_http_start(const struct tsd_http_config *config, struct tsd_http **ret_http) TS_MUST_USE;
/* Gives the descriptor back: it stays open at close. */
void tsd_http_disown(struct tsd_http *http);
/* Accepts no more connections. */
void tsd_http_stop(struct tsd_http *http);
/* Sends what it can without waiting, and closes. The receiver must have no request. The callback may free. */
void tsd_http_close(struct tsd_http *http, void (*cb)(void *data), void *data);
struct tsd_http *tsd_http_free(struct tsd_http *http);

#endif
