#include "daemon/control/job.h"

#include <assert.h>

void tsd_job_init(struct tsd_job *job, tsd_reply_cb cb, void *data, void (*on_cancel)(struct tsd_job *job))
{
    assert(cb && on_cancel);
    *job = (struct tsd_job){.cb = cb, .data = data, .on_cancel = on_cancel};
}

void tsd_job_cancel(struct tsd_job *job)
{
    assert(job->cb);
    job->cb = NULL;
    job->on_cancel(job);
}

void tsd_job_finish(struct tsd_job *job, struct tsd_reply *reply)
{
    tsd_reply_cb cb = job->cb;
    job->cb = NULL;
    if (cb)
        cb(job->data, reply);
    else
        tsd_reply_deinit(reply);
}
