/*
 * timeslicectl: sends requests to the daemon's control socket and shows the responses. It knows only that socket.
 *
 * Flow of a query: args -> http -> standard output while it arrives (JSON, CSV), or kept, laid out by show (table,
 * chart) and written at once. Commands that write a file or delete data are in admin.c.
 * Failures: each prints a line on standard error and sets the exit code (args.h). With --watch, an unreachable daemon
 * or a temporary failure (5xx, a response that broke off) is printed once and retried; an error in the request ends the
 * program. So does a closed standard output (EPIPE), without a message.
 */
#include "ctl/admin.h"
#include "ctl/args/args.h"
#include "ctl/args/help.h"
#include "ctl/base/display.h"
#include "ctl/output.h"
#include "ctl/query.h"

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

static void print_error(const char *text)
{
    fprintf(stderr, "timeslicectl: %s\n", text);
}

/* Prints nothing if there is no message, as when the reader of standard output has closed it. */
static void print_problem(const struct ctl_text *problem)
{
    if (problem->failed)
        print_error("out of memory");
    else if (problem->len)
        print_error(ctl_text_str(problem));
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
    bool failing = false; /* the last attempt failed, and its message was printed */
    int rc;

    if (ctl_session_init(&session, args)) {
        print_error("out of memory");
        ctl_session_deinit(&session);
        return CTL_ERROR;
    }
    for (;;) {
        bool is_admin = args->command == CTL_BACKUP || args->command == CTL_REGRID || args->command == CTL_DELETE;
        rc = is_admin ? ctl_admin(&session) : ctl_query(&session);
        if (args->watch <= 0 || (rc && !session.temporary)) {
            if (rc)
                print_problem(&session.problem);
            break;
        }
        if (rc && !failing)
            fprintf(stderr, "timeslicectl: %s\n  retrying every %g s\n", ctl_text_str(&session.problem), args->watch);
        failing = rc != 0;
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
    signal(SIGXFSZ, SIG_IGN); /* beyond `ulimit -f` a write fails, as on a full disk */
    int rc = ctl_args_parse(&args, argc, argv, &text);
    if (rc) {
        struct ctl_text clean = {0};
        ctl_clean(&clean, ctl_text_str(&text));
        print_error(ctl_text_str(&clean));
        fprintf(stderr, "Try: timeslicectl %s%s--help\n",
                args.command < CTL_COMMANDS ? ctl_commands[args.command].name : "",
                args.command < CTL_COMMANDS ? " " : "");
        ctl_text_deinit(&clean);
    } else if (args.action == CTL_RUN) {
        rc = run(&args);
    } else {
        if (args.action == CTL_SHOW_HELP)
            ctl_help(args.command, &text);
        else
            ctl_text_puts(&text, "timeslicectl " CTL_VERSION "\n");
        struct ctl_text problem = {0};
        problem.failed = text.failed;
        rc = text.failed || ctl_write(ctl_text_str(&text), text.len, &problem) ? CTL_ERROR : 0;
        print_problem(&problem);
        ctl_text_deinit(&problem);
    }
    if (close(STDOUT_FILENO) && errno != EBADF && !rc) { /* some file systems report a full disk only here */
        print_error("cannot write the output");
        rc = CTL_ERROR;
    }
    ctl_text_deinit(&text);
    ctl_args_deinit(&args);
    return rc;
}
