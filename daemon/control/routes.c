#include "daemon/control/routes.h"

#include "daemon/base/clock.h"
#include "daemon/control/host.h"
#include "daemon/control/metrics.h"
#include "daemon/control/status.h"
#include "daemon/control/url.h"
#include "lib/base/units.h"

#include <stdio.h>
#include <string.h>

/* The request that is being served. */
struct context {
    struct tsd_routes *routes;
    struct tsd_request *request;
    struct tsd_url url;
};

struct route {
    const char *path;
    bool post;       /* otherwise GET and HEAD */
    bool parameters; /* accepts parameters */
    enum ts_query_kind kind;
    void (*serve)(const struct context *context, const struct route *route);
};

static void reply_error(struct tsd_request *request, unsigned status, const char *code, const char *parameter,
                        const char *message)
{
    struct tsd_reply reply;
    tsd_reply_error(status, code, parameter, message, &reply);
    tsd_request_reply(request, &reply);
}

static void reply_query_error(struct tsd_request *request, const struct ts_query_error *error)
{
    struct tsd_reply reply;
    tsd_reply_query_error(error, &reply);
    tsd_request_reply(request, &reply);
}

static void reply_buf(struct tsd_request *request, struct ts_buf *out, unsigned status, const char *type)
{
    struct tsd_reply reply;
    tsd_reply_from_buf(out, status, type, &reply);
    tsd_request_reply(request, &reply);
}

/* ---- Requests that take time ---- */

static void on_reply(void *data, struct tsd_reply *reply)
{
    tsd_request_reply(data, reply);
}

/* The request waits for the job, or is rejected. */
static void wait_for(struct tsd_request *request, struct tsd_job *job, struct tsd_reply *rejection)
{
    if (job)
        tsd_request_set_data(request, job);
    else
        tsd_request_reply(request, rejection);
}

/* NULL: an error was replied. */
static struct ts_query *parse(const struct context *context, const struct route *route)
{
    struct ts_query *query = NULL;
    struct ts_query_error error = {.kind = TS_QUERY_INTERNAL, .message = "out of memory"};
    int rc = ts_query_parse(route->kind, context->url.params, context->url.n_params, &context->routes->state->grid,
                            tsd_clock_wall(), &query, &error);
    if (rc)
        reply_query_error(context->request, &error);
    return rc ? NULL : query;
}

static void serve_query(const struct context *context, const struct route *route)
{
    struct tsd_routes *routes = context->routes;
    struct ts_query *query = parse(context, route);
    if (!query)
        return;
    bool tcp = tsd_request_tcp(context->request);
    struct tsd_query_options options = {.source = tcp ? TSD_FROM_TCP : TSD_FROM_UNIX,
                                        .fresh = ts_query_fresh(query, !tcp)};
    struct tsd_reply rejection;
    struct tsd_job *job = tsd_queries_query(routes->queries, query, &options, on_reply, context->request, &rejection);
    wait_for(context->request, job, &rejection);
}

static void serve_flush(const struct context *context, const struct route *route)
{
    (void)route;
    struct tsd_reply rejection;
    struct tsd_job *job = tsd_queries_flush(context->routes->queries, on_reply, context->request, &rejection);
    wait_for(context->request, job, &rejection);
}

static void serve_backup(const struct context *context, const struct route *route)
{
    (void)route;
    struct tsd_reply rejection;
    struct tsd_job *job = tsd_admin_backup(context->routes->admin, on_reply, context->request, &rejection);
    wait_for(context->request, job, &rejection);
}

static void serve_regrid(const struct context *context, const struct route *route)
{
    const struct tsd_url *url = &context->url;
    int64_t width = 0;
    (void)route;
    const char *value = url->n_params == 1 && !strcmp(url->params[0].name, "time_slice") ? url->params[0].value : NULL;
    if (!value || ts_parse_duration(value, &width) || width <= 0) {
        reply_error(context->request, 400, "bad_parameter", "time_slice",
                    "regrid takes one parameter, time_slice: the width of the new grid, such as 60s");
        return;
    }
    struct tsd_reply rejection;
    struct tsd_job *job = tsd_admin_regrid(context->routes->admin, width, on_reply, context->request, &rejection);
    wait_for(context->request, job, &rejection);
}

static void serve_delete(const struct context *context, const struct route *route)
{
    struct ts_query *query = parse(context, route);
    if (!query)
        return;
    struct tsd_reply rejection;
    struct tsd_job *job = tsd_admin_delete(context->routes->admin, query, on_reply, context->request, &rejection);
    wait_for(context->request, job, &rejection);
}

