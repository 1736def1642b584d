/* From a request to a reply: Host, target, path, method, parameters; what takes time goes to daemon/answer. */
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
    struct tsd_answers *answers;
    struct tsd_chores *chores;
    char *allowed_hosts; /* names separated by spaces or commas */
};

/* The callbacks of struct tsd_http_config; data is a struct tsd_routes. */
void tsd_routes_request(void *data, struct tsd_client *client);
void tsd_routes_gone(void *data, struct tsd_client *client);

#endif
