/*
 * A request that is processed after the call which started it has returned: a flush, a query, a backup. Embedded in
 * the struct of the module that processes it. Used on the loop only.
 *
 *     tsd_job_init --------------------> tsd_job_finish    the callback gets the reply
 *               `--> tsd_job_cancel ---> tsd_job_finish    nobody waits for it: the reply is discarded
 *
 * So the callback is called exactly once, or never after tsd_job_cancel(). It is not called before the function that
 * started the job has returned.
 */
#ifndef TSD_CONTROL_JOB_H
#define TSD_CONTROL_JOB_H

#include "daemon/control/reply.h"

/* Owns the reply. The job does not exist any more. */
typedef void (*tsd_reply_cb)(void *data, struct tsd_reply *reply);

struct tsd_job {
    tsd_reply_cb cb; /* NULL once cancelled or finished */
    void *data;
    void (*on_cancel)(struct tsd_job *job); /* stops the processing; may free the job */
};

void tsd_job_init(struct tsd_job *job, tsd_reply_cb cb, void *data, void (*on_cancel)(struct tsd_job *job));
static inline bool tsd_job_cancelled(const struct tsd_job *job)
{
    return !job->cb;
}
/* For whoever started it, once at most, and not after the callback. */
void tsd_job_cancel(struct tsd_job *job);
/* For the module that processes it, as the last use of the job: passes the reply on, or discards it. */
void tsd_job_finish(struct tsd_job *job, struct tsd_reply *reply);

#endif
