/* See ask.h. */
#include "ctl/ask.h"

#include "ctl/diff.h"
#include "ctl/show.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { NARROWEST = 40, WIDEST = 1000 };

int ctl_session_init(struct ctl_session *session, const struct ctl_args *args)
{
    *session = (struct ctl_session){.args = args, .terminal = isatty(STDOUT_FILENO), .finest = NAN};
    return ctl_http_init(&session->http, args->socket, args->url);
}

void ctl_session_deinit(struct ctl_session *session)
{
    ctl_text_deinit(&session->query);
    ctl_text_deinit(&session->body);
    ctl_text_deinit(&session->refusal);
    ctl_text_deinit(&session->out);
    ctl_text_deinit(&session->problem);
    ctl_http_deinit(&session->http);
}

struct ctl_screen ctl_look_at_screen(const struct ctl_session *session)
{
    const struct ctl_args *args = session->args;
    struct ctl_screen screen = {.width = 80};
    struct winsize size;
    const char *columns = getenv("COLUMNS"), *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
        screen.width = size.ws_col;
    else if (columns && atoi(columns) > 0)
        screen.width = atoi(columns);
    screen.width = screen.width < NARROWEST ? NARROWEST : screen.width > WIDEST ? WIDEST : screen.width;
    screen.color = args->color == CTL_COLOR_ALWAYS || (args->color == CTL_COLOR_AUTO && session->terminal &&
                                                       !(no_color && *no_color) && !(term && !strcmp(term, "dumb")));
    return screen;
}

bool ctl_wants_table(const struct ctl_session *session)
{
    const struct ctl_args *args = session->args;
    return args->chart || args->format == CTL_FORMAT_TABLE || (args->format == CTL_FORMAT_AUTO && session->terminal);
}

int ctl_write_out(struct ctl_session *session)
{
    const struct ctl_text *out = &session->out;
    if (out->failed)
        session->problem.failed = true;
    return out->failed || ctl_write(ctl_text_str(out), out->len, &session->problem) ? CTL_REFUSED : 0;
}

int ctl_request(struct ctl_session *session, const struct ctl_request *request, const struct ctl_sink *sink,
                struct ctl_text *sink_problem)
{
    long status = 0;
    session->passing = false;
    ctl_text_reset(&session->problem);
    switch (ctl_http_request(&session->http, request, sink, &status, &session->refusal, &session->problem)) {
    case CTL_HTTP_ANSWERED:
        if (status == 200)
            return 0;
        session->passing = status >= 500;
        ctl_show_error(status, &session->refusal, &session->problem);
        if ((status == 404 || status == 405) && session->http.url && !strcmp(request->method, "POST"))
            ctl_text_puts(&session->problem,
                          "\n  over HTTP only questions are answered; this takes the control socket (--socket)");
        else if (status == 404)
            ctl_text_puts(&session->problem, "\n  is the daemon of an older version than this program?");
        return CTL_REFUSED;
    case CTL_HTTP_UNREACHED:
        session->passing = true;
        return CTL_UNREACHABLE;
    case CTL_HTTP_BROKEN:
        session->passing = true;
        return CTL_REFUSED;
    case CTL_HTTP_STOPPED:
        ctl_text_puts(&session->problem, ctl_text_str(sink_problem));
        return CTL_REFUSED;
    case CTL_HTTP_BAD_URL:
        return CTL_USAGE;
    default:
        return CTL_REFUSED;
    }
}

int ctl_fetch(struct ctl_session *session, const struct ctl_request *request, size_t most)
{
    struct ctl_output output = {.keep = &session->body, .keep_max = most};
    struct ctl_sink sink = ctl_output_sink(&output);
    ctl_text_reset(&session->body);
    int rc = ctl_request(session, request, &sink, &output.problem);
    ctl_output_deinit(&output);
    return rc;
}

static struct ctl_request question(const struct ctl_session *session)
{
    const struct ctl_command *command = ctl_command(session->args->command);
    return (struct ctl_request){
        .method = command->method, .path = command->path, .query = ctl_text_str(&session->query)};
}

