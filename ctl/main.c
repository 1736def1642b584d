/*
 * timeslicectl: asks the daemon through its control socket, and shows the answer. It knows only that socket.
 *
 * Way of a request: args -> http -> bytes as they are (json, csv), or show (table, chart) -> one write.
 * Failures: each becomes a line on standard error and the exit code of the contract (args.h). With --watch, a daemon
 * that cannot be reached or has a passing trouble (5xx) is said once, and asked again; what is wrong in the request
 * itself ends the watch. A reader that went away (EPIPE) ends it quietly.
 */
#include "ctl/args.h"
#include "ctl/format.h"
#include "ctl/http.h"
#include "ctl/show.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#ifndef CTL_VERSION
#define CTL_VERSION "unknown"
#endif

enum { NARROWEST = 40, WIDEST = 1000 };

static void complain(const char *text)
{
    fprintf(stderr, "timeslicectl: %s\n", text);
}

/* 0, or CTL_REFUSED. Says what is wrong, except that the reader has gone: then nobody wants to know. */
static int write_all(const struct ctl_text *text)
{
    if (text->failed) {
        complain("out of memory");
        return CTL_REFUSED;
    }
    for (size_t at = 0; at < text->len;) {
        ssize_t n = write(STDOUT_FILENO, text->data + at, text->len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            if (errno != EPIPE)
                fprintf(stderr, "timeslicectl: cannot write the output: %s\n", strerror(errno));
            return CTL_REFUSED;
        }
        at += (size_t)n;
    }
    return 0;
}

static struct ctl_screen look_at_screen(const struct ctl_args *args, bool terminal)
{
    struct ctl_screen screen = {.width = 80};
    struct winsize size;
    const char *columns = getenv("COLUMNS"), *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
        screen.width = size.ws_col;
    else if (columns && atoi(columns) > 0)
        screen.width = atoi(columns);
    screen.width = screen.width < NARROWEST ? NARROWEST : screen.width > WIDEST ? WIDEST : screen.width;
    screen.color = args->color == CTL_COLOR_ALWAYS || (args->color == CTL_COLOR_AUTO && terminal &&
                                                       !(no_color && *no_color) && !(term && !strcmp(term, "dumb")));
    return screen;
}

static bool wants_table(const struct ctl_args *args, bool terminal)
{
    return args->chart || args->format == CTL_FORMAT_TABLE || (args->format == CTL_FORMAT_AUTO && terminal);
}

/* One question and its answer. *ret_passing: asking again may help. */
static int ask(const struct ctl_args *args, struct ctl_http *http, bool terminal, struct ctl_text *body,
               struct ctl_text *out, struct ctl_text *problem, bool *ret_passing)
{
    const struct ctl_command *command = ctl_command(args->command);
    long status = 0;
    int rc = ctl_http_request(http, command->method, command->path, ctl_text_str(&args->query), body, &status, problem);
    *ret_passing = rc == CTL_UNREACHABLE || (!rc && status >= 500);
    if (rc)
        return rc;
    if (status != 200) {
        ctl_show_error(status, body, problem);
        return CTL_REFUSED;
    }
    if (wants_table(args, terminal)) {
        struct ctl_screen screen = look_at_screen(args, terminal);
        return ctl_show(args, &screen, body, out, problem) ? CTL_REFUSED : 0;
    }
    ctl_text_append(out, ctl_text_str(body), body->len);
    bool ended = body->len && body->data[body->len - 1] == '\n';
    if ((terminal || args->watch > 0) && !ended) /* a prompt, or the next answer, follows */
        ctl_text_putc(out, '\n');
    return 0;
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
    struct ctl_http http;
    struct ctl_text body = {0}, out = {0}, problem = {0};
    bool terminal = isatty(STDOUT_FILENO), passing, away = false;
    int rc;

    if (ctl_http_init(&http, args->socket, args->url)) {
        complain("out of memory");
        ctl_http_deinit(&http);
        return CTL_REFUSED;
    }
    for (;;) {
        ctl_text_reset(&out);
        ctl_text_reset(&problem);
        if (terminal && args->watch > 0)
            ctl_text_puts(&out, "\033[H\033[2J");
        rc = ask(args, &http, terminal, &body, &out, &problem, &passing);
        if (rc && (args->watch <= 0 || !passing)) {
            complain(problem.len ? ctl_text_str(&problem) : "out of memory");
            break;
        }
        if (rc && !away)
            fprintf(stderr, "timeslicectl: %s\n  trying again every %g s\n", ctl_text_str(&problem), args->watch);
        away = rc != 0;
        if (!rc)
            rc = write_all(&out);
        if (args->watch <= 0 || (rc && !away))
            break;
        wait_seconds(args->watch);
    }
    ctl_text_deinit(&body);
    ctl_text_deinit(&out);
    ctl_text_deinit(&problem);
    ctl_http_deinit(&http);
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
        rc = write_all(&text);
    }
    if (close(STDOUT_FILENO) && errno != EBADF && !rc) { /* some file systems tell a full disk only here */
        complain("cannot write the output");
        rc = CTL_REFUSED;
    }
    ctl_text_deinit(&text);
    ctl_args_deinit(&args);
    return rc;
}
