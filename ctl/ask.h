/*
 * A conversation with the daemon: one request and its answer at a time, each as the command line wants it shown.
 */
#ifndef CTL_ASK_H
#define CTL_ASK_H

#include "ctl/args.h"
#include "ctl/http.h"
#include "ctl/output.h"
#include "ctl/table.h"

struct ctl_session {
    const struct ctl_args *args; /* borrowed */
    struct ctl_http http;
    bool terminal; /* standard output is one */
    double finest; /* width of the finest buckets, once it was asked for; NAN */
    struct ctl_text query, body, refusal, out;
    struct ctl_text problem; /* of the last failure, in words; empty where there is nothing to say */
    bool passing;            /* asking again may help */
};

int ctl_session_init(struct ctl_session *session, const struct ctl_args *args); /* 0, or -1 out of memory */
void ctl_session_deinit(struct ctl_session *session);

bool ctl_wants_table(const struct ctl_session *session);
struct ctl_screen ctl_look_at_screen(const struct ctl_session *session);
/* Writes session->out: 0, or CTL_REFUSED. */
int ctl_write_out(struct ctl_session *session);

/* 0 with the whole of a 200 answer in the sink; else an exit code with the problem, which is sink_problem where the
 * sink ended it. */
int ctl_request(struct ctl_session *session, const struct ctl_request *request, const struct ctl_sink *sink,
                struct ctl_text *sink_problem);
/* The same into session->body, at most so many bytes. */
int ctl_fetch(struct ctl_session *session, const struct ctl_request *request, size_t most);

/* A question of the command line, answered on standard output. 0, or an exit code with the problem. */
int ctl_ask(struct ctl_session *session);

#endif
