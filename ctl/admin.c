/* See admin.h. */
#include "ctl/admin.h"

#include "ctl/save.h"
#include "ctl/show/show.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The daemon may copy or search for long before the first byte of its response. */
enum { TIMEOUT_SECONDS = 3600, RESPONSE_MAX = 1 << 20 };

#define PROGRESS_SECONDS 0.1

struct progress {
    const struct ctl_http *http;
    const char *name; /* clean */
    double begin, shown;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One line on the terminal, overwritten each time. */
static void show_progress(struct ctl_save *save)
{
    struct progress *progress = save->data;
    double t = now();
    if (t - progress->shown < PROGRESS_SECONDS)
        return;
    progress->shown = t;
    int64_t length = ctl_http_length(progress->http);
    fprintf(stderr, "\r%s: %s", progress->name, ctl_size((double)save->len).text);
    if (length > 0)
        fprintf(stderr, " of %s, %.0f%%", ctl_size((double)length).text, 100.0 * (double)save->len / (double)length);
    fputs("\033[K", stderr);
}

static int save_database(struct ctl_session *session)
{
    const struct ctl_args *args = session->args;
    const struct ctl_command *command = &ctl_commands[args->command];
    bool to_output = !strcmp(args->operand, "-"), terminal = isatty(STDERR_FILENO);
    struct ctl_text name = {0};
    struct progress progress = {.http = &session->http, .begin = now()};
    struct ctl_save save = {.path = args->operand, .force = args->force, .data = &progress};
    if (to_output && session->terminal) {
        ctl_text_puts(&session->problem, "cannot write a database to a terminal: give a file, or redirect the output");
        return CTL_USAGE;
    }
    ctl_clean(&name, to_output ? "standard output" : args->operand);
    progress.name = ctl_text_str(&name);
    if (terminal)
        save.progress = show_progress;

    struct ctl_sink sink = ctl_save_sink(&save);
    const struct ctl_request request = {command->method, command->path, ctl_text_str(&args->query), TIMEOUT_SECONDS};
    int rc = ctl_save_open(&save, &session->problem) ? CTL_ERROR : 0;
    if (!rc)
        rc = ctl_session_request(session, &request, &sink, &save.problem);
    if (terminal && progress.shown > 0)
        fputs("\r\033[K", stderr);
    if (!rc)
        rc = ctl_save_finish(&save, &session->problem) ? CTL_ERROR : 0;
    if (!rc) {
        ctl_text_printf(&session->out, "%s: %s in %s\n", progress.name, ctl_size((double)save.len).text,
                        ctl_duration(now() - progress.begin).text);
        if (to_output)
            fputs(ctl_text_str(&session->out), stderr);
        else
            rc = ctl_session_write(session);
    } else if (session->problem.len && save.part && save.len) {
        ctl_text_puts(&session->problem, "\n  the partial file was removed");
    }
    ctl_save_deinit(&save);
    ctl_text_deinit(&name);
    return rc;
}

/* Into session->body, after checking that the response is of the requested kind. */
static int request_deletion(struct ctl_session *session, bool dry)
{
    const struct ctl_command *command = &ctl_commands[session->args->command];
    ctl_args_query(session->args, 0, false, &session->query);
    ctl_text_printf(&session->query, "%sdry_run=%s", session->query.len ? "&" : "", dry ? "true" : "false");
    const struct ctl_request request = {command->method, command->path, ctl_text_str(&session->query), TIMEOUT_SECONDS};
    int rc = ctl_session_fetch(session, &request, RESPONSE_MAX);
    if (rc && session->temporary && !dry) /* the daemon may have carried it out */
        ctl_text_puts(&session->problem,
                      "\n  the data may have been deleted: the same command without --yes shows what is left");
    if (rc)
        return rc;
    if (ctl_show_is_dry_run(&session->body) == dry)
        return 0;
    ctl_text_puts(&session->problem, dry ? "the response does not confirm a dry run: is this timesliced?"
                                         : "the response does not confirm the deletion");
    return CTL_ERROR;
}

static int delete_data(struct ctl_session *session)
{
    const struct ctl_args *args = session->args;
    int rc = request_deletion(session, true);
    if (!rc && args->yes)
        rc = request_deletion(session, false);
    if (rc)
        return rc;
    if (ctl_session_wants_table(session)) {
        struct ctl_view view = {.screen = ctl_session_screen(session)};
        if (ctl_show(args, &view, &session->body, &session->out, &session->problem))
            return CTL_ERROR;
        return ctl_session_write(session);
    }
    const struct ctl_text *body = &session->body;
    ctl_text_append(&session->out, ctl_text_str(body), body->len);
    if (session->terminal && body->len && body->data[body->len - 1] != '\n')
        ctl_text_putc(&session->out, '\n');
    rc = ctl_session_write(session);
    if (!rc && !args->yes)
        fputs("timeslicectl: nothing was deleted; the same command with --yes deletes it\n", stderr);
    return rc;
}

int ctl_admin(struct ctl_session *session)
{
    ctl_text_reset(&session->out);
    ctl_text_reset(&session->problem);
    return session->args->command == CTL_DELETE ? delete_data(session) : save_database(session);
}
