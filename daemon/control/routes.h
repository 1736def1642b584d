/* From a request to a reply: Host, target, path, method, parameters; what takes time is passed to queries or admin. */
#ifndef TSD_CONTROL_ROUTES_H
#define TSD_CONTROL_ROUTES_H

#include "daemon/base/state.h"
#include "daemon/control/admin.h"
#include "daemon/control/http.h"
#include "daemon/control/queries.h"
#include "daemon/ingest/rejects.h"

struct tsd_routes {
    struct tsd_state *state;
    struct tsd_rejects *rejects;
    struct tsd_queries *queries;
    struct tsd_admin *admin;
    char *allowed_hosts; /* names separated by spaces or commas */
};

/* The callbacks of struct tsd_http_config; data is a struct tsd_routes. */
void tsd_routes_request(void *data, struct tsd_request *client);
void tsd_routes_gone(void *data, struct tsd_request *client);

#endif
