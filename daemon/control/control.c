/*
 * Puts the parts together: http twice (Unix socket, TCP), routes over both, queries and admin below them.
 *
 * On close, in this order: no new connections; queries and admin end, which replies to every waiting request; http
 * sends that and closes; the callback.
 */
#include "daemon/control/control.h"

#include "daemon/control/http.h"
#include "daemon/control/routes.h"

#include <stdlib.h>
#include <string.h>

enum { REQUESTS_MAX = 64, PER_ADDRESS_MAX = 32, LISTENERS = 2 };

struct tsd_control {
    struct tsd_http *https[LISTENERS];
    unsigned n_https;
    unsigned n_closed;
    struct tsd_routes routes;
    tsd_control_closed_cb on_closed;
    void *closed_data;
};

static int listen_on(struct tsd_control *control, uv_loop_t *loop, int fd, bool tcp)
{
    if (fd < 0)
        return 0;
    struct tsd_http_config config = {
        .loop = loop,
        .fd = fd,
        .tcp = tcp,
        .max_requests = REQUESTS_MAX,
        .max_per_address = PER_ADDRESS_MAX,
        .stats = &control->routes.state->control,
        .handlers = {.on_request = tsd_routes_request, .on_gone = tsd_routes_gone, .data = &control->routes},
    };
    int rc = tsd_http_start(&config, &control->https[control->n_https]);
    if (!rc)
        control->n_https++;
    return rc;
}

static void on_failed_part_closed(void *data)
{
    struct tsd_control *control = data;
    if (control->n_closed++ == control->n_https + 1)
        tsd_control_free(control);
}

/* There are no requests yet, so all is closed at once; memory is freed a turn of the loop later. */
static void abort_start(struct tsd_control *control)
{
    for (unsigned i = 0; i < control->n_https; i++) {
        tsd_http_disown(control->https[i]);
        tsd_http_close(control->https[i], on_failed_part_closed, control);
    }
    if (control->routes.admin)
        tsd_admin_close(control->routes.admin, on_failed_part_closed, control);
    tsd_queries_close(control->routes.queries, on_failed_part_closed, control);
}

int tsd_control_start(const struct tsd_control_config *config, struct tsd_control **ret_control)
{
    struct tsd_control *control = calloc(1, sizeof(*control));
    if (!control)
        return TS_ENOMEM;
    control->routes.state = config->state;
    control->routes.rejects = config->rejects;
    int rc = tsd_control_set_allowed_hosts(control, config->allowed_hosts);
    if (!rc)
        rc = tsd_queries_start(config->loop, config->state, config->writer, &control->routes.queries);
    if (!rc) {
        rc = tsd_admin_start(config->loop, config->state, config->writer, &control->routes.admin);
        if (rc) {
            control->n_closed++; /* there are none to close */
            abort_start(control);
            return rc;
        }
    }
    if (rc) {
        tsd_control_free(control);
        return rc;
    }
    rc = listen_on(control, config->loop, config->unix_fd, false);
    if (!rc)
        rc = listen_on(control, config->loop, config->http_fd, true);
    if (rc) {
        abort_start(control);
        return rc;
    }
    *ret_control = control;
    return 0;
}

int tsd_control_set_allowed_hosts(struct tsd_control *control, const char *allowed_hosts)
{
    char *copy = strdup(allowed_hosts ? allowed_hosts : "");
    if (!copy)
        return TS_ENOMEM;
    free(control->routes.allowed_hosts);
    control->routes.allowed_hosts = copy;
    return 0;
}

static void on_http_closed(void *data)
{
    struct tsd_control *control = data;
    if (++control->n_closed == control->n_https)
        control->on_closed(control->closed_data);
}

static void on_admin_closed(void *data)
{
    struct tsd_control *control = data;
    if (!control->n_https) {
        control->on_closed(control->closed_data);
        return;
    }
    for (unsigned i = 0; i < control->n_https; i++)
        tsd_http_close(control->https[i], on_http_closed, control);
}

static void on_queries_closed(void *data)
{
    struct tsd_control *control = data;
    tsd_admin_close(control->routes.admin, on_admin_closed, control);
}

void tsd_control_close(struct tsd_control *control, tsd_control_closed_cb cb, void *data)
{
    control->on_closed = cb;
    control->closed_data = data;
    for (unsigned i = 0; i < control->n_https; i++)
        tsd_http_stop(control->https[i]);
    tsd_queries_close(control->routes.queries, on_queries_closed, control);
}

struct tsd_control *tsd_control_free(struct tsd_control *control)
{
    if (!control)
        return NULL;
    for (unsigned i = 0; i < control->n_https; i++)
        tsd_http_free(control->https[i]);
    tsd_queries_free(control->routes.queries);
    tsd_admin_free(control->routes.admin);
    free(control->routes.allowed_hosts);
    free(control);
    return NULL;
}
