/*
 * Waits of control requests for the writer to commit what was received. A waiter may give up before the writer calls
 * back, which the disk can delay for long. All on the loop, except what the head of commits.c says.
 */
#ifndef TSD_CONTROL_COMMITS_H
#define TSD_CONTROL_COMMITS_H

#include "daemon/control/completions.h"
#include "daemon/write/writer.h"

struct tsd_commits {
    struct tsd_writer *writer;
    struct tsd_completions *completions;
    unsigned n;                         /* the writer has not called back for, given up ones included */
    void (*on_called_back)(void *data); /* after each of the writer's callbacks, and after that of its wait */
    void *data;
};

/* Embedded in the waiter's struct, zeroed when nothing is awaited. */
struct tsd_commit_wait {
    struct tsd_commit_request *request; /* NULL: not waiting */
    /* status: 0, TS_ESTORE, or TS_ECANCELED when the writer ends. Exactly once, unless tsd_commit_forget() comes first.
     */
    void (*cb)(struct tsd_commit_wait *wait, int status);
    void *data;
};

/* at_once: does not share the commit of other requests. TS_ENOMEM. */
int tsd_commit_await(struct tsd_commits *commits, bool at_once, struct tsd_commit_wait *wait) TS_MUST_USE;
void tsd_commit_forget(struct tsd_commit_wait *wait); /* not waiting is fine */

#endif
