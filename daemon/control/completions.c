#include "daemon/control/completions.h"

#include <assert.h>

static void on_async(uv_async_t *async)
{
    struct tsd_completions *completions = async->data;
    STAILQ_HEAD(, tsd_completion) posted = STAILQ_HEAD_INITIALIZER(posted);
    uv_mutex_lock(&completions->lock);
    STAILQ_CONCAT(&posted, &completions->posted);
    uv_mutex_unlock(&completions->lock);
    while (!STAILQ_EMPTY(&posted)) {
        struct tsd_completion *completion = STAILQ_FIRST(&posted);
        STAILQ_REMOVE_HEAD(&posted, entry);
        completion->cb(completion);
    }
}

int tsd_completions_init(struct tsd_completions *completions, uv_loop_t *loop)
{
    STAILQ_INIT(&completions->posted);
    if (uv_mutex_init(&completions->lock))
        return TS_ENOMEM;
    if (uv_async_init(loop, &completions->async, on_async)) {
        uv_mutex_destroy(&completions->lock);
        return TS_ENOMEM;
    }
    completions->async.data = completions;
    return 0;
}

/* Wakes the loop within the lock: the loop needs the lock to see the completion, and so cannot close the handle before
 * this is done with it. */
void tsd_completions_post(struct tsd_completions *completions, struct tsd_completion *completion)
{
    uv_mutex_lock(&completions->lock);
    STAILQ_INSERT_TAIL(&completions->posted, completion, entry);
    uv_async_send(&completions->async);
    uv_mutex_unlock(&completions->lock);
}

static void on_async_closed(uv_handle_t *handle)
{
    struct tsd_completions *completions = handle->data;
    assert(STAILQ_EMPTY(&completions->posted));
    uv_mutex_destroy(&completions->lock);
    completions->on_closed(completions->closed_data);
}

void tsd_completions_close(struct tsd_completions *completions, void (*cb)(void *data), void *data)
{
    assert(!tsd_completions_closing(completions));
    completions->on_closed = cb;
    completions->closed_data = data;
    uv_close((uv_handle_t *)&completions->async, on_async_closed);
}

bool tsd_completions_closing(const struct tsd_completions *completions)
{
    return uv_is_closing((const uv_handle_t *)&completions->async);
}
