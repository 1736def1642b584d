/* A reply as a response of libmicrohttpd. */
#ifndef TSD_CONTROL_RESPONSE_H
#define TSD_CONTROL_RESPONSE_H

#include "daemon/control/reply.h"

#include <microhttpd.h>

/*
 * Takes the reply. The caller queues the response and destroys it; NULL: out of memory. Bytes of a body that is sent in
 * pieces are added to *sent, which must stay until the response is freed.
 */
struct MHD_Response *tsd_response_new(struct tsd_reply *reply, uint64_t *sent, unsigned *ret_status);

#endif
