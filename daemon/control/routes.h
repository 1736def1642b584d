/* From a request to its reply: checks Host, path, method and parameters; passes what takes time to queries or admin. */
#ifndef TSD_CONTROL_ROUTES_H
#define TSD_CONTROL_ROUTES_H

#include "daemon/base/state.h"
#include "daemon/control/admin.h"
#include "daemon/control/queries.h"
#include "daemon/control/request.h"
#include "daemon/ingest/rejects.h"

struct tsd_routes {
    struct tsd_state *state;
    struct tsd_rejects *rejects;
    struct tsd_queries *queries;
    struct tsd_admin *admin;
    char *allowed_hosts; /* names separated by spaces or commas */
};

/* struct tsd_request_handlers; data is a struct tsd_routes. */
void tsd_routes_request(void *data, struct tsd_request *request);
void tsd_routes_gone(void *data, struct tsd_request *request);

#endif
