/*
 * timeslicectl: asks the daemon through its control socket, and shows the answer. It knows only that socket.
 *
 * Way of a request: args -> http -> standard output as it comes (json, csv), or kept, then show (table, chart) and one
 * write. What writes a file or deletes goes its own way (tasks.c).
 * Failures: each becomes a line on standard error and the exit code of the contract (args.h). With --watch, a daemon
 * that cannot be reached or has a passing trouble (5xx, an answer that broke off) is said once, and asked again; what
 * is wrong in the request itself ends the watch. A reader that went away (EPIPE) ends it quietly.
 */
#include "ctl/args.h"
#include "ctl/ask.h"
#include "ctl/format.h"
#include "ctl/output.h"
#include "ctl/tasks.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef CTL_VERSION
#define CTL_VERSION "unknown"
#endif

static void complain(const char *text)
{
    fprintf(stderr, "timeslicectl: %s\n", text);
}

/* Nothing is said where there is nothing to say: the reader has gone. */
static void complain_of(const struct ctl_text *problem)
{
    if (problem->failed)
        complain("out of memory");
    else if (problem->len)
        complain(ctl_text_str(problem));
}

static void wait_seconds(double seconds)
{
    struct timespec left = {.tv_sec = (time_t)seconds};
    left.tv_nsec = (long)((seconds - (double)left.tv_sec) * 1e9);
    while (nanosleep(&left, &left) && errno == EINTR)
        continue;
}

static int run(const struct ctl_args *args)
{
    struct ctl_session session;
    bool away = false;
    int rc;

    if (ctl_session_init(&session, args)) {
        complain("out of memory");
        ctl_session_deinit(&session);
        return CTL_REFUSED;
    }
    for (;;) {
        bool is_task = args->command == CTL_BACKUP || args->command == CTL_REGRID || args->command == CTL_DELETE;
        rc = is_task ? ctl_task(&session) : ctl_ask(&session);
        if (args->watch <= 0 || (rc && !session.passing)) {
            if (rc)
                complain_of(&session.problem);
            break;
        }
        if (rc && !away)
            fprintf(stderr, "timeslicectl: %s\n  trying again every %g s\n", ctl_text_str(&session.problem),
                    args->watch);
        away = rc != 0;
        wait_seconds(args->watch);
    }
    ctl_session_deinit(&session);
    return rc;
}

int main(int argc, char **argv)
{
    struct ctl_args args;
    struct ctl_text text = {0};

    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    int rc = ctl_args_parse(&args, argc, argv, &text);
    if (rc) {
        struct ctl_text clean = {0};
        ctl_clean(&clean, ctl_text_str(&text));
        complain(ctl_text_str(&clean));
        fprintf(stderr, "Try: timeslicectl %s%s--help\n",
                args.command < CTL_COMMANDS ? ctl_command(args.command)->name : "",
                args.command < CTL_COMMANDS ? " " : "");
        ctl_text_deinit(&clean);
    } else if (args.action == CTL_RUN) {
        rc = run(&args);
    } else {
        if (args.action == CTL_HELP)
            ctl_args_help(args.command, &text);
        else
            ctl_text_puts(&text, "timeslicectl " CTL_VERSION "\n");
        struct ctl_text problem = {0};
        problem.failed = text.failed;
        rc = text.failed || ctl_write(ctl_text_str(&text), text.len, &problem) ? CTL_REFUSED : 0;
        complain_of(&problem);
        ctl_text_deinit(&problem);
    }
    if (close(STDOUT_FILENO) && errno != EBADF && !rc) { /* some file systems tell a full disk only here */
        complain("cannot write the output");
        rc = CTL_REFUSED;
    }
    ctl_text_deinit(&text);
    ctl_args_deinit(&args);
    return rc;
}