/* One more question, once, and only where the answer would be read with it. Without it the ends are judged by each
 * other. */
static double find_finest(struct ctl_session *session)
{
    if (!isnan(session->finest) || !ctl_show_wants_finest(&session->body))
        return session->finest;
    struct ctl_text status = {0};
    struct ctl_output output = {.keep = &status, .keep_max = 1 << 20};
    struct ctl_sink sink = ctl_output_sink(&output);
    const struct ctl_request request = {.method = "GET", .path = "/v1/status", .query = ""};
    if (!ctl_request(session, &request, &sink, &output.problem))
        session->finest = ctl_show_finest(&status);
    ctl_text_reset(&session->problem);
    ctl_output_deinit(&output);
    ctl_text_deinit(&status);
    return session->finest;
}

/* --fail-over, on all functions: session->body is the answer without top. */
static int judge(struct ctl_session *session)
{
    const struct ctl_args *args = session->args;
    struct ctl_diff diff = {0};
    cJSON *root = cJSON_ParseWithLength(ctl_text_str(&session->body), session->body.len);
    int rc = CTL_REFUSED;
    session->passing = false;
    ctl_text_reset(&session->problem);
    if (!cJSON_IsObject(root))
        ctl_text_puts(&session->problem, "the answer is not a JSON object: is this timesliced?");
    else if (!ctl_diff_load(&diff, root, 0, &session->problem) && !ctl_diff_is_one_sided(&diff, &session->problem))
        rc = ctl_diff_judge(&diff, args->fail_over, args->ignore_below, &session->problem) ? CTL_REFUSED : 0;
    ctl_diff_deinit(&diff);
    cJSON_Delete(root);
    return rc;
}

static int ask_for_table(struct ctl_session *session)
{
    const struct ctl_args *args = session->args;
    bool all = args->fail_over >= 0;
    ctl_args_query(args, all ? 0 : args->top ? args->top : CTL_DIFF_ROWS, false, &session->query);
    struct ctl_request request = question(session);
    int rc = ctl_fetch(session, &request, CTL_SHOW_MAX);
    if (rc)
        return rc;
    struct ctl_view view = {.screen = ctl_look_at_screen(session), .finest = find_finest(session)};
    if (session->terminal && args->watch > 0)
        ctl_text_puts(&session->out, "\033[H\033[2J");
    if (ctl_show(args, &view, &session->body, &session->out, &session->problem))
        return CTL_REFUSED;
    rc = ctl_write_out(session);
    return rc || !all ? rc : judge(session);
}

/* The daemon's own bytes, as they come. Where --fail-over needs more functions than are shown, it asks once more. */
static int ask_for_bytes(struct ctl_session *session)
{
    const struct ctl_args *args = session->args;
    bool csv = args->format == CTL_FORMAT_CSV, judged = args->fail_over >= 0, at_once = judged && !csv && !args->top;
    struct ctl_output output = {.pass = true, .keep = at_once ? &session->body : NULL, .keep_max = CTL_SHOW_MAX};
    output.first = session->terminal && args->watch > 0 ? "\033[H\033[2J" : NULL;
    struct ctl_sink sink = ctl_output_sink(&output);
    ctl_text_reset(&session->body);
    ctl_args_query(args, args->top, csv, &session->query);
    struct ctl_request request = question(session);
    int rc = ctl_request(session, &request, &sink, &output.problem);
    if (output.began && (session->terminal || args->watch > 0) && output.last != '\n') /* something follows */
        rc = ctl_write("\n", 1, &session->problem) && !rc ? CTL_REFUSED : rc;
    ctl_output_deinit(&output);
    if (rc || !judged)
        return rc;
    if (!at_once) {
        ctl_args_query(args, 0, false, &session->query);
        request = question(session);
        rc = ctl_fetch(session, &request, CTL_SHOW_MAX);
    }
    return rc ? rc : judge(session);
}

int ctl_ask(struct ctl_session *session)
{
    ctl_text_reset(&session->out);
    return ctl_wants_table(session) ? ask_for_table(session) : ask_for_bytes(session);
}
