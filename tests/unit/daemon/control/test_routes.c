/*
 * Requests to responses: resources, methods, parameters, the Host header, on the Unix socket and on TCP.
 */
#include "tests/unit/daemon/control/control_fixture.h"

struct expectation {
    bool tcp;
    const char *method;
    const char *target;
    int status;
    const char *fragment; /* of the head or the body */
};

static void responses(void **state)
{
    static const struct expectation table[] = {
        {false, "GET", "/healthz", 200, "\r\n\r\nok\n"},
        {false, "GET", "/metrics", 200, "text/plain; version=0.0.4"},
        {false, "GET", "/v1/status", 200, "\"received\": 0"},
        {false, "GET", "/v1/rejects", 200, "\"rejects\": []"},
        {false, "GET", "/v1/top", 200, "\"functions\": []"},
        {false, "GET", "/v1/buckets?format=csv", 200, "text/csv"},
        {false, "GET", "/v1/functions", 200, "\"functions\": []"},
        {false, "GET", "/v1/labels", 200, "\"labels\": []"},
        {false, "POST", "/v1/flush", 200, "{\"flushed\": true, \"committed\": 0}"},
        {false, "POST", "/v1/delete?function=f", 200, "\"dry_run\": true"},
        {false, "HEAD", "/v1/top", 200, "Content-Length: "},
        /* Unknown resources: paths are compared as they are. */
        {false, "GET", "/", 404, "not_found"},
        {false, "GET", "/v1/top/", 404, "not_found"},
        {false, "GET", "/v1//top", 404, "not_found"},
        {false, "GET", "/V1/top", 404, "not_found"},
        {false, "GET", "/v1/%74op", 200, "\"functions\""},
        /* Methods. */
        {false, "POST", "/v1/top", 405, "Allow: GET, HEAD"},
        {false, "DELETE", "/v1/top", 405, "method_not_allowed"},
        {false, "GET", "/v1/flush", 405, "Allow: POST"},
        {false, "GET", "/v1/backup", 405, "Allow: POST"},
        /* Parameters. */
        {false, "GET", "/v1/status?x=1", 400, "\"parameter\": \"x\""},
        {false, "GET", "/v1/top?colour=red", 400, "\"parameter\": \"colour\""},
        {false, "GET", "/v1/top?top=a", 400, "bad_parameter"},
        {false, "GET", "/v1/top?function=%ff", 400, "bad_parameter"},
        {false, "GET", "/v1/top?function=%zz", 400, "bad_parameter"},
        {false, "POST", "/v1/regrid", 400, "\"parameter\": \"time_slice\""},
        {false, "POST", "/v1/regrid?time_slice=0s", 400, "\"parameter\": \"time_slice\""},
        {false, "POST", "/v1/regrid?time_slice=7s", 400, "\"parameter\": \"time_slice\""},
        /* TCP is read-only. */
        {true, "GET", "/healthz", 200, "\r\n\r\nok\n"},
        {true, "GET", "/v1/top", 200, "\"functions\": []"},
        {true, "HEAD", "/metrics", 200, "version=0.0.4"},
        {true, "POST", "/v1/flush", 405, "use the control socket"},
        {true, "POST", "/v1/delete?function=f", 405, "method_not_allowed"},
        {true, "GET", "/v1/flush", 404, "not_found"},
        {true, "GET", "/v1/backup", 404, "not_found"},
    };
    struct controlling *c = *state;
    static char text[65536];
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        const struct expectation *e = &table[i];
        int status = request(c, e->tcp, e->method, e->target, text, sizeof(text));
        if (status != e->status || !strstr(text, e->fragment))
            fail_msg("%s %s: expected %d with %s, got %.400s", e->method, e->target, e->status, e->fragment, text);
        assert_non_null(strstr(text, "X-Content-Type-Options: nosniff"));
        assert_non_null(strstr(text, "Cache-Control: no-store"));
    }
}

static void hosts(void **state)
{
    static const struct {
        const char *host;
        int status;
    } table[] = {
        {"localhost", 200},       {"localhost:80", 200},     {"127.0.0.1", 200},       {"[::1]:9", 200},
        {"metrics.example", 200}, {"OTHER:8080", 200},       {"evil.example", 403},    {"localhost.evil.example", 403},
        {"127.0.0.1.evil", 403},  {"metrics.example.", 403}, {"127.0.0.1:80:80", 403}, {"", 403},
    };
    struct controlling *c = *state;
    char text[4096];
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        int status = end_request(begin_request(c, true, "GET", "/healthz", table[i].host), text, sizeof(text));
        if (status != table[i].status)
            fail_msg("Host \"%s\": expected %d, got %.200s", table[i].host, table[i].status, text);
        /* Whoever can open the Unix socket needs no check. */
        assert_int_equal(end_request(begin_request(c, false, "GET", "/healthz", table[i].host), text, sizeof(text)),
                         200);
    }
}

/* Several requests on one connection, sent together, get their responses in order. */
static void pipelined_requests(void **state)
{
    struct controlling *c = *state;
    static char text[65536];
    int fd = connect_control(c, false);
    write_text(fd, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /v1/nothing HTTP/1.1\r\nHost: a\r\n\r\n"
                   "POST /v1/flush HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_int_equal(end_request(fd, text, sizeof(text)), 200);
    const char *health = strstr(text, "ok\n");
    const char *missing = health ? strstr(health, "not_found") : NULL;
    assert_non_null(missing);
    assert_non_null(strstr(missing, "flushed"));
}

static void bodies(void **state)
{
    struct controlling *c = *state;
    char text[4096];
    int fd = connect_control(c, false);
    write_text(fd, "POST /v1/flush HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
    assert_int_equal(end_request(fd, text, sizeof(text)), 200); /* ignored */
    fd = connect_control(c, false);
    write_text(fd, "POST /v1/flush HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 65537\r\n\r\n");
    assert_int_equal(end_request(fd, text, sizeof(text)), 413);
    assert_non_null(strstr(text, "too_large"));
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, start_control, end_control)
    const struct CMUnitTest tests[] = {T(responses), T(hosts), T(pipelined_requests), T(bodies)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
