/* See tasks.h. */
#include "ctl/tasks.h"

#include "ctl/save.h"
#include "ctl/show.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The daemon may copy or search for a long time before its first byte. */
enum { PATIENCE_SECONDS = 3600, SMALL_ANSWER = 1 << 20 };

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

/* One line on the terminal, written over and over. */
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
    const struct ctl_command *command = ctl_command(args->command);
    bool to_output = !strcmp(args->operand, "-"), terminal = isatty(STDERR_FILENO);
    struct ctl_text name = {0};
    struct progress progress = {.http = &session->http, .begin = now()};
    struct ctl_save save = {.path = args->operand, .force = args->force, .data = &progress};
    if (to_output && session->terminal) {
        ctl_text_puts(&session->problem, "a database is nothing for a terminal: name a file, or redirect the output");
        return CTL_USAGE;
    }
    ctl_clean(&name, to_output ? "standard output" : args->operand);
    progress.name = ctl_text_str(&name);
    if (terminal)
        save.progress = show_progress;

    struct ctl_sink sink = ctl_save_sink(&save);
    const struct ctl_request request = {command->method, command->path, ctl_text_str(&args->query), PATIENCE_SECONDS};
    int rc = ctl_save_open(&save, &session->problem) ? CTL_REFUSED : 0;
    if (!rc)
        rc = ctl_request(session, &request, &sink, &save.problem);
    if (terminal && progress.shown > 0)
        fputs("\r\033[K", stderr);
    if (!rc)
        rc = ctl_save_finish(&save, &session->problem) ? CTL_REFUSED : 0;
    if (!rc) {
        ctl_text_printf(&session->out, "%s: %s in %s\n", progress.name, ctl_size((double)save.len).text,
                        ctl_duration(now() - progress.begin).text);
        if (to_output)
            fputs(ctl_text_str(&session->out), stderr);
        else
            rc = ctl_write_out(session);
    } else if (session->problem.len && save.part && save.len) {
        ctl_text_puts(&session->problem, "\n  nothing was kept of it");
    }
    ctl_save_deinit(&save);
    ctl_text_deinit(&name);
    return rc;
}

/* Into session->body, which says that it was what was asked for. */
static int request_deletion(struct ctl_session *session, bool dry)
{
    const struct ctl_command *command = ctl_command(session->args->command);
    ctl_args_query(session->args, 0, false, &session->query);
    ctl_text_printf(&session->query, "%sdry_run=%s", session->query.len ? "&" : "", dry ? "true" : "false");
    const struct ctl_request request = {command->method, command->path, ctl_text_str(&session->query),
                                        PATIENCE_SECONDS};
    int rc = ctl_fetch(session, &request, SMALL_ANSWER);
    if (rc && session->passing && !dry) /* the daemon may have been at it */
        ctl_text_puts(&session->problem,
                      "\n  whether it was deleted is not known: the same command without --yes tells");
    if (rc)
        return rc;
    if (ctl_show_is_dry_run(&session->body) == dry)
        return 0;
    ctl_text_puts(&session->problem, dry ? "the answer does not say that it was a dry run: is this timesliced?"
                                         : "the answer does not say that anything was deleted");
    return CTL_REFUSED;
}

static int delete_data(struct ctl_session *session)
{
    const struct ctl_args *args = session->args;
    int rc = request_deletion(session, true);
    if (!rc && args->yes)
        rc = request_deletion(session, false);
    if (rc)
        return rc;
    if (ctl_wants_table(session)) {
        struct ctl_view view = {.screen = ctl_look_at_screen(session)};
        if (ctl_show(args, &view, &session->body, &session->out, &session->problem))
            return CTL_REFUSED;
        return ctl_write_out(session);
    }
    const struct ctl_text *body = &session->body;
    ctl_text_append(&session->out, ctl_text_str(body), body->len);
    if (session->terminal && body->len && body->data[body->len - 1] != '\n')
        ctl_text_putc(&session->out, '\n');
    rc = ctl_write_out(session);
    if (!rc && !args->yes)
        fputs("timeslicectl: nothing was deleted: the same command with --yes deletes it\n", stderr);
    return rc;
}

int ctl_task(struct ctl_session *session)
{
    ctl_text_reset(&session->out);
    ctl_text_reset(&session->problem);
    return session->args->command == CTL_DELETE ? delete_data(session) : save_database(session);
}
