/* See session.h. */
#include "ctl/session.h"

#include "ctl/output.h"
#include "ctl/show/show.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WIDTH_MIN = 40, WIDTH_MAX = 1000 };

int ctl_session_init(struct ctl_session *session, const struct ctl_args *args)
{
    *session = (struct ctl_session){.args = args, .terminal = isatty(STDOUT_FILENO), .finest = NAN};
    return ctl_http_init(&session->http, args->socket, args->url);
}

void ctl_session_deinit(struct ctl_session *session)
{
    ctl_text_deinit(&session->query);
    ctl_text_deinit(&session->body);
    ctl_text_deinit(&session->error_body);
    ctl_text_deinit(&session->out);
    ctl_text_deinit(&session->problem);
    ctl_http_deinit(&session->http);
}

struct ctl_screen ctl_session_screen(const struct ctl_session *session)
{
    const struct ctl_args *args = session->args;
    struct ctl_screen screen = {.width = 80};
    struct winsize size;
    const char *columns = getenv("COLUMNS"), *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
        screen.width = size.ws_col;
    else if (columns && atoi(columns) > 0)
        screen.width = atoi(columns);
    screen.width = screen.width < WIDTH_MIN ? WIDTH_MIN : screen.width > WIDTH_MAX ? WIDTH_MAX : screen.width;
    screen.color = args->color == CTL_COLOR_ALWAYS || (args->color == CTL_COLOR_AUTO && session->terminal &&
                                                       !(no_color && *no_color) && !(term && !strcmp(term, "dumb")));
    return screen;
}

bool ctl_session_wants_table(const struct ctl_session *session)
{
    const struct ctl_args *args = session->args;
    return args->chart || args->format == CTL_FORMAT_TABLE || (args->format == CTL_FORMAT_AUTO && session->terminal);
}

int ctl_session_write(struct ctl_session *session)
{
    const struct ctl_text *out = &session->out;
    if (out->failed)
        session->problem.failed = true;
    return out->failed || ctl_write(ctl_text_str(out), out->len, &session->problem) ? CTL_ERROR : 0;
}

int ctl_session_request(struct ctl_session *session, const struct ctl_request *request, const struct ctl_sink *sink,
                        struct ctl_text *sink_problem)
{
    long status = 0;
    session->temporary = false;
    ctl_text_reset(&session->problem);
    if (session->query.failed) { /* without one of its filters the request would mean something else */
        session->problem.failed = true;
        return CTL_ERROR;
    }
    switch (ctl_http_request(&session->http, request, sink, &status, &session->error_body, &session->problem)) {
    case CTL_HTTP_DONE:
        if (status == 200)
            return 0;
        session->temporary = status >= 500;
        ctl_show_error(status, &session->error_body, &session->problem);
        if ((status == 404 || status == 405) && session->http.url && !strcmp(request->method, "POST"))
            ctl_text_puts(&session->problem,
                          "\n  --url is read-only; this command needs the control socket (--socket)");
        else if (status == 404)
            ctl_text_puts(&session->problem, "\n  is the daemon an older version than this program?");
        return CTL_ERROR;
    case CTL_HTTP_UNREACHED:
        session->temporary = true;
        return CTL_UNREACHABLE;
    case CTL_HTTP_BROKEN:
        session->temporary = true;
        return CTL_ERROR;
    case CTL_HTTP_STOPPED:
        ctl_text_puts(&session->problem, ctl_text_str(sink_problem));
        return CTL_ERROR;
    case CTL_HTTP_BAD_URL:
        return CTL_USAGE;
    default:
        return CTL_ERROR;
    }
}

int ctl_session_fetch(struct ctl_session *session, const struct ctl_request *request, size_t max)
{
    struct ctl_output output = {.keep = &session->body, .keep_max = max};
    struct ctl_sink sink = ctl_output_sink(&output);
    ctl_text_reset(&session->body);
    int rc = ctl_session_request(session, request, &sink, &output.problem);
    ctl_output_deinit(&output);
    return rc;
}