/* ---- Requests answered at once ---- */

static void serve_status(const struct context *context, const struct route *route)
{
    (void)route;
    struct ts_buf out;
    ts_buf_init(&out);
    tsd_status_write(context->routes->state, &out);
    reply_buf(context->request, &out, 200, TSD_TYPE_JSON);
}

static void serve_rejects(const struct context *context, const struct route *route)
{
    (void)route;
    struct ts_buf out;
    ts_buf_init(&out);
    tsd_rejects_write(context->routes->rejects, &out);
    reply_buf(context->request, &out, 200, TSD_TYPE_JSON);
}

static void serve_metrics(const struct context *context, const struct route *route)
{
    (void)route;
    struct ts_buf out;
    ts_buf_init(&out);
    tsd_metrics_write(context->routes->state, &out);
    reply_buf(context->request, &out, 200, TSD_TYPE_METRICS);
}

static void serve_health(const struct context *context, const struct route *route)
{
    (void)route;
    struct tsd_state *state = context->routes->state;
    char error[sizeof(state->store_error)];
    tsd_state_store_error(state, error, sizeof(error));
    struct ts_buf out;
    ts_buf_init(&out);
    ts_buf_printf(&out, "%s\n", *error ? error : "ok");
    reply_buf(context->request, &out, *error ? 503 : 200, TSD_TYPE_TEXT);
}

/* ---- Routing ---- */

#define NONE TS_QUERY_KINDS
static const struct route routes[] = {
    {"/v1/buckets", false, true, TS_QUERY_BUCKETS, serve_query},
    {"/v1/top", false, true, TS_QUERY_TOP, serve_query},
    {"/v1/diff", false, true, TS_QUERY_DIFF, serve_query},
    {"/v1/functions", false, true, TS_QUERY_FUNCTIONS, serve_query},
    {"/v1/labels", false, true, TS_QUERY_LABELS, serve_query},
    {"/v1/flush", true, false, NONE, serve_flush},
    {"/v1/backup", true, false, NONE, serve_backup},
    {"/v1/regrid", true, true, NONE, serve_regrid},
    {"/v1/delete", true, true, TS_QUERY_DELETE, serve_delete},
    {"/v1/status", false, false, NONE, serve_status},
    {"/v1/rejects", false, false, NONE, serve_rejects},
    {"/metrics", false, false, NONE, serve_metrics},
    {"/healthz", false, false, NONE, serve_health},
};

static const struct route *find_route(const char *path)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (!strcmp(routes[i].path, path))
            return &routes[i];
    }
    return NULL;
}

static void reply_method(struct tsd_request *request, const char *allow, const char *message)
{
    struct tsd_reply reply;
    tsd_reply_error(405, "method_not_allowed", NULL, message, &reply);
    reply.allow = allow;
    tsd_request_reply(request, &reply);
}

static void serve(const struct context *context)
{
    struct tsd_request *request = context->request;
    const char *method = tsd_request_method(request);
    bool get = !strcmp(method, "GET") || !strcmp(method, "HEAD");
    bool tcp = tsd_request_tcp(request);
    const struct route *route = find_route(context->url.path);
    if (tcp && !get) {
        reply_method(request, "GET, HEAD", "only GET and HEAD are allowed here; use the control socket");
    } else if (!route || (tcp && route->post)) {
        reply_error(request, 404, "not_found", NULL, "no such resource");
    } else if (route->post ? strcmp(method, "POST") != 0 : !get) {
        reply_method(request, route->post ? "POST" : "GET, HEAD", "method not allowed");
    } else if (!route->parameters && context->url.n_params) {
        reply_error(request, 400, "bad_parameter", context->url.params[0].name, "this resource takes no parameters");
    } else {
        route->serve(context, route);
    }
}

void tsd_routes_request(void *data, struct tsd_request *request)
{
    struct context context = {.routes = data, .request = request};
    struct ts_query_error error;
    if (tsd_request_tcp(request) && !tsd_host_allowed(tsd_request_host(request), context.routes->allowed_hosts)) {
        reply_error(request, 403, "forbidden_host", NULL,
                    "the Host header is neither an address, nor localhost, nor in control.allowed_hosts");
    } else if (tsd_url_parse(tsd_request_target(request), &context.url, &error)) {
        reply_query_error(request, &error);
    } else {
        serve(&context);
        tsd_url_deinit(&context.url);
    }
}

void tsd_routes_gone(void *data, struct tsd_request *request)
{
    (void)data;
    tsd_job_cancel(tsd_request_data(request));
}
