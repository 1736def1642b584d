/* See query.h. */
#include "ctl/query.h"

#include "ctl/output.h"
#include "ctl/show/diff.h"
#include "ctl/show/show.h"

#include <cjson/cJSON.h>
#include <math.h>

static struct ctl_request request_of(const struct ctl_session *session)
{
    const struct ctl_command *command = &ctl_commands[session->args->command];
    return (struct ctl_request){
        .method = command->method, .path = command->path, .query = ctl_text_str(&session->query)};
}

/* One more request, once, only if the output depends on it. If it fails, the ends of the range are compared with each
 * other. */
static double find_finest(struct ctl_session *session)
{
    if (!isnan(session->finest) || !ctl_show_wants_finest(&session->body))
        return session->finest;
    struct ctl_text status = {0};
    struct ctl_output output = {.keep = &status, .keep_max = 1 << 20};
    struct ctl_sink sink = ctl_output_sink(&output);
    const struct ctl_request request = {.method = "GET", .path = "/v1/status", .query = ""};
    if (!ctl_session_request(session, &request, &sink, &output.problem))
        session->finest = ctl_show_finest(&status);
    ctl_text_reset(&session->problem);
    ctl_output_deinit(&output);
    ctl_text_deinit(&status);
    return session->finest;
}

/* --fail-over, on all functions: session->body must be a response without top. */
static int check_growth(struct ctl_session *session)
{
    const struct ctl_args *args = session->args;
    struct ctl_diff diff = {0};
    cJSON *root = cJSON_ParseWithLength(ctl_text_str(&session->body), session->body.len);
    int rc = CTL_ERROR;
    session->temporary = false;
    ctl_text_reset(&session->problem);
    if (!cJSON_IsObject(root))
        ctl_text_puts(&session->problem, "the response is not a JSON object: is this timesliced?");
    else if (!ctl_diff_load(&diff, root, 0, &session->problem) && !ctl_diff_is_one_sided(&diff, &session->problem))
        rc = ctl_diff_check(&diff, args->fail_over, args->ignore_below, &session->problem) ? CTL_ERROR : 0;
    ctl_diff_deinit(&diff);
    cJSON_Delete(root);
    return rc;
}

static int query_table(struct ctl_session *session)
{
    const struct ctl_args *args = session->args;
    bool all = args->fail_over >= 0;
    ctl_args_query(args, all ? 0 : args->top ? args->top : CTL_DIFF_ROWS, false, &session->query);
    struct ctl_request request = request_of(session);
    int rc = ctl_session_fetch(session, &request, CTL_SHOW_MAX);
    if (rc)
        return rc;
    struct ctl_view view = {.screen = ctl_session_screen(session), .finest = find_finest(session)};
    if (session->terminal && args->watch > 0)
        ctl_text_puts(&session->out, "\033[H\033[2J");
    if (ctl_show(args, &view, &session->body, &session->out, &session->problem))
        return CTL_ERROR;
    rc = ctl_session_write(session);
    return rc || !all ? rc : check_growth(session);
}

/* Passes the daemon's bytes on. If --fail-over needs more functions than these, a second request fetches them. */
static int query_bytes(struct ctl_session *session)
{
    const struct ctl_args *args = session->args;
    bool csv = args->format == CTL_FORMAT_CSV, check = args->fail_over >= 0, at_once = check && !csv && !args->top;
    struct ctl_output output = {.pass = true, .keep = at_once ? &session->body : NULL, .keep_max = CTL_SHOW_MAX};
    output.first = session->terminal && args->watch > 0 ? "\033[H\033[2J" : NULL;
    struct ctl_sink sink = ctl_output_sink(&output);
    ctl_text_reset(&session->body);
    ctl_args_query(args, args->top, csv, &session->query);
    struct ctl_request request = request_of(session);
    int rc = ctl_session_request(session, &request, &sink, &output.problem);
    if (output.began && (session->terminal || args->watch > 0) && output.last != '\n') /* more output may follow */
        rc = ctl_write("\n", 1, &session->problem) && !rc ? CTL_ERROR : rc;
    ctl_output_deinit(&output);
    if (rc || !check)
        return rc;
    if (!at_once) {
        ctl_args_query(args, 0, false, &session->query);
        request = request_of(session);
        rc = ctl_session_fetch(session, &request, CTL_SHOW_MAX);
    }
    return rc ? rc : check_growth(session);
}

int ctl_query(struct ctl_session *session)
{
    ctl_text_reset(&session->out);
    return ctl_session_wants_table(session) ? query_table(session) : query_bytes(session);
}
