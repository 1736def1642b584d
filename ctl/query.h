/*
 * A read-only command or a flush: one request, its response on standard output.
 *
 * As a table or chart, the response is kept, then laid out (show/show.h). As JSON or CSV its bytes are passed on while
 * they arrive. --fail-over checks all functions: if the output holds only some, a second request fetches all.
 */
#ifndef CTL_QUERY_H
#define CTL_QUERY_H

#include "ctl/session.h"

/* 0, or an exit code with a message in session->problem. */
int ctl_query(struct ctl_session *session);

#endif
