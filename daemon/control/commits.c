/*
 * The request to the writer is a struct of its own, because it outlives a waiter that gives up. The writer's callback
 * comes on the writer's thread and is passed to the loop by the completions.
 */
#include "daemon/control/commits.h"

#include <assert.h>
#include <stdlib.h>

struct tsd_commit_request {
    struct tsd_flush flush;
    struct tsd_completion completion;
    struct tsd_commits *commits;
    struct tsd_commit_wait *wait; /* the loop's; NULL: it has given up */
    int status;
};

static void on_completed(struct tsd_completion *completion)
{
    struct tsd_commit_request *request =
        (struct tsd_commit_request *)((char *)completion - offsetof(struct tsd_commit_request, completion));
    struct tsd_commits *commits = request->commits;
    struct tsd_commit_wait *wait = request->wait;
    int status = request->status;
    assert(commits->n > 0);
    commits->n--;
    free(request);
    if (wait) {
        wait->request = NULL;
        wait->cb(wait, status);
    }
    commits->on_called_back(commits->data);
}

/* On the writer's thread, or on the loop if the writer has ended. */
static void on_flushed(struct tsd_flush *flush, int status)
{
    struct tsd_commit_request *request = flush->data;
    request->status = status;
    tsd_completions_post(request->commits->completions, &request->completion);
}

int tsd_commit_await(struct tsd_commits *commits, bool at_once, struct tsd_commit_wait *wait)
{
    assert(!wait->request);
    struct tsd_commit_request *request = calloc(1, sizeof(*request));
    if (!request)
        return TS_ENOMEM;
    request->commits = commits;
    request->wait = wait;
    request->completion.cb = on_completed;
    request->flush = (struct tsd_flush){.data = request, .cb = on_flushed, .at_once = at_once};
    wait->request = request;
    commits->n++;
    tsd_writer_flush(commits->writer, &request->flush);
    return 0;
}

void tsd_commit_forget(struct tsd_commit_wait *wait)
{
    if (wait->request)
        wait->request->wait = NULL;
    wait->request = NULL;
}
