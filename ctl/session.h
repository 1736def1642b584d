/*
 * What the commands share: the connection, the buffers, the screen, and requests whose failures become an exit code and
 * a message.
 */
#ifndef CTL_SESSION_H
#define CTL_SESSION_H

#include "ctl/args/args.h"
#include "ctl/base/table.h"
#include "ctl/http.h"

struct ctl_session {
    const struct ctl_args *args; /* borrowed */
    struct ctl_http http;
    bool terminal; /* standard output is a terminal */
    double finest; /* width of the finest buckets in seconds; NAN until requested */
    struct ctl_text query, body, error_body, out;
    struct ctl_text problem; /* message of the last failure; empty if none is to be printed */
    bool temporary;          /* the last failure: retrying may help */
};

int ctl_session_init(struct ctl_session *session, const struct ctl_args *args); /* 0, or -1 out of memory */
void ctl_session_deinit(struct ctl_session *session);

bool ctl_session_wants_table(const struct ctl_session *session);
struct ctl_screen ctl_session_screen(const struct ctl_session *session);
/* Writes session->out: 0, or CTL_ERROR. */
int ctl_session_write(struct ctl_session *session);

/* 0 if the sink received a complete response with status 200; else an exit code with a message in session->problem,
 * which is sink_problem if the sink ended the transfer. */
int ctl_session_request(struct ctl_session *session, const struct ctl_request *request, const struct ctl_sink *sink,
                        struct ctl_text *sink_problem);
/* The same into session->body; more than max bytes are an error. */
int ctl_session_fetch(struct ctl_session *session, const struct ctl_request *request, size_t max);

#endif
