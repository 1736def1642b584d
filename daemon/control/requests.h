/* The requests and connections of one listener, for daemon/control/http.c: the callbacks of libmicrohttpd. */
#ifndef TSD_CONTROL_REQUESTS_H
#define TSD_CONTROL_REQUESTS_H

#include "daemon/base/stats.h"
#include "daemon/control/request.h"

#include <microhttpd.h>

struct tsd_requests {
    uv_loop_t *loop;
    bool tcp;
    unsigned max_per_address; /* requests in progress */
    struct tsd_control_stats *stats;
    struct tsd_request_handlers handlers;
    /* Started when libmicrohttpd has to run soon, because a connection was resumed. */
    uv_timer_t *run_timer;
    uv_timer_cb on_run_timer;
    LIST_HEAD(, tsd_request) list;
    unsigned n;
};

/* A connection was accepted. NULL: out of memory. */
struct tsd_request *tsd_request_new(struct tsd_requests *requests, struct MHD_Connection *connection);
struct tsd_request *tsd_request_free(struct tsd_request *request);

/* Shuts down connections that exceeded a deadline, and ends requests whose peer has left. Call once a second. */
void tsd_requests_sweep(struct tsd_requests *requests);
/* Closes the oldest connection that has had time to send a complete request and has not, or else the one that has been
 * idle longest. None if an earlier one is about to close, or if all others are in use. */
void tsd_requests_make_room(struct tsd_requests *requests);

/* MHD_OPTION_URI_LOG_CALLBACK: the request line was received. */
void *tsd_requests_on_target(void *data, const char *target, struct MHD_Connection *connection);
/* MHD_AccessHandlerCallback. */
enum MHD_Result tsd_requests_on_access(void *data, struct MHD_Connection *connection, const char *url,
                                       const char *method, const char *version, const char *upload, size_t *upload_size,
                                       void **context);
/* MHD_RequestCompletedCallback. */
void tsd_requests_on_completed(void *data, struct MHD_Connection *connection, void **context,
                               enum MHD_RequestTerminationCode code);

#endif
